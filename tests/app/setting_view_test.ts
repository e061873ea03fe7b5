/** Who has the say about a setting, where the machine's policy, variables and `config.json` differ. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { settingViews, whoSays } from "../../lib/app/setting_view.ts";
import { testHost } from "./test_host.ts";

/** A machine with that policy, root's alone. */
function managed(policy: string, env: Record<string, string> = {}) {
  const { host } = testHost({ env });
  const root = { uid: 0, mode: 0o644 } as NonNullable<Awaited<ReturnType<typeof host.files.stat>>>;
  const files = {
    ...host.files,
    realPath: (path: string) => Promise.resolve(path),
    readText: () => Promise.resolve(policy),
    stat: () => Promise.resolve(root),
  };
  return { ...host, files };
}

const POLICY = JSON.stringify({ settings: { "update.auto": false }, limits: { "tasks.max_concurrent": 2 } });

Deno.test("settingViews() shows what counts under the policy of the machine, and what was wanted", async () => {
  const host = managed(POLICY, { DROVER_MAX_CONCURRENT_TASKS: "8" });
  const { of, policyProblem } = await settingViews(host, { update: { auto: true }, "log.level": "debug" });
  assertEquals(policyProblem, null);
  const { value, source, wanted } = of("updateAuto");
  assertEquals([value, source, wanted, whoSays(of("updateAuto"))], [
    false,
    "policy",
    true,
    "the policy of this machine",
  ]);
  const slots = of("maxConcurrentTasks");
  assertEquals([slots.value, slots.source, slots.wanted], [2, "policy", 8]);
  const level = of("logLevel");
  assertEquals([level.value, level.source, level.wanted], ["debug", "file", null]);
});

Deno.test("settingViews() leaves a user's wish that the policy allows where it is, and tells of a damaged policy", async () => {
  const allowed = (await settingViews(managed(POLICY, { DROVER_MAX_CONCURRENT_TASKS: "1" }), {})).of(
    "maxConcurrentTasks",
  );
  assertEquals([allowed.value, allowed.source, whoSays(allowed)], [
    1,
    "environment",
    "the variable DROVER_MAX_CONCURRENT_TASKS",
  ]);
  const broken = await settingViews(managed("{"), { log: { level: "loud" } });
  assertStringIncludes(broken.policyProblem!, "/etc/drover/policy.json");
  assertEquals([broken.of("logLevel").value, broken.of("logLevel").source], ["loud", "file"]);
  assertStringIncludes(broken.of("logLevel").problem!, "log.level");
});
