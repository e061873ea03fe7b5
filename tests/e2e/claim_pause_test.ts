/** Pausing all claiming and limits of a day, as users see them: with a daemon, without one, and over a restart. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { programForms } from "../support/program.ts";

const form = programForms().at(-1)!;
const RUN = ["run", "--agent", "demo", "--scratch", "@demo:fast"];

Deno.test("drover pause holds over a restart, status, agents and run say so, and drover resume ends it", async () => {
  await using home = await TestHome.create(form);
  const first = await home.daemon();
  const until = Date.now() + 2 * 60 * 60_000;
  const { value } = await home.json(["pause", "--for", "2h", "--reason", "release\nfreeze"]);
  assertEquals([value.by, Math.abs(value.paused.until - until) < 60_000], ["daemon", true]);
  await first.stop();
  assertStringIncludes((await home.drover(["status"])).stdout, "release freeze");
  const daemon = await home.daemon();
  const shown = (await home.drover(["status"])).stdout;
  assertStringIncludes(shown, "takes no tasks: paused until");
  assertStringIncludes(shown, "release freeze");
  const { value: status } = await home.json(["status"]);
  assertEquals([status.holding, status.paused.kind], ["paused-by-person", "person"]);
  assertStringIncludes((await home.drover(["agents"])).stdout, "release freeze");

  const refused = await home.json(RUN);
  assertEquals([refused.code, refused.value.error.code], [EXIT_CODES.preflight.code, "claims_paused"]);
  assertStringIncludes(refused.value.error.message, "release freeze");
  assertStringIncludes(refused.value.error.hint, "drover resume");
  assertEquals((await home.json(["tasks", "list"])).value.tasks, []);

  assertEquals((await home.json(["resume"])).value.resumed, true);
  assertEquals((await home.json(["resume"])).value.resumed, false);
  await home.json(["pause", "--for", "200ms"]);
  await eventually(async () => (await home.json(["status"])).value.paused === null, "the pause is over");
  assertEquals((await home.drover(RUN)).code, 0);
  assertEquals((await home.json(["pause", "--for", "soon"])).code, EXIT_CODES.usage.code);
  await daemon.stop();
});

Deno.test("drover pause without a daemon is kept for whoever comes next, until drover resume", async () => {
  await using home = await TestHome.create(form);
  assertEquals((await home.json(["resume"])).value.resumed, false);
  assertEquals((await home.json(["pause"])).value.by, "file");
  assertEquals((await Deno.stat(join(home.home, "claim_pause.json"))).mode! & 0o777, 0o600);
  assertEquals((await home.json(["status"])).value.paused.kind, "person");
  assertEquals((await home.json(RUN)).value.error.code, "claims_paused");
  assertEquals((await home.json(["resume"])).value.resumed, true);
  assertEquals((await home.drover(RUN)).code, 0);
});

Deno.test("a limit of the day: status counts, and who asks for more is told so at once", async () => {
  await using home = await TestHome.create(form);
  await home.json(["config", "set", "limits.tasks_per_day", "1"]);
  assertEquals((await home.drover(RUN)).code, 0);
  const refused = await home.json(RUN);
  assertEquals([refused.code, refused.value.error.code], [EXIT_CODES.preflight.code, "agent_paused"]);
  assertStringIncludes(refused.value.error.message, "limit reached: 1 of 1 tasks today, until midnight");
  assertStringIncludes(refused.value.error.hint, "drover config set limits.tasks_per_day");
  assertStringIncludes((await home.drover(["agents"])).stdout, "1 of 1 tasks today");

  const daemon = await home.daemon();
  const shown = (await home.drover(["status"])).stdout;
  assertStringIncludes(shown, "limit reached: 1 of 1 tasks today, until midnight");
  assertStringIncludes(shown, "demo 1 of 1 tasks");
  const { value: status } = await home.json(["status"]);
  const [today] = status.today;
  assertEquals([today.provider, today.tasks, today.limits.tasks, today.tokens > 0], ["demo", 1, 1, true]);
  const resumed = await home.json(["agents", "resume", "demo"]);
  assertEquals(resumed.value.error.code, "agent_paused");
  await daemon.stop();
});
