/** What a daemon tells of its health, and to whom: the fields, and a port that only programs of this machine get answers from. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type HealthFacts, type HealthPort, healthView } from "../../lib/app/health.ts";
import { openHealthPort } from "../../lib/app/health_port.ts";
import { homeLayout } from "../../lib/core/home.ts";
import type { DaemonStatus } from "../../lib/daemon/status.ts";
import { createNetwork } from "../../lib/host/network.ts";
import { keptLog } from "../daemon/kept_log.ts";

const STARTED = Date.UTC(2026, 0, 15, 12);

const STATUS = {
  phase: "running",
  holding: "paused-by-person",
  paused: { kind: "person", since: STARTED, until: STARTED + 60_000, why: "lunch", how: "drover resume" },
  today: [{ provider: "llm", tasks: 2, tokens: 9, usd: null, limits: { tasks: 5, tokens: null, usd: null } }],
  waitingFor: [],
  slots: { total: 4, running: 2 },
  tasks: [
    {
      task: "t1",
      agent: "claude",
      provider: "claude",
      stage: "running",
      slot: 0,
      since: STARTED + 1_000,
      pid: 77,
      messages: 3,
      workdir: "/home/me/project",
    },
    {
      task: "t2",
      agent: "second",
      provider: "llm",
      stage: "starting",
      slot: 1,
      since: STARTED + 2_000,
      pid: null,
      messages: 0,
      workdir: "",
    },
  ],
  connections: [{
    name: "embedded",
    state: "connected",
    why: "",
    runtimes: [
      { id: "r1", provider: "claude", version: "2.1.0", workspace: "w1" },
      { id: "r2", provider: "llm", version: "0.31", workspace: "w1" },
      { id: "r3", provider: "claude", version: "2.1.0", workspace: "w2" },
    ],
    droppedBatches: 1,
  }],
  skipped: [{ provider: "codex", why: "not-found", detail: "no codex on PATH" }],
  reloadPending: null,
  outbox: { waiting: 2, degraded: false },
  startedAt: STARTED,
} as unknown as DaemonStatus;

function facts(change: Partial<HealthFacts> = {}): HealthFacts {
  return {
    home: homeLayout("/home/me/.drover"),
    hello: {
      protocol: 1,
      instance: "i1",
      pid: 4711,
      version: "1.2.3",
      mode: "daemon",
      phase: "running",
      home: "/home/me/.drover",
    },
    status: STATUS,
    record: {
      binary: "/usr/bin/drover",
      digest: "ab",
      controlSocket: "/home/me/.drover/run/c-1.sock",
      startReason: "user",
      launch: { args: ["daemon", "--token=no"], cwd: "/", env: { SECRET: "0a" }, supervisor: "none" },
    },
    daemonId: "d1",
    deviceName: "box",
    os: "linux",
    port: { kind: "listening", port: 19_514 },
    now: STARTED + 3_723_000,
    ...change,
  };
}

Deno.test("healthView() has these fields, and none of a task's directory, of the launch or of the environment", () => {
  assertEquals(healthView(facts()), {
    status: "running",
    state: "running",
    pid: 4711,
    os: "linux",
    uptime: "1h2m3s",
    uptime_ms: 3_723_000,
    started_at: "2026-01-15T12:00:00.000Z",
    profile: "",
    home: "/home/me/.drover",
    daemon_id: "d1",
    device_name: "box",
    server_url: "",
    cli_version: "1.2.3",
    daemon_version: "1.2.3",
    protocol: 1,
    instance: "i1",
    mode: "daemon",
    binary: "/usr/bin/drover",
    digest: "ab",
    control_socket: "/home/me/.drover/run/c-1.sock",
    log: "/home/me/.drover/logs/daemon.log",
    start_reason: "user",
    supervisor: "none",
    active_task_count: 2,
    running_task_count: 1,
    resource_wait_task_count: 0,
    slots: { total: 4, running: 2 },
    holding: "paused-by-person",
    paused: {
      kind: "person",
      since: "2026-01-15T12:00:00.000Z",
      until: "2026-01-15T12:01:00.000Z",
      why: "lunch",
      how: "drover resume",
    },
    today: [{ provider: "llm", tasks: 2, tokens: 9, usd: null, limits: { tasks: 5, tokens: null, usd: null } }],
    waiting_for: [],
    tasks: [
      { id: "t1", agent: "claude", provider: "claude", stage: "running", since: "2026-01-15T12:00:01.000Z" },
      { id: "t2", agent: "second", provider: "llm", stage: "starting", since: "2026-01-15T12:00:02.000Z" },
    ],
    agents: ["claude", "llm"],
    skipped_agents: { codex: "no codex on PATH" },
    workspaces: [{ id: "w1", runtimes: ["r1", "r2"] }, { id: "w2", runtimes: ["r3"] }],
    runtimes: [
      { id: "r1", provider: "claude", version: "2.1.0", workspace: "w1", connection: "embedded" },
      { id: "r2", provider: "llm", version: "0.31", workspace: "w1", connection: "embedded" },
      { id: "r3", provider: "claude", version: "2.1.0", workspace: "w2", connection: "embedded" },
    ],
    connections: [{ name: "embedded", state: "connected", why: "", dropped_batches: 1 }],
    outbox: { waiting: 2, degraded: false },
    reload_pending: null,
    health_port: { kind: "listening", port: 19_514 },
  });
});

Deno.test("healthView() says degraded beside running, and the phases in the words that clients know", () => {
  const said = (phase: HealthFacts["hello"]["phase"], status = STATUS) => {
    const { status: word, state } = healthView(facts({ hello: { ...facts().hello, phase }, status }));
    return [word, state];
  };
  assertEquals(said("starting"), ["starting", "starting"]);
  assertEquals(said("reload-pending"), ["running", "running"]);
  assertEquals(said("draining"), ["draining", "draining"]);
  assertEquals(said("stopped"), ["stopping", "stopping"]);
  const unwritable = { ...STATUS, outbox: { waiting: 0, degraded: true } };
  assertEquals(said("running", unwritable), ["running", "degraded"]);
  assertEquals(said("draining", unwritable), ["draining", "draining"]);
  const [connection] = STATUS.connections;
  const refused = { ...STATUS, connections: [{ ...connection!, state: "refused" as const, why: "no" }] };
  assertEquals(said("running", refused), ["running", "degraded"]);
});

Deno.test("healthView() names the profile of its home, blots secrets out, and never counts time backwards", () => {
  const [connection] = STATUS.connections;
  const why = "https://me:hunter22@example.org said no";
  const view = healthView(facts({
    home: homeLayout("/home/me/.drover/profiles/work"),
    status: { ...STATUS, connections: [{ ...connection!, why }] },
    now: STARTED - 5_000,
  }));
  assertEquals([view.profile, view.uptime, view.uptime_ms], ["work", "0s", 0]);
  assertEquals(view.connections[0]!.why.includes("hunter22"), false);
});

Deno.test("healthView() tells which program a runtime has, and what waits to be registered or restarted for", () => {
  const [connection] = STATUS.connections;
  const digest = "0123456789ab".repeat(6).slice(0, 64);
  const runtime = {
    ...connection!.runtimes[0]!,
    digest: digest.slice(0, 12),
    since: STARTED + 1_000,
    state: "changed" as const,
  };
  const reloadPending = {
    since: STARTED + 2_000,
    reason: "agent_binary_changed" as const,
    provider: "claude",
    binary: "/usr/bin/claude",
    oldDigest: "",
    newDigest: digest,
    blockedBy: { active: 2, claims: 1, why: "a server does not know it yet" },
    deadline: STARTED + 60_000,
  };
  const status = { ...STATUS, reloadPending, connections: [{ ...connection!, runtimes: [runtime] }] };
  const view = healthView(facts({ status }));
  assertEquals(view.runtimes, [{
    id: "r1",
    provider: "claude",
    version: "2.1.0",
    workspace: "w1",
    connection: "embedded",
    digest: "0123456789ab",
    since: "2026-01-15T12:00:01.000Z",
    state: "changed",
  }]);
  assertEquals(view.reload_pending, {
    ...reloadPending,
    since: "2026-01-15T12:00:02.000Z",
    deadline: "2026-01-15T12:01:00.000Z",
  });
});

Deno.test("healthView() writes the uptime as Go does", () => {
  const uptime = (ms: number) => healthView(facts({ now: STARTED + ms })).uptime;
  assertEquals([0, 999, 59_000, 60_000, 3_600_000, 90_061_000].map(uptime), [
    "0s",
    "0s",
    "59s",
    "1m0s",
    "1h0m0s",
    "25h1m1s",
  ]);
});

/** A port that was free a moment ago. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Over a socket of its own: `fetch` sets Host itself. */
async function raw(port: number, request: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(request.replaceAll("\n", "\r\n")));
  return await new Response(connection.readable).text();
}

