/** The client: what each call sends, and what it makes of every kind of answer. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Fetch } from "../../lib/core/ports.ts";
import { createClient, toWireMessage, type WireClient } from "../../lib/wire/client.ts";
import type { CallFailure, CallResult } from "../../lib/wire/retry.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { json, scriptedFetch } from "./scripted_fetch.ts";

function clientOver(
  fetch: Fetch,
  options: { clock?: FakeClock; os?: string; capabilities?: string[] } = {},
): WireClient {
  return createClient({
    name: "test",
    baseUrl: "http://server.test",
    token: () => "mul_secret",
    fetch,
    clock: options.clock ?? new FakeClock(),
    version: "1.2.3",
    os: options.os ?? "linux",
    capabilities: options.capabilities ?? [],
  });
}

function failureOf(result: CallResult<unknown>): CallFailure {
  assert(result.kind === "failed", "the call should have failed");
  return result;
}

const REGISTER = {
  workspace_id: "w",
  daemon_id: "d",
  device_name: "box",
  cli_version: "1.2.3",
  launched_by: "",
  legacy_daemon_ids: [],
  runtimes: [],
  failed_profiles: [],
};
const MESSAGE = { seq: 1, type: "text", tool: "", content: "hi", output: "", input: null, call_id: "" };
const USAGE = {
  provider: "p",
  model: "m",
  input_tokens: 1,
  output_tokens: 2,
  cache_read_tokens: 3,
  cache_write_tokens: 4,
  cost_usd_ticks: 5,
};

interface Row {
  readonly call: (client: WireClient, waiting?: { signal?: AbortSignal }) => Promise<CallResult<unknown>>;
  readonly sends: [method: string, path: string, body: unknown];
  readonly answer: Response;
  readonly value: unknown;
  readonly deadlineMs: number;
}

const ROW = { id: "t", status: "running" };

/** Wire protocol, section 1: every call's method, path, body, budget, and what is read from the answer. */
const CALLS: Record<Exclude<keyof WireClient, "name" | "call" | "old">, Row> = {
  workspaces: {
    call: (client, waiting) => client.workspaces(waiting),
    sends: ["GET", "/api/daemon/workspaces", undefined],
    answer: json([{ id: "w", name: "mine" }]),
    value: [{ id: "w", name: "mine" }],
    deadlineMs: 15_000,
  },
  profiles: {
    call: (client, waiting) => client.profiles("w", waiting),
    sends: ["GET", "/api/daemon/workspaces/w/runtime-profiles", undefined],
    answer: json({
      workspace_id: "w",
      runtime_profiles: [
        {
          id: "p",
          display_name: "House",
          protocol_family: "codex",
          command_name: "acme",
          fixed_args: ["--x"],
          enabled: true,
        },
        { id: "off", display_name: "Off", protocol_family: "codex", command_name: "acme", enabled: false },
        { id: "blank", display_name: "Blank", protocol_family: "codex", command_name: " ", enabled: true },
      ],
    }),
    value: [{
      id: "p",
      displayName: "House",
      provider: "codex",
      command: "acme",
      fixedArgs: ["--x"],
      env: {},
      visibility: "workspace",
      enabled: true,
    }],
    deadlineMs: 30_000,
  },
  register: {
    call: (client, waiting) => client.register(REGISTER, waiting),
    sends: ["POST", "/api/daemon/register", REGISTER],
    answer: json({
      runtimes: [{ id: "r", name: "claude (box)", provider: "claude", status: "online", profile_id: null }],
    }),
    value: {
      runtimes: [{ id: "r", name: "claude (box)", provider: "claude", status: "online", profile_id: null }],
      server_capabilities: [],
    },
    deadlineMs: 30_000,
  },
  heartbeat: {
    call: (client, waiting) => client.heartbeat("r", waiting),
    sends: ["POST", "/api/daemon/heartbeat", { runtime_id: "r", supports_batch_import: true }],
    answer: json({ status: "ok" }),
    value: { status: "ok", runtime_id: "", runtime_gone: false, server_capabilities: [] },
    deadlineMs: 30_000,
  },
  deregister: {
    call: (client, waiting) => client.deregister(["r", "s"], waiting),
    sends: ["POST", "/api/daemon/deregister", { runtime_ids: ["r", "s"] }],
    answer: json({ status: "ok" }),
    value: undefined,
    deadlineMs: 5_000,
  },
  recoverOrphans: {
    call: (client, waiting) => client.recoverOrphans("r", waiting),
    sends: ["POST", "/api/daemon/runtimes/r/recover-orphans", {}],
    answer: json({ orphaned: 2, retried: 1 }),
    value: { orphaned: 2, retried: 1 },
    deadlineMs: 30_000,
  },
  claim: {
    call: (client, waiting) => client.claim({ daemonId: "d", runtimeIds: ["r"], maxTasks: 3 }, waiting),
    sends: ["POST", "/api/daemon/tasks/claim", { daemon_id: "d", runtime_ids: ["r"], max_tasks: 3 }],
    answer: json({ tasks: [] }),
    value: [],
    deadlineMs: 5_000,
  },
  claimOne: {
    call: (client, waiting) => client.claimOne("r", waiting),
    sends: ["POST", "/api/daemon/runtimes/r/tasks/claim", {}],
    answer: json({ task: null }),
    value: null,
    deadlineMs: 5_000,
  },
  prepareLease: {
    call: (client, waiting) => client.prepareLease("r", "t", waiting),
    sends: ["POST", "/api/daemon/runtimes/r/tasks/t/prepare-lease", {}],
    answer: json(ROW),
    value: undefined,
    deadlineMs: 10_000,
  },
  start: {
    call: (client, waiting) => client.start("t", waiting),
    sends: ["POST", "/api/daemon/tasks/t/start", {}],
    answer: json({ ...ROW, more: 1 }),
    value: ROW,
    deadlineMs: 30_000,
  },
  status: {
    call: (client, waiting) => client.status("t", waiting),
    sends: ["GET", "/api/daemon/tasks/t/status", undefined],
    answer: json({ status: "running" }),
    value: "running",
    deadlineMs: 5_000,
  },
  waitForDirectory: {
    call: (client, waiting) => client.waitForDirectory("t", "dir (held by task 1)", waiting),
    sends: ["POST", "/api/daemon/tasks/t/wait-local-directory", { reason: "dir (held by task 1)" }],
    answer: json({ id: "t", status: "waiting_local_directory" }),
    value: undefined,
    deadlineMs: 5_000,
  },
  progress: {
    call: (client, waiting) => client.progress("t", "half way", waiting),
    sends: ["POST", "/api/daemon/tasks/t/progress", { summary: "half way", step: 0, total: 0 }],
    answer: json({ status: "ok" }),
    value: undefined,
    deadlineMs: 5_000,
  },
  messages: {
    call: (client, waiting) => client.messages("t", [MESSAGE], waiting),
    sends: ["POST", "/api/daemon/tasks/t/messages", { messages: [MESSAGE] }],
    answer: json({ status: "ok" }),
    value: undefined,
    deadlineMs: 5_000,
  },
  usage: {
    call: (client, waiting) => client.usage("t", [USAGE], waiting),
    sends: ["POST", "/api/daemon/tasks/t/usage", { usage: [USAGE] }],
    answer: json({ status: "ok" }),
    value: undefined,
    deadlineMs: 5_000,
  },
  session: {
    call: (client, waiting) => client.session("t", { session_id: "s", work_dir: "/w" }, waiting),
    sends: ["POST", "/api/daemon/tasks/t/session", { session_id: "s", work_dir: "/w" }],
    answer: new Response(null, { status: 204 }),
    value: undefined,
    deadlineMs: 5_000,
  },
  complete: {
    call: (client, waiting) => client.complete("t", { output: "done", session_id: "s" }, waiting),
    sends: ["POST", "/api/daemon/tasks/t/complete", { output: "done", session_id: "s" }],
    answer: json({ id: "t", status: "completed" }),
    value: { id: "t", status: "completed" },
    deadlineMs: 30_000,
  },
  fail: {
    call: (client, waiting) => client.fail("t", { error: "no" }, waiting),
    sends: ["POST", "/api/daemon/tasks/t/fail", { error: "no" }],
    answer: json({ id: "t", status: "failed" }),
    value: { id: "t", status: "failed" },
    deadlineMs: 30_000,
  },
  cancelAck: {
    call: (client, waiting) => client.cancelAck("t", { branch_name: "b" }, waiting),
    sends: ["POST", "/api/daemon/tasks/t/cancel-ack", { branch_name: "b" }],
    answer: json({ status: "ok" }),
    value: undefined,
    deadlineMs: 5_000,
  },
};

