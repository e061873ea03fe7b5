/** Questions of one run: asked, answered, too late, withdrawn, and never left open. */
import { assertEquals, assertMatch } from "@std/assert";
import type { AgentMessage, PermissionRequest } from "../../lib/core/message.ts";
import { createPermissions } from "../../lib/daemon/permissions.ts";
import { createRandom } from "../../lib/host/random.ts";
import { FakeClock } from "../support/fake_clock.ts";

const ASK: PermissionRequest = { tool: "Bash", callId: "c1", title: "make", input: { command: "make" } };

function setup(limitMs?: number) {
  const clock = new FakeClock();
  const said: AgentMessage[] = [];
  const say = (message: AgentMessage) => void said.push(message);
  const permissions = createPermissions({ clock, random: createRandom(), say, limitMs });
  return { clock, said, permissions, kinds: () => said.map(({ kind }) => kind) };
}

Deno.test("ask() tells those who follow, waits for the answer, and tells that too", async () => {
  const { permissions, said } = setup();
  const decision = permissions.ask(ASK);
  const [asked] = permissions.pending;
  assertEquals([asked!.tool, asked!.title, asked!.until - asked!.since], ["Bash", "make", 600_000]);
  assertEquals(said, [{ kind: "permission-request", requestId: asked!.requestId, ...ASK }]);
  assertEquals(permissions.answer(asked!.requestId, { allow: true, why: "fine" }), true);
  assertEquals(await decision, { allow: true, why: "fine" });
  const answered = { kind: "permission-answer", requestId: asked!.requestId, callId: "c1", allow: true, why: "fine" };
  assertEquals([said[1], permissions.pending], [answered as AgentMessage, []]);
});

Deno.test("answer() is false for a question that was answered, and for one that never was", async () => {
  const { permissions } = setup();
  const decision = permissions.ask(ASK);
  const { requestId } = permissions.pending[0]!;
  const no = { allow: false, why: "no" };
  assertEquals([permissions.answer("other", no), permissions.answer(requestId, no)], [false, true]);
  assertEquals(permissions.answer(requestId, { allow: true, why: "late" }), false);
  assertEquals((await decision).allow, false);
});

Deno.test("ask() is refused when nobody answers in time", async () => {
  const { permissions, clock, kinds } = setup(5_000);
  const decision = permissions.ask(ASK);
  await clock.advance(4_999);
  assertEquals(permissions.pending.length, 1);
  await clock.advance(1);
  assertEquals(await decision, { allow: false, why: "nobody answered within 5 s" });
  assertEquals(kinds(), ["permission-request", "permission-answer"]);
});

Deno.test("ask() keeps several questions apart", async () => {
  const { permissions } = setup();
  const decisions = [permissions.ask(ASK), permissions.ask({ ...ASK, tool: "Write" })];
  const [first, second] = permissions.pending;
  permissions.answer(second!.requestId, { allow: true, why: "" });
  permissions.answer(first!.requestId, { allow: false, why: "" });
  assertEquals((await Promise.all(decisions)).map(({ allow }) => allow), [false, true]);
});

Deno.test("answer() with always allows the same tool's other questions and those to come, and no other tool", async () => {
  const { permissions } = setup();
  const decisions = [permissions.ask(ASK), permissions.ask(ASK), permissions.ask({ ...ASK, tool: "Write" })];
  permissions.answer(permissions.pending[0]!.requestId, { allow: true, why: "", always: true });
  assertEquals(permissions.pending.map(({ tool }) => tool), ["Write"]);
  assertEquals((await permissions.ask(ASK)).allow, true);
  permissions[Symbol.dispose]();
  assertEquals((await Promise.all(decisions)).map(({ allow }) => allow), [true, true, false]);
});

Deno.test("answer() with always takes no tool without a name for all such tools", async () => {
  const { permissions } = setup();
  const decision = permissions.ask({ ...ASK, tool: "" });
  permissions.answer(permissions.pending[0]!.requestId, { allow: true, why: "", always: true });
  await decision;
  void permissions.ask({ ...ASK, tool: "" });
  assertEquals(permissions.pending.length, 1);
  permissions[Symbol.dispose]();
});

Deno.test("ask() ends when the agent withdraws its question", async () => {
  const { permissions } = setup();
  const withdrawn = new AbortController();
  const decision = permissions.ask(ASK, withdrawn.signal);
  withdrawn.abort();
  assertMatch((await decision).why, /withdrew/);
  assertEquals(permissions.pending, []);
  assertEquals((await permissions.ask(ASK, withdrawn.signal)).allow, false);
});

Deno.test("the end of a run refuses what is still asked and what is asked after it, and leaves no timer", async () => {
  const { permissions, clock } = setup();
  const decision = permissions.ask(ASK);
  permissions[Symbol.dispose]();
  assertEquals(await decision, { allow: false, why: "the run is over" });
  assertEquals((await permissions.ask(ASK)).allow, false);
  assertEquals(clock.waiting, 0);
});

Deno.test("pending blots secrets out, as messages do", () => {
  const { permissions } = setup();
  void permissions.ask({ ...ASK, title: "API_KEY=abcdefgh make" });
  assertEquals(permissions.pending[0]!.title, "API_KEY=[redacted] make");
  permissions[Symbol.dispose]();
});
