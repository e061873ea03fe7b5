/** Broken and hostile clients over real connections: the server goes on, serves the others meanwhile, and calls nothing its own error. */
import { assert, assertEquals } from "@std/assert";
import { randomFrom, seedOfRun } from "../core/seed.ts";
import { isLong } from "../support/length.ts";
import { SILENT } from "../coordinator/world.ts";
import { TestServer } from "./coordinator_server.ts";
import { Fuzz, written } from "./fuzz_values.ts";
import { call, type RawDaemon } from "./raw_daemon.ts";
import { frameOf, type FrameShape, OPCODE, type RawSocket } from "./raw_socket.ts";

/** Connections and frames. */
const ROUNDS = isLong() ? 600 : 40;
const PATIENCE_MS = 10_000;
const ENCODER = new TextEncoder();

interface Watched extends AsyncDisposable {
  readonly server: TestServer;
  readonly daemon: RawDaemon;
  /** Good calls are answered as ever, and nothing was logged as an error of ours. */
  isWell(what: string): Promise<void>;
}

async function watched(): Promise<Watched> {
  const errors: unknown[] = [];
  const log = { ...SILENT, error: (text: string, fields?: unknown) => void errors.push([text, fields]) };
  const server = await TestServer.own({ log });
  const daemon = await server.daemon();
  return {
    server,
    daemon,
    async isWell(what) {
      const { status } = await within(daemon.beat(), `a beat after ${what}`);
      assertEquals([status, errors], [200, []], what);
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

function within<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Not within ${PATIENCE_MS} ms: ${what}`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function connect({ where }: TestServer): Promise<Deno.TcpConn> {
  const { hostname, port } = new URL(where.baseUrl);
  return await Deno.connect({ hostname, port: Number(port) });
}

/** What comes back before the connection ends, or before nothing more comes for a while. */
async function rest(connection: Deno.Conn, quietMs = 300): Promise<string> {
  let text = "";
  const chunk = new Uint8Array(65_536);
  let open = true;
  const close = () => {
    if (open) connection.close();
    open = false;
  };
  const timer = setTimeout(close, quietMs);
  try {
    for (let read = await connection.read(chunk); read !== null; read = await connection.read(chunk)) {
      text += new TextDecoder().decode(chunk.subarray(0, read));
    }
  } catch {
    // Closed by us, or reset by the server: what came is what there is.
  } finally {
    clearTimeout(timer);
    close();
  }
  return text;
}

async function write(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let from = 0; from < bytes.length;) from += await connection.write(bytes.subarray(from));
}

function post(path: string, token: string, more: string): string {
  return `POST ${path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\n${more}`;
}

Deno.test("Server: a client that breaks off in the middle of a body leaves nothing behind", async () => {
  await using w = await watched();
  const task = await w.server.enqueue(w.daemon);
  await w.daemon.claimOne();
  const before = await w.server.view(task);
  for (
    const path of [`/api/daemon/tasks/${task}/fail`, `/api/daemon/tasks/${task}/messages`, "/v1/tasks", "/api/issues"]
  ) {
    const connection = await connect(w.server);
    await write(
      connection,
      ENCODER.encode(post(path, w.server.where.token, 'content-length: 900\r\n\r\n{"error":"half')),
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    connection.close();
  }
  await w.isWell("broken bodies");
  assertEquals(await w.server.view(task), before);
});

Deno.test("Server: many clients that stall in the middle of a body hold up nobody else", async () => {
  await using w = await watched();
  const stalled = await Promise.all(Array.from({ length: 50 }, () => connect(w.server)));
  const half = ENCODER.encode(post("/api/daemon/register", w.server.where.token, 'content-length: 900\r\n\r\n{"a":'));
  for (const connection of stalled) await write(connection, half);
  await w.isWell("stalled bodies");
  await w.server.enqueue(w.daemon);
  await within(w.daemon.claimOne(), "a claim beside them");
  for (const connection of stalled) connection.close();
  await w.isWell("they are gone");
});

Deno.test("Server: what is no HTTP is answered with an error or with nothing", async () => {
  await using w = await watched();
  const { token } = w.server.where;
  const long = "x".repeat(300_000);
  const cases: readonly string[] = [
    "\r\n\r\n",
    "\u0000\u0001\u0002\u0003",
    "GET / HTTP/9.9\r\n\r\n",
    "GET /api/workspaces HTTP/1.1\r\n\r\n",
    `GET /${long} HTTP/1.1\r\nhost: x\r\n\r\n`,
    `GET /api/workspaces HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${long}\r\n\r\n`,
    post("/api/daemon/register", token, "content-length: 2\r\ncontent-length: 3\r\n\r\n{}"),
    post("/api/daemon/register", token, "content-length: -1\r\n\r\n{}"),
    post("/api/daemon/register", token, "transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
    post("/api/daemon/register", token, "transfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n{}"),
    post("/api/daemon/register", token, "content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}"),
    post("/api/daemon/register", token, "content-length: 99999999999999\r\n\r\n{}"),
    "CONNECT x:443 HTTP/1.1\r\nhost: x\r\n\r\n",
    "GET /api/daemon/ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
  ];
  for (const [n, text] of cases.entries()) {
    const connection = await connect(w.server);
    await write(connection, ENCODER.encode(text)).catch(() => {});
    const answer = await rest(connection, 150);
    assert(answer === "" || /^HTTP\/1\.[01] 4\d\d /.test(answer), `case ${n}: ${answer.slice(0, 200)}`);
  }
  await w.isWell("all that");
});

Deno.test("Server: a body beyond the limit is refused while it comes, and the next call is served", async () => {
  await using w = await watched();
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.enqueue(new Uint8Array(1024 * 1024).fill(32));
    },
  });
  const headers = { authorization: `Bearer ${w.server.where.token}` };
  const sent = fetch(`${w.server.where.baseUrl}/api/daemon/register`, { method: "POST", headers, body });
  // Whether the refusal is read before the upload breaks is up to the client.
  const status = await within(
    sent.then(async (one) => (await one.body?.cancel(), one.status), () => 413),
    "an end of it",
  );
  assertEquals(status, 413);
  await w.isWell("an endless body");
  const large = await call(w.server.where, "POST /api/issues", { title: "x", description: "y".repeat(10_000_000) });
  assertEquals(large.status, 400, "within the limit it is read, and refused for what it is");
});

/** A frame that keeps the rules of the protocol and of its JSON less and less. */
function frames(fuzz: Fuzz, { daemonId, runtime, runtimes }: RawDaemon): Uint8Array {
  const good = fuzz.of<unknown>([
    { type: "daemon:heartbeat", payload: { runtime_id: runtime, supports_batch_import: true } },
    {
      type: "daemon:rpc_request",
      payload: {
        request_id: "r1",
        method: "tasks.claim",
        body: { daemon_id: daemonId, runtime_ids: runtimes, max_tasks: 1, submitted_to: "x" },
        timeout_ms: 5_000,
      },
    },
  ]);
  if (fuzz.chance(0.6)) return frameOf(ENCODER.encode(written(fuzz.spoiled(good)).slice(0, 60_000)));
  const shape: FrameShape = fuzz.of<FrameShape>([
    { opcode: fuzz.below(16) },
    { more: true },
    { opcode: OPCODE.continuation },
    { masked: false },
    { reserved: 1 + fuzz.below(7) },
    { claims: fuzz.of([70_000, 2 ** 31, 2 ** 53, 2 ** 62]) },
    { opcode: OPCODE.ping },
    { opcode: OPCODE.close },
    { opcode: OPCODE.binary },
  ]);
  return frameOf(fuzz.body(good).slice(0, fuzz.of([0, 1, 2, 200, 70_000])), shape);
}

/** Reads what comes until the server ends it or is quiet; no answer is an error of the server. */
async function drained(socket: RawSocket, shown: string): Promise<void> {
  try {
    for (let frame = await socket.frame(100); frame && frame.opcode !== OPCODE.close; frame = await socket.frame(100)) {
      if (frame.opcode !== OPCODE.text) continue;
      const { type, payload } = JSON.parse(new TextDecoder().decode(frame.payload));
      assert(!(type === "daemon:rpc_response" && payload.status >= 500), `${shown}: ${JSON.stringify(payload)}`);
    }
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith("No frame"))) throw error;
  }
}

Deno.test("Server: hostile frames end their own connection at most", async () => {
  await using w = await watched();
  const seed = seedOfRun();
  const fuzz = new Fuzz(randomFrom(seed));
  using bystander = await w.daemon.connect();
  for (let round = 0; round < ROUNDS; round++) {
    using socket = await w.daemon.connect();
    const shown = `seed ${seed}, round ${round}`;
    try {
      for (let n = 0; n < 10; n++) await socket.write(frames(fuzz, w.daemon));
    } catch {
      // The server has hung up already.
    }
    await drained(socket, shown);
  }
  await bystander.send(JSON.stringify({ type: "daemon:heartbeat", payload: { runtime_id: w.daemon.runtime } }));
  assertEquals((await bystander.json()).type, "daemon:heartbeat_ack", `seed ${seed}`);
  await w.isWell(`hostile frames, seed ${seed}`);
});

Deno.test("Server: a client that never reads is given up, and the others hear what they should", async () => {
  await using w = await watched();
  using deaf = await w.daemon.connect();
  using bystander = await w.daemon.connect();
  const beat = JSON.stringify({ type: "daemon:heartbeat", payload: { runtime_id: w.daemon.runtime } });
  const frame = frameOf(ENCODER.encode(beat));
  for (let n = 0; n < 2_000; n++) await deaf.write(frame).catch(() => {});
  await bystander.send(beat);
  assertEquals((await bystander.json()).type, "daemon:heartbeat_ack");
  await w.isWell("one that never reads");
});