for (const [name, row] of Object.entries(CALLS)) {
  Deno.test(`WireClient.${name}() sends what the protocol says and reads the answer`, async () => {
    const server = scriptedFetch(() => row.answer.clone());
    const result = await row.call(clientOver(server.fetch));
    assertEquals(result, { kind: "ok", value: row.value });
    assertEquals(server.calls.map(({ method, path, body }) => [method, path, body]), [row.sends]);
  });

  Deno.test(`WireClient.${name}() gives up when its time is over and leaves no timer behind`, async () => {
    const clock = new FakeClock();
    const server = scriptedFetch(() => "never");
    const pending = row.call(clientOver(server.fetch, { clock }));
    await clock.advance(row.deadlineMs - 1);
    assertEquals(clock.waiting, 1);
    await clock.advance(1);
    const failure = failureOf(await pending);
    assertEquals([failure.code, failure.status], ["transport", 0]);
    assertStringIncludes(failure.detail, `${row.sends[0]} ${row.sends[1]}: No answer within ${row.deadlineMs} ms`);
    assertEquals(clock.waiting, 0);
  });

  Deno.test(`WireClient.${name}() ends at once when its signal aborts`, async () => {
    const clock = new FakeClock();
    const server = scriptedFetch(() => "never");
    const abort = new AbortController();
    const pending = row.call(clientOver(server.fetch, { clock }), { signal: abort.signal });
    await clock.settle();
    abort.abort(new Error("enough"));
    assertEquals(failureOf(await pending).code, "aborted");
    assertEquals(clock.waiting, 0);
    assertEquals(failureOf(await row.call(clientOver(server.fetch), { signal: abort.signal })).code, "aborted");
    assertEquals(server.calls.length, 1);
  });
}

