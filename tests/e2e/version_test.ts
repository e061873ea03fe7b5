/** Two versions of drover and one home: the newer one replaces an idle daemon once, the older one works with what there is. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { CountingAgent } from "../support/counting_agent.ts";
import { TestHome } from "../support/drover.ts";
import { isLong } from "../support/length.ts";
import { compiledForm, programForms } from "../support/program.ts";

const OLD = { env: { DROVER_VERSION_OVERRIDE: "0.0.1" } };
const NEWER = { env: { DROVER_VERSION_OVERRIDE: "99.0.0" } };
const LIST = ["tasks", "list"];

/** How many daemons were started in place of one of another version. */
async function breadcrumbs(home: TestHome): Promise<number> {
  return (await home.log()).split("\n").filter((line) => line.includes("in place of another version")).length;
}

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(name("twenty newer commands at once replace a stale daemon exactly once"), async () => {
    await using home = await TestHome.create(form);
    const old = await home.daemon(OLD);
    const all = await Promise.all(Array.from({ length: 20 }, () => home.json(LIST)));
    assertEquals(all.map(({ code }) => code), all.map(() => 0), JSON.stringify(all.find(({ code }) => code !== 0)));
    assertEquals(await old.ended(), 0);
    assertEquals(await breadcrumbs(home), 1);
    const { value } = await home.json(["status"]);
    assertEquals([value.version, value.startReason], [value.cliVersion, "new_version"]);
    await home.json(["stop"]);
    await home.assertNoProcessLeft();
  });

  Deno.test(name("start replaces an older idle daemon, with the old one's arguments"), async () => {
    await using home = await TestHome.create(form);
    const old = await home.daemon({ ...OLD, args: ["--max-concurrent-tasks", "3"] });
    const { value } = await home.json(["start"]);
    assertEquals(value.status, "restarted");
    assertEquals(await old.ended(), 0);
    assertEquals((await home.json(["status"])).value.slots.total, 3);
    assertEquals((await home.json(["start"])).value, { ...value, status: "alreadyRunning" });
    await home.json(["stop"]);
  });

  Deno.test(name("a busy older daemon is used as it is, and no task is cut"), async () => {
    await using home = await TestHome.create(form);
    const agent = new CountingAgent(home);
    await agent.install("1.0.0");
    const old = await home.daemon(OLD);
    const run = home.spawn(["run", "--agent", "llm", "--scratch", "task-a hold"], { ...OLD, stdout: "null" });
    await agent.noted("task-a 1.0.0 begun");
    const { code, stderr } = await home.drover(LIST);
    assertEquals(code, 0);
    assertStringIncludes(stderr, "0.0.1");
    assertEquals((await home.json(["start"])).value.status, "alreadyRunning");
    await agent.release();
    assertEquals((await run.status).code, 0);
    assertEquals((await home.json(["status"])).value.version, "0.0.1");
    await old.stop();
  });
}

const [, compiled] = programForms();

Deno.test("old and new commands in turn, many times: at most one restart, and every call succeeds", async () => {
  await using home = await TestHome.create(compiled!);
  await home.daemon(OLD);
  for (let i = 0; i < (isLong() ? 20 : 8); i++) {
    const { code, stderr } = await home.drover(LIST, i % 2 === 0 ? {} : OLD);
    assertEquals(code, 0, stderr);
  }
  assertEquals(await breadcrumbs(home), 1);
  await home.json(["stop"]);
});

Deno.test("a command that is still of another version after the restart says both, and does not try again", async () => {
  await using home = await TestHome.create(compiled!);
  const { pid, version } = (await home.json(["start"])).value;
  const { code, value } = await home.json(LIST, NEWER);
  assertEquals([code, value.error.code], [EXIT_CODES.version.code, "version_conflict"]);
  assertStringIncludes(value.error.message, "99.0.0");
  assertStringIncludes(value.error.message, version);
  assertStringIncludes(value.error.hint, "DROVER_VERSION_OVERRIDE");
  const after = (await home.json(["status"])).value.pid;
  assert(after !== pid, "it was restarted once");
  // Once only: the cool-down is 10 s of real time.
  assertEquals((await home.drover(LIST, NEWER)).code, 0, "the cool-down lets it work");
  assertEquals((await home.json(["status"])).value.pid, after, "and not a second time");
  await home.json(["stop"]);
});

Deno.test("a version that is none ends nothing, and what only looks or stops works whatever the versions", async () => {
  await using home = await TestHome.create(compiled!);
  const odd = { env: { DROVER_VERSION_OVERRIDE: "latest" } };
  const { pid } = (await home.json(["start"])).value;
  const { code, value } = await home.json(LIST, odd);
  assertEquals([code, value.error.code], [EXIT_CODES.version.code, "version_conflict"]);
  assertEquals((await home.json(["status"], odd)).value.pid, pid);
  assertEquals((await home.json(["logs", "-n", "1"], odd)).code, 0);
  assertEquals((await home.json(["stop"], NEWER)).value.status, "stopped");
  await home.assertNoProcessLeft();
});
