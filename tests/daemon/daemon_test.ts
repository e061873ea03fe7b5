/** The daemon as a whole: a task's way from the queue to its end, and every way it can go wrong. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { HostError } from "../../lib/core/ports.ts";
import { DaemonWorld, type Intercept } from "./daemon_world.ts";
import { json } from "../wire/scripted_fetch.ts";

Deno.test("Daemon claims a task, runs its agent, and reports what it said, used and answered", async () => {
  await using w = await DaemonWorld.started();
  const id = await w.submit("count to three");
  const agent = await w.agent();
  agent.say(
    { kind: "session", sessionId: "s1" },
    { kind: "text", text: "one, " },
    { kind: "text", text: "two " },
    { kind: "tool-use", tool: "Bash", callId: "1", input: { command: "ls" } },
    { kind: "tool-result", tool: "Bash", callId: "1", output: "a", isError: false },
    { kind: "usage", usage: [usage(1)] },
    { kind: "usage", usage: [usage(7)] },
  );
  await w.until("the session is pinned", async () => (await w.show(id)).session_id === "s1");
  agent.end({ kind: "completed", output: "three", sessionId: "s1" });
  const task = await w.ended(id, "completed");
  await w.idle();

  assertEquals([task.output, task.session_id, task.work_dir], ["three", "s1", agent.request.cwd]);
  assertEquals(task.usage.map((one) => [one.provider, one.model, one.input_tokens]), [["bot", "m", 7]]);
  assertEquals((await w.messages(id)).map(({ seq, type }) => [seq, type]), [[1, "text"], [2, "tool_use"], [
    3,
    "tool_result",
  ]]);
  assertEquals(w.calls.filter((verb) => ["messages", "usage", "complete"].includes(verb)), [
    "messages",
    "usage",
    "complete",
  ]);
  assert(agent.stops > 0, "what the agent left behind is looked for after a good end too");
  assertEquals(w.daemon.status().outbox, { waiting: 0, degraded: false });

  const lines = (await Deno.readTextFile(`${w.home.transcripts}/${id}.jsonl`)).trim().split("\n").map((line) =>
    JSON.parse(line)
  );
  assertEquals(lines.map((line) => line.type ?? line.outcome.kind), ["text", "tool_use", "tool_result", "complete"]);
});

function usage(inputTokens: number) {
  return { model: "m", inputTokens, outputTokens: 1, cacheReadTokens: 0, cacheWriteTokens: 0, costUsdTicks: 0 };
}

Deno.test("Daemon starts an agent where its task works, marked and with the task's own environment", async () => {
  await using w = await DaemonWorld.started();
  const id = await w.submit("look around", { model: "big", permission: "read-only" });
  const { request, task } = await w.agent();
  const { env } = request;
  assertEquals([request.executable, request.args, request.stdin], ["/bin/bot", ["--fixed"], "null"]);
  assertEquals(request.mark, `11111111-1111-4111-8111-111111111111:instance-1:${id}`);
  assert(request.cwd.startsWith(`${w.home.workspaces}/`) && request.cwd.endsWith("/workdir"));
  assertEquals([env.DROVER_TASK_ID, env.DROVER_TASK_SLOT, env.DROVER_AGENT_NAME, env.DROVER_HOME, env.ADAPTER], [
    id,
    "0",
    "bot",
    w.home.root,
    "yes",
  ]);
  assert(env.DROVER_TOKEN!.startsWith("mat_"));
  assertEquals([env.HOME, env.PATH, env.SESSION], ["/home/me", `${w.home.bin}:/bin`, undefined]);
  const { newSession } = task!;
  assertEquals(task, {
    id,
    prompt: "look around",
    cwd: request.cwd,
    permission: "read-only",
    model: "big",
    newSession,
  });
  w.agents.started[0]!.end();
  await w.ended(id, "completed");
});

Deno.test("Daemon shows what it does in its status", async () => {
  await using w = await DaemonWorld.started({ slots: 1 });
  assertEquals([w.daemon.status().phase, w.daemon.status().holding], ["running", null]);
  const id = await w.submit();
  const agent = await w.agent();
  const status = w.daemon.status();
  assertEquals([status.holding, status.slots], ["no-free-slot", { total: 1, running: 1 }]);
  const [run] = status.tasks;
  assertEquals([run!.task, run!.agent, run!.provider, run!.stage, run!.slot, run!.pid], [
    id,
    "bot",
    "bot",
    "running",
    0,
    agent.pid,
  ]);
  assertEquals(
    status.connections.map(({ name, state, runtimes }) => [name, state, runtimes.map((one) => one.provider)]),
    [
      ["embedded", "connected", ["bot"]],
    ],
  );
  agent.end();
  await w.idle();
});

Deno.test("Daemon runs as many tasks at once as it has slots, each in its own, and takes the next when one is free", async () => {
  await using w = await DaemonWorld.started({ slots: 2 });
  const ids = [await w.submit("1"), await w.submit("2"), await w.submit("3")];
  const both = [await w.agent(0), await w.agent(1)];
  await w.clock.advance(60_000);
  assertEquals(both.map(({ request }) => request.env.DROVER_TASK_SLOT).sort(), ["0", "1"]);
  assertEquals([w.agents.started.length, (await w.show(ids[2]!)).status], [2, "queued"]);
  both[1]!.end();
  const third = await w.agent(2);
  const freed = both[1]!.request.env.DROVER_TASK_SLOT;
  assertEquals([third.task!.id, third.request.env.DROVER_TASK_SLOT], [ids[2], freed]);
  w.agents.started.forEach((agent) => agent.end());
  await w.idle();
});

Deno.test("Daemon finds work and cancellations by looking when every hint is lost", async () => {
  await using w = await DaemonWorld.started({ deaf: true });
  const id = await w.submit();
  await w.clock.advance(30_000);
  const agent = await w.agent();
  await w.cancel(id);
  await w.clock.advance(4_000);
  assertEquals(agent.stops, 0);
  await w.clock.advance(1_000);
  await w.idle();
  assertEquals([agent.stops > 0, w.count("cancel-ack"), w.count("complete") + w.count("fail")], [true, 1, 0]);
});

Deno.test("Daemon ends an agent at once when its task is cancelled, and says so", async () => {
  await using w = await DaemonWorld.started();
  const id = await w.submit();
  const agent = await w.agent();
  agent.say({ kind: "text", text: "last words" });
  await w.cancel(id);
  await w.idle();
  const task = await w.show(id);
  assertEquals([task.status, w.count("cancel-ack")], ["cancelled", 1]);
  assertEquals((await w.messages(id)).map(({ content }) => content), ["last words"]);
  assert(agent.stops > 0);
});

Deno.test("Daemon does not miss a cancellation that comes while it asks for the status", async () => {
  const asked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  let held = false;
  await using w = await DaemonWorld.started({
    intercept: (verb, _, pass) => {
      if (verb !== "status" || held) return undefined;
      held = true;
      // The answer is made before the cancellation and arrives after it.
      return pass().then(async (answer) => {
        asked.resolve();
        await release.promise;
        return answer;
      });
    },
  });
  const id = await w.submit();
  const agent = await w.agent();
  await w.clock.advance(5_000);
  await asked.promise;
  await w.cancel(id);
  await w.clock.settle();
  release.resolve();
  await w.idle();
  assertEquals([agent.stops > 0, w.count("cancel-ack")], [true, 1]);
});

Deno.test("Daemon ends an agent whose task was deleted, and reports nothing", async () => {
  const gone: Intercept = (verb) => verb === "status" ? json({ error: "task not found" }, 404) : undefined;
  await using w = await DaemonWorld.started();
  await w.submit();
  const agent = await w.agent();
  w.intercept = gone;
  await w.clock.advance(5_000);
  await w.idle();
  assertEquals([agent.stops > 0, ["complete", "fail", "cancel-ack"].some((verb) => w.calls.includes(verb))], [
    true,
    false,
  ]);
});

Deno.test("Daemon lets an agent go on while the status cannot be read", async () => {
  await using w = await DaemonWorld.started();
  const id = await w.submit();
  const agent = await w.agent();
  for (const answer of [json({}, 500), json({ error: "not found" }, 404), json({}, 401), new Response("<html>")]) {
    w.intercept = (verb) => verb === "status" ? answer.clone() : undefined;
    await w.clock.advance(10_000);
  }
  assertEquals(agent.stops, 0);
  agent.end();
  await w.ended(id, "completed");
});

Deno.test("Daemon ends a task that takes longer than its limit, its own before the daemon's", async () => {
  for (const [time_limit_ms, limit] of [[600_000, 600_000], [undefined, 3_600_000]] as const) {
    await using w = await DaemonWorld.started();
    const id = await w.submit("think", { time_limit_ms });
    const agent = await w.agent();
    await w.clock.advance(limit - 1);
    assertEquals(agent.stops, 0);
    await w.clock.advance(1);
    const task = await w.ended(id, "failed");
    assertEquals([task.failure_reason, agent.stops > 0], ["timeout", true]);
    assertStringIncludes(task.error!, "ran longer than its limit");
    // The next attempt is claimed at once; it is none of this test's business.
    await w.agent(1);
  }
});

Deno.test("Daemon leaves an agent two seconds to end by itself after its outcome, outside its time limit", async () => {
  await using w = await DaemonWorld.started();
  const id = await w.submit("x", { time_limit_ms: 60_000 });
  const agent = await w.agent();
  await w.clock.advance(59_500);
  agent.finish({ kind: "completed", output: "done" });
  await w.clock.advance(1_900);
  assertEquals(agent.stops, 0);
  await w.clock.advance(100);
  assertEquals([(await w.ended(id, "completed")).output, agent.stops > 0], ["done", true]);
});

Deno.test("Daemon fails a task with what its agent said went wrong", async () => {
  await using w = await DaemonWorld.started();
  const id = await w.submit();
  (await w.agent()).end({
    kind: "failed",
    reason: "agent_error.provider_quota_limit",
    detail: "no money left",
    sessionId: "s9",
  });
  const task = await w.ended(id, "failed");
  assertEquals([task.failure_reason, task.error, task.session_id], [
    "agent_error.provider_quota_limit",
    "no money left",
    "s9",
  ]);
});

Deno.test("Daemon reports an agent that dies without a word, and one that cannot be started", async () => {
  await using w = await DaemonWorld.started();
  const id = await w.submit();
  (await w.agent()).die(3);
  const died = await w.ended(id, "failed");
  assertEquals([died.failure_reason, died.error], ["agent_error.process_failure", "exit code 3"]);

  for (const [code, reason] of [["not-found", "runtime_missing_executable"], ["other", "process_failure"]] as const) {
    await using broken = await DaemonWorld.started({
      refuse: () => {
        throw new HostError(code, "Cannot start /bin/bot: no such file");
      },
    });
    const task = await broken.ended(await broken.submit(), "failed");
    assertEquals([task.failure_reason, task.error], [`agent_error.${reason}`, "Cannot start /bin/bot: no such file"]);
    await broken.idle();
  }
});

Deno.test("Daemon reports a failure and ends the agent when its own adapter has a defect", async () => {
  await using w = await DaemonWorld.started({
    daemon: {
      backendFor: () => ({
        family: "plain-text",
        permissions: ["full"],
        commandFor: () => ({ executable: "/bin/bot", args: [], env: {}, stdin: "null" }),
        run: () => ({
          messages: (async function* () {
            yield { kind: "text", text: "before " } as const;
            throw new Error("a defect");
          })(),
          outcome: new Promise(() => {}),
        }),
      }),
    },
  });
  const id = await w.submit();
  await w.later("its task has failed", async () => (await w.show(id)).status === "failed");
  const task = await w.show(id);
  await w.idle();
  assertStringIncludes(task.error!, "a defect");
  assertEquals([w.agents.started[0]!.stops > 0, w.daemon.status().slots.running], [true, 0]);
  assertEquals((await w.messages(id)).map(({ content }) => content), ["before "]);
  assertEquals(w.calls.filter((verb) => verb === "messages" || verb === "fail"), ["messages", "fail"]);
});

/** Changes what the server says of the claimed tasks. */
function changedClaims(change: Record<string, unknown>): Intercept {
  return (verb, _, pass) =>
    verb !== "claim" ? undefined : pass().then(async (answer) => {
      const { tasks } = await answer.json();
      // deno-lint-ignore no-explicit-any
      return json({ tasks: tasks.map((task: any) => ({ ...task, ...change })) });
    });
}

