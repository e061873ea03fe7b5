/** The user API: submitting, finding, listing and cancelling tasks, and the errors people see. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { AgentList, ControlError, MessageList, TaskList, TaskView, USER_ERRORS } from "../../lib/wire/control.ts";
import * as act from "./actions.ts";
import { World } from "./world.ts";

const TASK = { prompt: "p", directory: { mode: "scratch" }, permission: "full" };

async function refusal(world: World, path: string, body?: unknown): Promise<[string, string]> {
  const answer = await world.user(path, body);
  const { error } = ControlError.parse(answer.body);
  assertEquals(answer.status, USER_ERRORS[error.code as keyof typeof USER_ERRORS]);
  return [error.code, error.message];
}

Deno.test("submit() answers 201 with the task as it will be shown", async () => {
  await using world = await World.with(["claude"]);
  const answer = await world.user("/v1/tasks", { ...TASK, priority: 2 });
  assertEquals(answer.status, 201);
  const view = TaskView.parse(answer.body);
  assertEquals(
    [view.agent, view.provider, view.status, view.prompt, view.priority, view.attempt, view.created_at, view.usage],
    ["claude", "claude", "queued", "p", 2, 1, "2026-01-15T12:00:00.000Z", []],
  );
  assertEquals((await world.user(`/v1/tasks/${view.id}`)).body, answer.body);
});

const INVALID: [string, unknown][] = [
  ["no JSON", "{"],
  ["no prompt", { ...TASK, prompt: undefined }],
  ["an empty prompt", { ...TASK, prompt: "" }],
  ["a blank prompt", { ...TASK, prompt: " \n\t" }],
  ["a prompt of more than 4 MiB", { ...TASK, prompt: "ä".repeat(2 * 1024 * 1024 + 1) }],
  ["an unknown permission", { ...TASK, permission: "some" }],
  ["a priority of 5", { ...TASK, priority: 5 }],
  ["a directory mode without a path", { ...TASK, directory: { mode: "in-place" } }],
  ["a relative directory", { ...TASK, directory: { mode: "worktree", path: "src" } }],
];
for (const [what, body] of INVALID) {
  Deno.test(`submit() refuses ${what}`, async () => {
    await using world = await World.with(["claude"]);
    assertEquals((await refusal(world, "/v1/tasks", body))[0], "invalid_request");
    assertEquals((await world.user("/v1/tasks")).body.tasks, []);
  });
}

Deno.test("submit() takes a prompt of exactly 4 MiB", async () => {
  await using world = await World.with(["claude"]);
  assertEquals((await world.user("/v1/tasks", { ...TASK, prompt: "x".repeat(4 * 1024 * 1024) })).status, 201);
});

Deno.test("submit() without any agent says how to get one", async () => {
  await using world = await World.with([]);
  assertEquals((await refusal(world, "/v1/tasks", TASK))[0], "no_agent");
});

Deno.test("submit() to an unknown agent names those there are", async () => {
  await using world = await World.with(["claude", "codex"]);
  const [code, message] = await refusal(world, "/v1/tasks", { ...TASK, agent: "gemini" });
  assertEquals(code, "agent_unknown");
  assertStringIncludes(message, '"gemini"');
  assertStringIncludes(message, "claude, codex");
});

Deno.test("submit() without an agent takes the first that is online", async () => {
  await using world = await World.with(["claude", "codex"]);
  const agent = async () => (await world.user("/v1/tasks", TASK)).body.agent;
  assertEquals(await agent(), "claude");
  await act.deregister("claude").run(world);
  assertEquals(await agent(), "codex");
  await act.deregister("codex").run(world);
  assertEquals(await agent(), "claude");
});

Deno.test("submit() with resume joins the thread and keeps its agent", async () => {
  await using world = await World.with(["claude", "codex"]);
  await act.submit("a", { agent: "codex" }).run(world);
  await act.claim(1, ["codex"]).run(world);
  await act.start("a").run(world);
  await act.submit("b", { resume: "a" }).run(world);
  const [a, b] = [await world.viewOf(await world.id("a")), await world.viewOf(await world.id("b"))];
  assertEquals([b.thread_id, b.agent], [a.thread_id, "codex"]);
  const [code, message] = await refusal(world, "/v1/tasks", { ...TASK, resume: a.id });
  assertEquals(code, "thread_busy");
  assertStringIncludes(message, b.id);
  assertEquals((await refusal(world, "/v1/tasks", { ...TASK, resume: "ffffffff" }))[0], "task_unknown");
});

Deno.test("A task submitted by run belongs to the instance it was submitted to", async () => {
  await using world = await World.with(["claude"]);
  const submit = async (alias: string, submitted_by: string, instance?: string) => {
    const headers: Record<string, string> = instance ? { "x-drover-instance": instance } : {};
    world.name(alias, (await world.user("/v1/tasks", { ...TASK, submitted_by }, headers)).body.id);
  };
  await submit("daemon's", "api", "i1");
  await submit("other's", "run", "i2");
  await submit("mine", "run", "i1");
  await submit("nobody's", "run");
  const queue = async () => (await world.user("/v1/queue", undefined, { "x-drover-instance": "i1" })).body;
  assertEquals(await queue(), { mine: 1, others: 3 });
  assertEquals(await act.claim(5, ["claude"], { submitted_to: "i1" }).run(world), ["mine"]);
  assertEquals(await act.claim(5, ["claude"], { submitted_to: "i1" }).run(world), []);
  assertEquals(await queue(), { mine: 1, others: 3 });
  await act.start("mine").run(world);
  await act.complete("mine").run(world);
  assertEquals(await queue(), { mine: 0, others: 3 });
  assertEquals(await act.claim().run(world), ["daemon's"]);
});

Deno.test("GET /v1/tasks lists the newest first, by status and up to a limit", async () => {
  await using world = await World.with(["claude"]);
  for (let i = 0; i < 52; i++) await act.submit(`t${i}`).run(world);
  await act.cancel("t50").run(world);
  await act.cancel("t3").run(world);
  const list = async (query: string) => {
    const { tasks } = TaskList.parse((await world.user(`/v1/tasks${query}`)).body);
    return await Promise.all(tasks.map(({ id }) => world.aliasOf(id)));
  };
  const all = await list("");
  assertEquals([all.length, all[0], all[49]], [50, "t51", "t2"]);
  assertEquals(await list("?limit=2"), ["t51", "t50"]);
  assertEquals(await list("?status=cancelled,failed"), ["t50", "t3"]);
  assertEquals(await list("?status=completed"), []);
  for (const query of ["status=done", "limit=0", "limit=x", "limit=1001", "limit=-1"]) {
    assertEquals((await refusal(world, `/v1/tasks?${query}`))[0], "invalid_request", query);
  }
});

Deno.test("A task is found by any beginning of its id that no other has", async () => {
  await using world = await World.with(["claude"]);
  await act.submit("a").run(world);
  await act.submit("b").run(world);
  const id = await world.id("a");
  assertEquals((await world.user(`/v1/tasks/${id.slice(0, 8)}`)).body.id, id);
  assertEquals((await world.user(`/v1/tasks/${id.toUpperCase()}`)).body.id, id);
  const [code, message] = await refusal(world, `/v1/tasks/${id.slice(0, 4)}`);
  assertEquals(code, "task_ambiguous");
  assertStringIncludes(message, id);
  for (const unknown of [id.slice(0, 3), "ffff", "zzzz", "%25%25%25%25"]) {
    assertEquals((await refusal(world, `/v1/tasks/${unknown}`))[0], "task_unknown", unknown);
  }
});

Deno.test("cancel() of a task that has ended answers 200 with the task unchanged", async () => {
  await using world = await World.with(["claude"]);
  await act.submit("a").run(world);
  await act.claim().run(world);
  await act.start("a").run(world);
  await act.complete("a").run(world);
  const id = await world.id("a");
  const before = await world.viewOf(id);
  assertEquals(await world.user(`/v1/tasks/${id}/cancel`, {}), { status: 200, body: before });
});

Deno.test("GET messages gives those after a seq", async () => {
  await using world = await World.with(["claude"]);
  await act.submit("a").run(world);
  const id = await world.id("a");
  const messages = [1, 2, 3].map((seq) => ({ seq, type: "text", content: `m${seq}` }));
  await world.daemon(`/api/daemon/tasks/${id}/messages`, { messages });
  const answer = await world.user(`/v1/tasks/${id}/messages?since=1`);
  assertEquals(MessageList.parse(answer.body).messages.map((one) => one.content), ["m2", "m3"]);
  assertEquals((await refusal(world, `/v1/tasks/${id}/messages?since=x`))[0], "invalid_request");
});

Deno.test("GET /v1/agents counts what runs and waits", async () => {
  await using world = await World.with(["claude", "codex"]);
  for (const alias of ["a", "b", "c"]) await act.submit(alias).run(world);
  await act.claim().run(world);
  const { agents } = AgentList.parse((await world.user("/v1/agents")).body);
  assertEquals(agents, [
    {
      name: "claude",
      provider: "claude",
      version: "1.0.0",
      machine: "box",
      status: "online",
      runtime_id: world.runtime("claude"),
      max_concurrent_tasks: 6,
      running: 1,
      queued: 2,
    },
    {
      name: "codex",
      provider: "codex",
      version: "1.0.0",
      machine: "box",
      status: "online",
      runtime_id: world.runtime("codex"),
      max_concurrent_tasks: 6,
      running: 0,
      queued: 0,
    },
  ]);
});

Deno.test("An agent whose daemon fell silent is shown offline before any sweep", async () => {
  await using world = await World.with(["claude"]);
  world.beating = false;
  await world.advanceTo(151);
  assertEquals(await act.runtimeState().run(world), "offline");
});

Deno.test("A route that is not there is refused as an invalid request", async () => {
  await using world = await World.with([]);
  const answer = await world.user("/v1/nothing");
  assertEquals([answer.status, answer.body.error.code], [404, "invalid_request"]);
});
