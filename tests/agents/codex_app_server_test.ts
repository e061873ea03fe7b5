/** The codex adapter beyond the recordings: the handshake, rights, approvals, and every way a run can fail. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { codexAppServer } from "../../lib/agents/codex_app_server.ts";
import { backendFor } from "../../lib/agents/registry.ts";
import type { FailureReason } from "../../lib/core/failure.ts";
import type { PermissionRequest } from "../../lib/core/message.ts";
import type { AgentTask, McpServer, Permission, Runtime } from "../../lib/core/model.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { fakeAgent, kindsOf, listen, taskOf } from "./agent_io.ts";
import {
  BEGUN,
  DONE,
  HANDSHAKE,
  INITIALIZED,
  jsonLines,
  notice,
  OPENED,
  run,
  sentSoFar,
  sentTo,
  tell,
  TURN,
} from "./codex_speech.ts";

const RUNTIME: Runtime = {
  provider: "codex",
  family: "codex-app-server",
  executable: "/bin/codex",
  fixedArgs: ["first"],
  version: "0.169.0",
};

Deno.test("commandFor() starts the app-server and says nothing of the task on the command line", () => {
  const task = taskOf({
    prompt: "the secret plan",
    model: "gpt-5.5",
    effort: "high",
    resumeSession: "s9",
    sandbox: true,
  });
  const { args, stdin } = backendFor("codex").commandFor(RUNTIME, task);
  assertEquals([args, stdin], [["first", "app-server"], "pipe"]);
});

Deno.test("run() shakes hands in order, each request after the answer to the one before", async () => {
  const agent = fakeAgent();
  const heard = listen(
    codexAppServer.run(agent.io, taskOf({ prompt: 'two\nlines "quoted"' }), new AbortController().signal),
  );
  const methods = () => sentSoFar(agent).map(({ method }) => method);
  await tell(agent);
  assertEquals(methods(), ["initialize"]);
  await tell(agent, INITIALIZED, { method: "configWarning", params: {} });
  assertEquals(methods(), ["initialize", "initialized", "thread/start"]);
  await tell(agent, OPENED, { method: "thread/started", params: {} });
  assertEquals(methods().at(-1), "turn/start");
  assertEquals(sentSoFar(agent).at(-1), {
    id: 3,
    method: "turn/start",
    params: { threadId: "t1", input: [{ type: "text", text: 'two\nlines "quoted"' }] },
  });
  await agent.print(jsonLines(BEGUN, ...DONE));
  const { messages, outcome } = await heard;
  assertEquals(messages, [{ kind: "session", sessionId: "t1" }, { kind: "text", text: "fine" }]);
  assertEquals(outcome, { kind: "completed", output: "fine", sessionId: "t1" });
  await agent.stdinClosed;
});

Deno.test("run() asks for the rights, the model and the effort of the task", async (t) => {
  const rows: [Partial<AgentTask>, { approvalPolicy: string; sandbox: string }][] = [
    [{ permission: "full" }, { approvalPolicy: "never", sandbox: "danger-full-access" }],
    [{ permission: "full", sandbox: true }, { approvalPolicy: "never", sandbox: "workspace-write" }],
    [{ permission: "ask" }, { approvalPolicy: "untrusted", sandbox: "danger-full-access" }],
    [{ permission: "ask", sandbox: true }, { approvalPolicy: "on-request", sandbox: "workspace-write" }],
  ];
  for (const [task, rights] of rows) {
    await t.step(`${task.permission}${task.sandbox ? " in a sandbox" : ""}`, async () => {
      const ran = await run([...HANDSHAKE, ...DONE], { task: { ...task, model: "gpt-5.5", effort: "high" } });
      assertEquals(sentTo("thread/start", ran), {
        cwd: "/work",
        ...rights,
        approvalsReviewer: "user",
        model: "gpt-5.5",
      });
      assertEquals(sentTo("turn/start", ran).effort, "high");
    });
  }
});

const READ_ONLY = { id: 3, result: { thread: { id: "t1" }, model: "m1", sandbox: { type: "readOnly" } } };
const LATER_BEGUN = { id: 4, result: { turn: { id: "u1" } } };

function layers(...given: unknown[]): unknown {
  return { id: 2, result: { layers: given } };
}

Deno.test("run() that may only read leaves out settings of the project that could run commands", async (t) => {
  const project = { name: { type: "project" } };
  const rows: [name: string, answer: unknown, distrusted: boolean][] = [
    ["none are there", layers({ name: { type: "user" } }), false],
    ["they are not in force", layers({ ...project, disabledReason: "not trusted" }), false],
    ["they are in force", layers(project), true],
    ["the agent cannot tell", { id: 2, error: { code: -32600, message: "unknown variant `config/read`" } }, true],
  ];
  for (const [name, answer, distrusted] of rows) {
    await t.step(name, async () => {
      const ran = await run([INITIALIZED, answer, READ_ONLY, LATER_BEGUN, ...DONE], {
        task: { permission: "read-only" },
      });
      const { sandbox, approvalPolicy, config } = sentTo("thread/start", ran);
      assertEquals([sandbox, approvalPolicy], ["read-only", "never"]);
      assertEquals(config?.projects?.["/work"]?.trust_level, distrusted ? "untrusted" : undefined);
      assertEquals(kindsOf(ran.messages), distrusted ? "error session text" : "session text");
      assertEquals(ran.outcome.kind, "completed");
    });
  }
});

Deno.test("run() does not begin in a thread that may do more than was asked for", async (t) => {
  const rows: [Permission, unknown[], string][] = [
    [
      "read-only",
      [layers(), { ...READ_ONLY, result: { thread: { id: "t1" }, sandbox: { type: "workspaceWrite" } } }],
      "workspaceWrite",
    ],
    ["ask", [{ ...OPENED, result: { thread: { id: "t1" }, approvalPolicy: "never" } }], "never asks"],
  ];
  for (const [permission, answers, detail] of rows) {
    await t.step(permission, async () => {
      const ran = await run([INITIALIZED, ...answers, ...DONE], { task: { permission } });
      assertEquals(sentTo("turn/start", ran), undefined);
      assertEquals(ran.outcome.kind === "failed" && ran.outcome.reason, "agent_error.missing_config");
      assertStringIncludes(ran.outcome.kind === "failed" ? ran.outcome.detail : "", detail);
    });
  }
});

Deno.test("run() names servers of tools in the thread's settings, and says which cannot be reached", async () => {
  const mcpServers: McpServer[] = [
    { name: "my files", kind: "stdio", command: "files", args: ["-x"], env: { A: "1" } },
    { name: "web", kind: "http", url: "http://127.0.0.1:1/mcp", headers: { B: "2" } },
    { name: "old", kind: "sse", url: "http://127.0.0.1:1/sse", headers: {} },
  ];
  const failure = {
    method: "mcpServer/startupStatus/updated",
    params: { name: "web", status: "failed", error: "refused" },
  };
  const ran = await run([...HANDSHAKE, failure, ...DONE], { task: { mcpServers } });
  assertEquals(sentTo("thread/start", ran).config, {
    mcp_servers: {
      my_files: { command: "files", args: ["-x"], env: { A: "1" } },
      web: { url: "http://127.0.0.1:1/mcp", http_headers: { B: "2" } },
    },
  });
  assertEquals(ran.messages.flatMap((message) => message.kind === "error" ? [message.text] : []), [
    "Left out the MCP server old: Codex has no SSE",
    "The MCP server web did not start: refused",
  ]);
});

Deno.test("run() takes up a session without its history, and fails with resumeRejected when it is not there", async () => {
  const task = { resumeSession: "t1" };
  const ran = await run([...HANDSHAKE, ...DONE], { task });
  const { threadId, excludeTurns, cwd } = sentTo("thread/resume", ran);
  assertEquals([threadId, excludeTurns, cwd, ran.outcome.kind], ["t1", true, "/work", "completed"]);
  const refused = (message: string) => run([INITIALIZED, { id: 2, error: { code: -32600, message } }], { task });
  const rows: [message: string, rejected: true | undefined, FailureReason][] = [
    ["no rollout found for thread id t1", true, "agent_error.unknown"],
    ["invalid session id: invalid character", true, "agent_error.unknown"],
    ["failed to load configuration: invalid type", undefined, "agent_error.missing_config"],
    ["something else", undefined, "agent_error.unknown"],
  ];
  for (const [message, rejected, reason] of rows) {
    const { outcome } = await refused(message);
    assertEquals(outcome.kind === "failed" && [outcome.resumeRejected, outcome.reason], [rejected, reason], message);
  }
});

Deno.test("run() does not wait for ever for an answer of the handshake", async (t) => {
  const rows: [method: string, answers: unknown[], task: Partial<AgentTask>][] = [
    ["initialize", [], {}],
    ["thread/start", [INITIALIZED], {}],
    ["thread/resume", [INITIALIZED], { resumeSession: "t1" }],
    ["config/read", [INITIALIZED], { permission: "read-only" }],
    ["turn/start", [INITIALIZED, OPENED], {}],
  ];
  for (const [method, answers, task] of rows) {
    await t.step(method, async () => {
      const clock = new FakeClock();
      const agent = fakeAgent({ clock });
      const heard = listen(codexAppServer.run(agent.io, taskOf(task), new AbortController().signal));
      await tell(agent, ...answers, { method: "noise" });
      await clock.advance(60_000);
      const { outcome } = await heard;
      assertEquals(outcome.kind === "failed" && outcome.reason, "agent_error.agent_timeout");
      assertStringIncludes(outcome.kind === "failed" ? outcome.detail : "", `${method} within 60 s`);
    });
  }
});

Deno.test("run() puts no limit on the turn itself", async () => {
  const clock = new FakeClock();
  const agent = fakeAgent({ clock });
  const heard = listen(codexAppServer.run(agent.io, taskOf(), new AbortController().signal));
  await tell(agent, ...HANDSHAKE);
  await clock.advance(24 * 3_600_000);
  await agent.print(jsonLines(...DONE));
  assertEquals((await heard).outcome.kind, "completed");
});

const COMMAND = { type: "commandExecution", id: "c1", command: "touch x", cwd: "/work", status: "inProgress" };
const ASKED = {
  id: 0,
  method: "item/commandExecution/requestApproval",
  params: { ...TURN, itemId: "c1", command: "touch x", cwd: "/work", reason: null },
};

Deno.test("run() answers what is asked as the task's permission and the person say", async (t) => {
  const rows: [Permission, says: boolean | undefined, decision: string][] = [
    ["full", undefined, "accept"],
    ["ask", true, "accept"],
    ["ask", false, "decline"],
  ];
  for (const [permission, says, decision] of rows) {
    await t.step(`${permission}${says === undefined ? "" : says ? ", yes" : ", no"}`, async () => {
      const asked: PermissionRequest[] = [];
      const task = { permission };
      const agent = fakeAgent({
        ask: (request) => {
          asked.push(request);
          return Promise.resolve({ allow: says === true, why: "said so" });
        },
      });
      const heard = listen(codexAppServer.run(agent.io, taskOf(task), new AbortController().signal));
      await tell(agent, ...HANDSHAKE, notice("item/started", { item: COMMAND }), ASKED);
      assertEquals(sentSoFar(agent).at(-1), { id: 0, result: { decision } });
      await agent.print(jsonLines(...DONE));
      await heard;
      const input = { command: "touch x", cwd: "/work" };
      const question = { tool: "exec_command", callId: "c1", title: "run touch x", input };
      assertEquals(asked, says === undefined ? [] : [question]);
    });
  }
});

Deno.test("run() that may only read denies whatever is asked", async () => {
  const { sent } = await run([INITIALIZED, layers(), READ_ONLY, LATER_BEGUN, ASKED, ...DONE], {
    task: { permission: "read-only" },
  });
  assertEquals(sent.at(-1), { id: 0, result: { decision: "decline" } });
});

Deno.test("run() goes on reading while a person thinks", async () => {
  const answer = Promise.withResolvers<{ allow: boolean; why: string }>();
  const agent = fakeAgent({ ask: () => answer.promise });
  const session = codexAppServer.run(agent.io, taskOf({ permission: "ask" }), new AbortController().signal);
  const heard = listen(session);
  await tell(agent, ...HANDSHAKE, ASKED, notice("item/agentMessage/delta", { itemId: "a", delta: "so " }));
  assertEquals(agent.written().includes("decision"), false);
  answer.resolve({ allow: true, why: "said so" });
  await agent.print("\n");
  assertStringIncludes(agent.written(), '{"id":0,"result":{"decision":"accept"}}');
  await agent.print(jsonLines(...DONE));
  assertEquals((await heard).outcome.kind, "completed");
});

Deno.test("run() puts each kind of request as a question, and answers it in its own form", async (t) => {
  const form = { serverName: "srv", mode: "form", message: "Allow it?", requestedSchema: { properties: {} } };
  const mcpCall = { type: "mcpToolCall", id: "m1", server: "srv", tool: "wr", arguments: { a: 1 } };
  const change = { type: "fileChange", id: "f1", changes: [{ path: "a.txt", kind: { type: "add" }, diff: "x" }] };
  const rights = { network: { enabled: true }, fileSystem: null };
  const rows: {
    method: string;
    item?: unknown;
    params: Record<string, unknown>;
    asked: Partial<PermissionRequest>;
    yes: unknown;
    no: unknown;
  }[] = [
    {
      method: "item/fileChange/requestApproval",
      item: change,
      params: { itemId: "f1" },
      asked: { tool: "apply_patch", callId: "f1", title: "change a.txt" },
      yes: { decision: "accept" },
      no: { decision: "decline" },
    },
    {
      method: "item/permissions/requestApproval",
      params: { itemId: "p1", permissions: rights },
      asked: { tool: "request_permissions", title: "have more rights until the end of the turn: network" },
      yes: { permissions: { network: { enabled: true } }, scope: "turn" },
      no: { permissions: {}, scope: "turn" },
    },
    {
      method: "mcpServer/elicitation/request",
      item: mcpCall,
      params: { ...form, _meta: { tool_name: "wr", tool_params: { a: 1 } } },
      asked: { tool: "mcp__srv__wr", callId: "m1", title: "Allow it?", input: { a: 1 } },
      yes: { action: "accept", content: {}, _meta: null },
      no: { action: "decline", content: null, _meta: null },
    },
    {
      method: "mcpServer/elicitation/request",
      item: mcpCall,
      params: form,
      asked: { tool: "mcp__srv__wr", callId: "m1", title: "Allow it?", input: { a: 1 } },
      yes: { action: "accept", content: {}, _meta: null },
      no: { action: "decline", content: null, _meta: null },
    },
  ];
  for (const { method, item, params, asked, yes, no } of rows) {
    for (const [says, result] of [[true, yes], [false, no]] as const) {
      await t.step(`${method}, ${says ? "yes" : "no"}`, async () => {
        const questions: PermissionRequest[] = [];
        const begun = item ? [notice("item/started", { item })] : [];
        const ask = (request: PermissionRequest) => (questions.push(request), says);
        const { sent } = await run([
          ...HANDSHAKE,
          ...begun,
          { id: "r7", method, params: { ...TURN, ...params } },
          ...DONE,
        ], {
          task: { permission: "ask" },
          ask,
        });
        assertEquals(sent.at(-1), { id: "r7", result });
        const known = Object.fromEntries(
          Object.keys(asked).map((key) => [key, questions[0]?.[key as keyof PermissionRequest]]),
        );
        assertEquals(known, asked);
      });
    }
  }
});

Deno.test("run() refuses what nobody can answer, so that the agent does not wait", async () => {
  const fields = { requestedSchema: { properties: { name: { type: "string" } } } };
  const { sent, outcome } = await run([
    ...HANDSHAKE,
    { id: 0, method: "item/tool/requestUserInput", params: { ...TURN, questions: [] } },
    { id: 1, method: "mcpServer/elicitation/request", params: { ...TURN, serverName: "s", mode: "form", ...fields } },
    {
      id: 2,
      method: "mcpServer/elicitation/request",
      params: { ...TURN, serverName: "s", mode: "url", url: "http://x" },
    },
    ...DONE,
  ], { task: { permission: "full" } });
  const [unknown, withFields, visit] = sent.slice(-3);
  assertEquals([unknown?.id, unknown?.error?.code], [0, -32601]);
  const declined = { action: "decline", content: null, _meta: null };
  assertEquals([withFields?.result, visit?.result], [declined, declined]);
  assertEquals(outcome.kind, "completed");
});

Deno.test("run() breaks off the turn before it lets go of an agent that was stopped", async () => {
  const agent = fakeAgent();
  const stop = new AbortController();
  const heard = listen(codexAppServer.run(agent.io, taskOf(), stop.signal));
  await tell(agent, ...HANDSHAKE);
  stop.abort();
  assertEquals((await heard).outcome.kind, "failed");
  await agent.stdinClosed;
  const { method, params } = sentSoFar(agent).at(-1)!;
  assertEquals([method, params], ["turn/interrupt", { threadId: "t1", turnId: "u1" }]);
});