Deno.test("Daemon runs no task that is not certainly meant for it", async () => {
  const doubts: [change: Record<string, unknown>, reason: string][] = [
    [{ auth_token: "" }, "invalid_task_identity"],
    [{ auth_token: "mul_0123" }, "invalid_task_identity"],
    [{ agent: null }, "invalid_task_identity"],
    [{ agent_id: "someone-else" }, "invalid_task_identity"],
    [{ workspace_id: "" }, "invalid_task_identity"],
    [{ workspace_id: "../../outside" }, "invalid_task_identity"],
    [{ runtime_id: "unknown" }, "runtime_offline"],
  ];
  for (const [change, reason] of doubts) {
    await using w = await DaemonWorld.started({ intercept: changedClaims(change) });
    const id = await w.submit("x", { priority: 1 });
    const task = await w.ended(id, "failed");
    assertEquals(
      [task.failure_reason, w.agents.started.length, w.count("start")],
      [reason, 0, 0],
      JSON.stringify(change),
    );
    w.daemon.stop();
    await w.left();
  }
});

Deno.test("Daemon fails a task whose directory cannot be used, before it is started", async () => {
  await using w = await DaemonWorld.started();
  const task = await w.ended(
    await w.submit("x", { directory: { mode: "in-place", path: "/nonexistent/here" } }),
    "failed",
  );
  assertEquals([task.failure_reason, w.count("start"), w.agents.started.length], ["local_directory_error", 0, 0]);
  assertStringIncludes(task.error!, "/nonexistent/here");
});