Deno.test("WireClient tells those who carry a request whether its time was over or its caller gave it up", async () => {
  for (const [late, name] of [[true, "TimeoutError"], [false, "AbortError"]] as const) {
    const [clock, abort] = [new FakeClock(), new AbortController()];
    let carried: AbortSignal | undefined;
    const pending = clientOver((request) => {
      carried = request.signal;
      return new Promise(() => {});
    }, { clock }).status("t", { signal: abort.signal });
    await clock.advance(late ? 5_000 : 0);
    abort.abort();
    await pending;
    assertEquals(carried?.reason.name, name);
  }
});

Deno.test("WireClient.claim() names the instance only where claims are limited to it", async () => {
  const server = scriptedFetch(() => json({ tasks: [] }));
  await clientOver(server.fetch).claim({ daemonId: "d", runtimeIds: [], maxTasks: 1, submittedTo: "i" });
  assertEquals(server.calls[0]!.body, { daemon_id: "d", runtime_ids: [], max_tasks: 1, submitted_to: "i" });
});

Deno.test("WireClient puts ids into the path so that none of them can leave its place", async () => {
  const server = scriptedFetch(() => json(ROW));
  await clientOver(server.fetch).start("a/../b?c#d");
  assertEquals(server.calls[0]!.path, "/api/daemon/tasks/a%2F..%2Fb%3Fc%23d/start");
});

