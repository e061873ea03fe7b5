/** WebSockets on the server's side: frames both ways, one word at the end, and silence that is noticed. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { ServerSocket } from "../../lib/core/upgrade_port.ts";
import { createUpgrade } from "../../lib/host/websocket_server.ts";
import { eventually } from "../support/drover.ts";

class Server implements AsyncDisposable {
  readonly heard: string[] = [];
  readonly ends: string[] = [];
  socket: ServerSocket | undefined;
  readonly #http: Deno.HttpServer<Deno.NetAddr>;

  constructor(options: { idleSeconds?: number } = {}) {
    const upgrade = createUpgrade(options);
    this.#http = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
      // As with every look into a database before the answer.
      await Promise.resolve();
      const handlers = {
        opened: (socket: ServerSocket) => void (this.socket = socket),
        text: (frame: string) => void this.heard.push(frame),
        closed: (why: string) => void this.ends.push(why),
      };
      return upgrade(request, handlers) ?? new Response("no handshake", { status: 400 });
    });
  }

  get address(): Deno.NetAddr {
    return this.#http.addr;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http.shutdown();
  }
}

async function client(server: Server): Promise<{ socket: WebSocket; heard: string[]; ended: Promise<CloseEvent> }> {
  const socket = new WebSocket(`ws://127.0.0.1:${server.address.port}/`);
  const heard: string[] = [];
  socket.onmessage = ({ data }) => heard.push(data);
  const ended = new Promise<CloseEvent>((resolve) => socket.onclose = resolve);
  await new Promise((resolve) => socket.onopen = resolve);
  await eventually(() => server.socket !== undefined, "the server has it open");
  return { socket, heard, ended };
}

Deno.test("createUpgrade() makes a WebSocket of a request, and frames go both ways", async () => {
  await using server = new Server();
  const { socket, heard, ended } = await client(server);
  socket.send("hello");
  server.socket!.send("you too");
  await eventually(() => server.heard.length + heard.length === 2, "both were heard");
  assertEquals([server.heard, heard], [["hello"], ["you too"]]);
  socket.send(new Uint8Array(70_000));
  await eventually(() => server.heard.length === 2, "a frame of bytes counts by its length");
  assertEquals(server.heard[1]!.length, 70_000);
  server.socket!.close("enough");
  assertEquals(server.ends, ["closed by us"]);
  server.socket!.send("late");
  assertEquals((await ended).reason, "enough");
  assertEquals(server.ends.length, 1);
});

Deno.test("createUpgrade() tells once that the other side has left", async () => {
  await using server = new Server();
  const { socket, ended } = await client(server);
  socket.close(1000, "bye");
  await ended;
  await eventually(() => server.ends.length > 0, "the server noticed");
  assertEquals(server.ends, ["bye"]);
});

Deno.test("createUpgrade() makes nothing of a request that is no handshake", async () => {
  await using server = new Server();
  const answer = await fetch(`http://127.0.0.1:${server.address.port}/`);
  assertEquals([answer.status, await answer.text()], [400, "no handshake"]);
  assertEquals(server.socket, undefined);
});

Deno.test("createUpgrade() pings who is silent, and closes what does not answer", async () => {
  await using server = new Server({ idleSeconds: 0.6 });
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.address.port });
  const lines = [
    "GET / HTTP/1.1",
    "Host: drover",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    `Sec-WebSocket-Key: ${btoa("0123456789abcdef")}`,
  ];
  await connection.write(new TextEncoder().encode(`${lines.join("\r\n")}\r\n\r\n`));
  const frames: Uint8Array[] = [];
  const chunk = new Uint8Array(4_096);
  for (let size = await connection.read(chunk); size !== null; size = await connection.read(chunk)) {
    frames.push(chunk.slice(0, size));
  }
  const [head, ping, close] = frames;
  assertStringIncludes(new TextDecoder().decode(head), "101");
  assert(ping && ping[0] === 0x89, "a ping came");
  assert(close && close[0] === 0x88, "then the end");
  await eventually(() => server.ends.length > 0, "the server gave it up");
  assertEquals(server.ends, ["No response from ping frame."]);
});