Deno.test("Daemon starts no agent when the server refuses the start", async () => {
  await using w = await DaemonWorld.started({
    intercept: (verb) => verb === "start" ? json({ error: "no" }, 422) : undefined,
  });
  const task = await w.ended(await w.submit(), "failed");
  assertStringIncludes(task.error!, "Start was refused");
  assertEquals(w.agents.started.length, 0);
  await w.idle();
});

Deno.test("Daemon leaves a task alone that runs elsewhere already", async () => {
  // Another delivery of the same task was started: this start is the ambiguous 400.
  await using w = await DaemonWorld.started({
    intercept: (verb, request, pass) =>
      verb !== "start" ? undefined : w.coordinator.fetch(request.clone()).then(() => pass()),
  });
  const id = await w.submit();
  await w.until("the start was tried", () => w.count("start") > 0);
  await w.idle();
  assertEquals([(await w.show(id)).status, w.agents.started.length, w.count("fail")], ["running", 0, 0]);
});

Deno.test("Daemon runs a task whose start was carried out although the answer was lost", async () => {
  await using w = await DaemonWorld.started({
    intercept: (verb, _, pass) =>
      verb !== "start" ? undefined : pass().then(() => Promise.reject(new Error("connection reset"))),
  });
  const id = await w.submit();
  (await w.agent()).end();
  await w.ended(id, "completed");
  assertEquals(w.count("start"), 1);
});