Deno.test("WireClient says who it is with every call", async () => {
  const server = scriptedFetch(() => json({ status: "ok" }));
  await clientOver(server.fetch).heartbeat("r");
  await clientOver(server.fetch, { os: "darwin", capabilities: ["rpc-v1", "x-v1"] }).status("t");
  const [first, second] = server.calls.map(({ headers }) => Object.fromEntries(headers));
  assertEquals(first, {
    authorization: "Bearer mul_secret",
    "content-type": "application/json",
    "x-client-platform": "daemon",
    "x-client-version": "1.2.3",
    "x-client-os": "linux",
  });
  assertEquals([second!["x-client-os"], second!["x-client-capabilities"]], ["macos", "rpc-v1,x-v1"]);
});

Deno.test("WireClient.call() speaks for a task with the task's own token and headers", async () => {
  const server = scriptedFetch(() => json({ status: "ok" }));
  const spec = { method: "GET", path: "/api/issues/i", token: "mat_1", headers: { "x-workspace-id": "w" } } as const;
  await clientOver(server.fetch).call(spec);
  const { headers } = server.calls[0]!;
  assertEquals([headers.get("authorization"), headers.get("x-workspace-id")], ["Bearer mat_1", "w"]);
});

Deno.test("WireClient.call() gives up an answer that is longer than it may be, at the very byte", async () => {
  for (const [size, kind] of [[10, "ok"], [11, "failed"]] as const) {
    // Two bytes of one character in two chunks.
    const bytes = new TextEncoder().encode(`"${"x".repeat(size - 4)}é"`);
    let cancelled = false;
    const body = new ReadableStream({
      start(controller) {
        for (const byte of bytes) controller.enqueue(new Uint8Array([byte]));
        if (kind === "ok") controller.close();
      },
      cancel: () => void (cancelled = true),
    });
    const server = scriptedFetch(() => new Response(body));
    const spec = { method: "GET", path: "/", maxBytes: 10, decode: (value: unknown) => value } as const;
    const result = await clientOver(server.fetch).call(spec);
    assertEquals([result.kind, cancelled], [kind, kind === "failed"]);
    if (result.kind === "ok") assertEquals(result.value, "xxxxxxé");
    else assertStringIncludes(result.detail, "longer than 10 bytes");
  }
});

Deno.test("WireClient tells what is gone by the text of a 404, and by nothing else", async () => {
  const rows: [status: number, body: string, gone: CallFailure["gone"]][] = [
    [404, '{"error":"runtime not found"}', "runtime"],
    [404, '{"error":"Task Not Found"}', "task"],
    [404, "workspace not found", "workspace"],
    [404, '{"error":"not found"}', undefined],
    [404, "404 page not found", "route"],
    [404, "", undefined],
    [500, '{"error":"task not found"}', undefined],
    [400, '{"error":"runtime not found"}', undefined],
  ];
  for (const [status, body, gone] of rows) {
    const server = scriptedFetch(() => new Response(body, { status }));
    const failure = failureOf(await clientOver(server.fetch).start("t"));
    assertEquals([failure.code, failure.status, failure.gone], ["status", status, gone], body);
  }
});

Deno.test("WireClient quotes the answer of a failed call, shortened", async () => {
  const server = scriptedFetch((_, nth) => new Response(nth === 1 ? "x".repeat(10_000) : " \n", { status: 500 }));
  const client = clientOver(server.fetch);
  const long = failureOf(await client.status("t")).detail;
  assertStringIncludes(long, `GET /api/daemon/tasks/t/status: status 500, "xxx`);
  assert(long.length < 400, long);
  assertStringIncludes(failureOf(await client.status("t")).detail, "status 500, empty body");
});

Deno.test("WireClient does not take a good status with something else in it for an answer", async () => {
  for (const body of ["", "<html>", "[]", "null", '"text"', '{"tasks":{}}', '{"tasks":[{"id":""}]}', "{}"]) {
    const server = scriptedFetch(() => new Response(body));
    const failure = failureOf(await clientOver(server.fetch).claim({ daemonId: "d", runtimeIds: [], maxTasks: 1 }));
    assertEquals([failure.code, failure.status], ["decode", 200], body);
  }
});