async function withPort(test: (port: number) => Promise<void>): Promise<void> {
  for (let tries = 0;; tries++) {
    const port = freePort();
    const endpoint = openHealthPort({
      port,
      network: createNetwork(),
      log: keptLog(),
      view: () => healthView(facts()),
    });
    // Somebody else may have taken it in between.
    if (endpoint.state.kind === "failed" && tries < 5) continue;
    try {
      assertEquals(endpoint.state, { kind: "listening", port });
      return await test(port);
    } finally {
      await endpoint.close();
    }
  }
}

Deno.test("the health port answers GET and HEAD of /health on 127.0.0.1 with what no page may keep or read", () =>
  withPort(async (port) => {
    const answer = await fetch(`http://127.0.0.1:${port}/health`);
    assertEquals([answer.status, await answer.json()], [200, JSON.parse(JSON.stringify(healthView(facts())))]);
    assertEquals(answer.headers.get("cache-control"), "no-store");
    assertEquals(answer.headers.get("cross-origin-resource-policy"), "same-origin");
    assertEquals([...answer.headers.keys()].filter((name) => name.startsWith("access-control")), []);
    const head = await fetch(`http://localhost:${port}/health`, { method: "HEAD" });
    assertEquals([head.status, await head.text()], [200, ""]);
  }));

