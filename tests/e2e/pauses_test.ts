/** Agents that get no tasks for a while, as users see it: status, agents, run and resume, with and without a daemon. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { programForms } from "../support/program.ts";

const form = programForms().at(-1)!;
const QUOTA = ["run", "--agent", "demo", "--scratch", "@demo:fast @demo:fail=402"];
const GOOD = ["run", "--agent", "demo", "--scratch", "@demo:fast"];

Deno.test("a spent quota: one task fails, the next waits with the daemon, and a person can take the pause back", async () => {
  await using home = await TestHome.create(form);
  const daemon = await home.daemon();
  assertEquals((await home.json(QUOTA)).value.task.failure_reason, "agent_error.provider_quota_limit");
  const shown = await home.drover(["status"]);
  assertStringIncludes(shown.stdout, "paused until");
  const { value: status } = await home.json(["status"]);
  const demo = (runtimes: { provider: string; paused?: { kind: string } }[]) =>
    runtimes.find(({ provider }) => provider === "demo")!;
  assertEquals(demo(status.connections[0].runtimes).paused?.kind, "quota");
  assertEquals(demo((await home.json(["agents"])).value.agents).paused?.kind, "quota");

  const waiting = home.drover(GOOD);
  await eventually(
    async () => (await home.json(["tasks", "list", "--status", "queued"])).value.tasks.length === 1,
    "the next task waits",
  );
  assertEquals((await home.json(["agents", "resume", "demo"])).value.resumed, true);
  const { code, stdout } = await waiting;
  assertEquals(code, 0, stdout);
  assertStringIncludes(stdout, "waits in the queue");
  assertEquals((await home.json(["agents", "resume", "demo"])).value.resumed, false);
  assertEquals((await home.json(["agents", "resume", "nobody"])).code, EXIT_CODES.unknown.code);
  await daemon.stop();
});

Deno.test("without a daemon a run with a paused agent says so at once, also in another process, until it is resumed", async () => {
  await using home = await TestHome.create(form);
  await home.drover(["run", "--agent", "demo", "--scratch", "@demo:fast @demo:fail=401"]);
  const refused = await home.json(GOOD);
  assertEquals([refused.code, refused.value.error.code], [EXIT_CODES.preflight.code, "agent_paused"]);
  assertStringIncludes(refused.value.error.message, "needs login");
  assertStringIncludes(refused.value.error.hint, "drover agents resume demo");
  assertEquals((await Deno.stat(join(home.home, "pauses.json"))).mode! & 0o777, 0o600);
  assertStringIncludes((await home.drover(["agents"])).stdout, "needs login");
  assertEquals((await home.json(["agents", "resume", "demo"])).value.resumed, true);
  assertEquals((await home.drover(GOOD)).code, 0);
  assertEquals((await home.json(["agents", "resume", "nobody"])).code, EXIT_CODES.unknown.code);
});

Deno.test("a CLI that says nobody is logged in gets no tasks, and gets them as soon as it says otherwise", async () => {
  await using home = await TestHome.create(form);
  const flag = join(home.root, "logged-in");
  await home.script(
    "claude",
    `[ "$1" = --version ] && { echo "2.1.400 (Claude Code)"; exit; }
[ "$1 $2" = "auth status" ] && { [ -e '${flag}' ] && exit 0; echo '{ "loggedIn": false }'; exit 1; }
exit 9`,
  );
  const daemon = await home.daemon();
  await eventually(
    async () => (await home.drover(["status"])).stdout.includes("needs login: claude /login"),
    "status says what to type",
  );
  assertStringIncludes((await home.drover(["agents"])).stdout, "needs login: claude /login");
  await Deno.writeTextFile(flag, "");
  await home.json(["agents", "resume", "claude"]);
  assert(!(await home.drover(["status"])).stdout.includes("needs login"));
  await daemon.stop();
});
