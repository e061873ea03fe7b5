/** The administrator's policy under the real program, in a mount namespace with an /etc of its own. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { TestHome } from "../support/drover.ts";
import { whyNoMounts } from "../support/mounts.ts";
import { compiledForm, type ProgramForm } from "../support/program.ts";

const POLICY = {
  servers: ["https://good.example"],
  settings: { "remote.enabled": false },
  limits: { "tasks.max_concurrent": 2 },
};

function managed(form: ProgramForm, policy: string): ProgramForm {
  const script = "mount -t tmpfs -o mode=755 none /etc && mkdir -m 755 /etc/drover && " +
    'printf %s "$1" > /etc/drover/policy.json && chmod 644 /etc/drover/policy.json && shift && exec "$@"';
  return { ...form, argv: ["unshare", "-rm", "sh", "-ec", script, "sh", policy, ...form.argv] };
}

interface Result {
  readonly name: string;
  readonly verdict: string;
  readonly finding: string;
}

Deno.test({
  name:
    "root's policy holds for flags, login, remote and the daemon, doctor shows it, and a damaged one allows nothing",
  // To others the machine's own root directory would not seem to be root's.
  ignore: Deno.uid() !== 0 || whyNoMounts() !== undefined,
  async fn() {
    for (const form of compiledForm()) {
      await using home = await TestHome.create(managed(form, JSON.stringify(POLICY)));
      const login = await home.json(["login", "--server", "https://other.example", "--token", "-"], { stdin: "mul_x" });
      assertEquals([login.code, login.value.error.code], [13, "policy_refused"]);
      const enabled = await home.json(["enable", "remote", "--yes"]);
      assertEquals([enabled.code, enabled.value.error.code], [13, "policy_refused"]);

      assertEquals((await home.json(["start", "--max-concurrent-tasks", "8"])).value.status, "started");
      assertEquals((await home.json(["status"])).value.slots.total, 2);
      const { value } = await home.json(["doctor"]);
      const policy = value.checks.find(({ name }: Result) => name === "policy");
      assertEquals(policy?.verdict, "ok");
      assertStringIncludes(policy?.finding, "only the server https://good.example");
      assertEquals((await home.json(["stop"])).value.status, "stopped");

      const damaged = managed(form, '{"servers": [');
      const refused = await home.json(["start"], { form: damaged });
      assertEquals(refused.value.error.code, "config_invalid");
      assertStringIncludes(refused.value.error.message, "/etc/drover/policy.json");
      assertEquals((await home.json(["status"], { form: damaged })).value.state, "stopped");
      assertEquals(await Deno.stat(join(home.home, "daemon.json")).catch(() => "none"), "none");
      await home.assertNoProcessLeft();
    }
  },
});