Deno.test("the health port can only be read, and has nothing else", () =>
  withPort(async (port) => {
    const table: readonly (readonly [method: string, path: string, status: number])[] = [
      ["POST", "/health", 405],
      ["PUT", "/health", 405],
      ["DELETE", "/health", 405],
      ["OPTIONS", "/health", 405],
      ["POST", "/shutdown", 404],
      ["GET", "/", 404],
      ["GET", "/v1/status", 404],
      ["GET", "/health/", 404],
    ];
    for (const [method, path, status] of table) {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { method });
      const text = await answer.text();
      assertEquals(answer.status, status, `${method} ${path}`);
      assertStringIncludes(text, "Cannot answer");
      assertEquals(answer.headers.get("allow"), status === 405 ? "GET, HEAD" : null);
    }
  }));

Deno.test("the health port answers nobody who calls it by another name", () =>
  withPort(async (port) => {
    const ask = (host: string) => raw(port, `GET /health HTTP/1.1\n${host}Connection: close\n\n`);
    for (const good of [`127.0.0.1:${port}`, `localhost:${port}`, `LocalHost:${port}`]) {
      assertMatch(await ask(`Host: ${good}\n`), /^HTTP\/1\.1 200 /, good);
    }
    const bad = ["127.0.0.1", `evil.example:${port}`, `localhost.evil.example:${port}`, `127.0.0.1:${port}@evil`, ""];
    for (const name of bad) {
      const answer = await ask(`Host: ${name}\n`);
      assertMatch(answer, /^HTTP\/1\.1 40[03] /, name);
      assertEquals(answer.includes("4711"), false, name);
    }
    assertMatch(await ask(""), /^HTTP\/1\.1 40[03] /, "no Host at all");
  }));

Deno.test("openHealthPort() goes on without a port that is taken, with one line in the log, and without one at all", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  const log = keptLog();
  const open = (wanted: number) =>
    openHealthPort({ port: wanted, network: createNetwork(), log, view: () => healthView(facts()) });
  const endpoint = open(port);
  const state = endpoint.state as Extract<HealthPort, { kind: "failed" }>;
  assertEquals([state.kind, state.port], ["failed", port]);
  assertStringIncludes(state.why, `another process has port ${port}`);
  assertEquals(log.records.length, 1);
  assertEquals(log.said("warn"), ["health port not open, the daemon goes on without it"]);
  await endpoint.close();
  const none = open(0);
  assertEquals([none.state.kind, log.records.length], ["off", 1]);
  await none.close();
});