Deno.test("Daemon keeps a claim alive while its directory is being prepared", async () => {
  const files = await import("../../lib/host/files.ts");
  const real = files.createFiles();
  const gate = Promise.withResolvers<void>();
  const slow = {
    ...real,
    makeDirectory: async (path: string) => {
      if (path.endsWith("/workdir")) await gate.promise;
      return await real.makeDirectory(path);
    },
  };
  await using w = await DaemonWorld.started({ daemon: { files: slow } });
  const id = await w.submit();
  await w.until("it is being prepared", () => w.daemon.status().tasks[0]?.stage === "preparing");
  await w.clock.advance(120_000);
  assert(w.count("prepare-lease") >= 7, `${w.count("prepare-lease")} renewals`);
  assertEquals((await w.show(id)).status, "dispatched");
  gate.resolve();
  (await w.agent()).end();
  await w.ended(id, "completed");
});

Deno.test("Daemon continues a conversation in its directory, or says that it could not", async () => {
  await using w = await DaemonWorld.started();
  const first = await w.submit("first");
  const one = await w.agent(0);
  one.end({ kind: "completed", output: "ok", sessionId: "s1" });
  await w.ended(first, "completed");
  await w.idle();

  const second = await w.submit("second", { resume: first });
  const two = await w.agent(1);
  assertEquals([two.task!.resumeSession, two.request.cwd, two.task!.prompt], ["s1", one.request.cwd, "second"]);
  two.end({ kind: "completed", output: "ok", sessionId: "s1" });
  await w.ended(second, "completed");
  await w.idle();

  await Deno.remove(one.request.cwd, { recursive: true });
  const third = await w.submit("third", { resume: second });
  const three = await w.agent(2);
  assertEquals(three.task!.resumeSession, undefined);
  assert(three.task!.prompt.startsWith("(The earlier session") && three.task!.prompt.endsWith("third"));
  three.end();
  await w.ended(third, "completed");
});

Deno.test("Daemon.start() rejects when nothing can be found out, and leaves nothing open", async () => {
  const w = await DaemonWorld.create({ daemon: { discover: () => Promise.reject(new Error("no table")) } });
  await using _world = w;
  await assertRejects(() => w.daemon.start(), Error, "no table");
  assertEquals(w.count("claim"), 0);
});