Deno.test("WireClient reports a connection that breaks as unknown, with its cause", async () => {
  const server = scriptedFetch(() => new Error("connection reset"));
  const failure = failureOf(await clientOver(server.fetch).start("t"));
  assertEquals([failure.code, failure.status], ["transport", 0]);
  assertStringIncludes(failure.detail, "POST /api/daemon/tasks/t/start: connection reset");
});

Deno.test("WireClient says why a server was not reached, without the address and what it may hold", async () => {
  const gone = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = gone.addr;
  gone.close();
  const refused = failureOf(
    await clientOver((request) => fetch(request.url.replace("http://server.test", `http://me:hush@127.0.0.1:${port}`)))
      .status("t"),
  ).detail;
  assertStringIncludes(refused, "GET /api/daemon/tasks/t/status: ");
  assertStringIncludes(refused, "refused");
  for (const part of [String(port), "hush"]) assert(!refused.includes(part), refused);
  const once = "Cannot read the file: it is gone";
  const quoting = () => Promise.reject(new Error(once, { cause: new Error("it is gone") }));
  assertEquals(failureOf(await clientOver(quoting).status("t")).detail, `GET /api/daemon/tasks/t/status: ${once}`);
});

Deno.test("WireClient reports a body that breaks off as unknown", async () => {
  const server = scriptedFetch(() => new Response(new ReadableStream({ start: (c) => c.error(new Error("cut off")) })));
  const failure = failureOf(await clientOver(server.fetch).start("t"));
  assertEquals([failure.code, failure.detail], ["transport", "POST /api/daemon/tasks/t/start: cut off"]);
});

Deno.test("WireClient takes its listener off a signal that outlives the call", async () => {
  let listeners = 0;
  const { signal } = new AbortController();
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    listeners++;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    listeners--;
    removeEventListener.apply(signal, args);
  };
  const server = scriptedFetch((_, nth) => nth === 1 ? json(ROW) : new Error("reset"));
  const client = clientOver(server.fetch);
  await client.start("t", { signal });
  await client.start("t", { signal });
  assertEquals([server.calls.length, listeners], [2, 0]);
});

Deno.test("WireClient leaves no rejection behind when the abort comes between the head and the body of an answer", async () => {
  const abort = new AbortController();
  const body = new ReadableStream({
    // The body fails only after the call has given up on it.
    pull: () => new Promise((_, reject) => setTimeout(() => reject(new Error("late")), 0)),
  });
  const client = clientOver(() => {
    // One turn later than the answer's head, and before the client goes on with it.
    queueMicrotask(() => queueMicrotask(() => abort.abort(new Error("enough"))));
    return Promise.resolve(new Response(body));
  });
  assertEquals(failureOf(await client.start("t", { signal: abort.signal })).code, "aborted");
  // An unhandled rejection would end the test run here.
  await new Promise((resolve) => setTimeout(resolve, 5));
});

Deno.test("toWireMessage() gives every message its type and its fields", () => {
  const base = { seq: 7, tool: "", content: "", output: "", input: null, call_id: "" };
  const rows: [Parameters<typeof toWireMessage>[0], unknown][] = [
    [{ kind: "text", text: "a" }, { ...base, type: "text", content: "a" }],
    [{ kind: "thinking", text: "b" }, { ...base, type: "thinking", content: "b" }],
    [{ kind: "error", text: "c" }, { ...base, type: "error", content: "c" }],
    [{ kind: "tool-use", tool: "Bash", callId: "1", input: { command: "ls" } }, {
      ...base,
      type: "tool_use",
      tool: "Bash",
      input: { command: "ls" },
      call_id: "1",
    }],
    [{ kind: "tool-result", tool: "Bash", callId: "1", output: "x", isError: false }, {
      ...base,
      type: "tool_result",
      tool: "Bash",
      output: "x",
      call_id: "1",
    }],
    [{ kind: "session", sessionId: "s" }, undefined],
    [{ kind: "usage", usage: [] }, undefined],
  ];
  for (const [message, wire] of rows) assertEquals(toWireMessage(message, 7) as unknown, wire);
});
