/** HTTP over a Unix socket: private, exclusive, and never a TCP port by accident; on a TCP port only of 127.0.0.1. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { deadline } from "@std/async";
import { HostError } from "../../lib/core/ports.ts";
import { createNetwork } from "../../lib/host/network.ts";
import { eventually } from "../support/drover.ts";
import { tempDirectory } from "./temp_directory.ts";

const network = createNetwork();

Deno.test("serveUnix() answers its client, on a socket that only the user may use", async () => {
  await using dir = await tempDirectory();
  const server = network.serveUnix(dir.at("s"), async (request) => {
    return Response.json({ path: new URL(request.url).pathname, body: await request.text() });
  });
  const mode = (await Deno.lstat(dir.at("s"))).mode! & 0o777;
  {
    using client = network.unixClient(dir.at("s"));
    const answer = await client.fetch(new Request("http://any.host/a/b?c", { method: "POST", body: "hi" }));
    assertEquals([mode, await answer.json()], [0o600, { path: "/a/b", body: "hi" }]);
  }
  await server.close();
  assertEquals(server.path, dir.at("s"));
});

Deno.test("serveUnix() turns what a handler throws into an answer", async () => {
  await using dir = await tempDirectory();
  const server = network.serveUnix(dir.at("s"), () => {
    throw new Error("a defect");
  });
  {
    using client = network.unixClient(dir.at("s"));
    const answer = await client.fetch(new Request("http://h/"));
    assertEquals([answer.status, await answer.json()], [500, { error: { code: "internal", message: "a defect" } }]);
  }
  await server.close();
});

Deno.test("serveUnix() refuses a socket that is in use and leaves its owner alone", async () => {
  await using dir = await tempDirectory();
  const first = network.serveUnix(dir.at("s"), () => new Response("first"));
  const error = assertThrows(
    () => network.serveUnix(dir.at("s"), () => new Response("second")),
    HostError,
    dir.at("s"),
  );
  assertEquals(error.code, "address-in-use");
  {
    using client = network.unixClient(dir.at("s"));
    assertEquals(await (await client.fetch(new Request("http://h/"))).text(), "first");
  }
  await first.close();
});

Deno.test("serveUnix() names a directory that is not there", async () => {
  await using dir = await tempDirectory();
  const error = assertThrows(() => network.serveUnix(dir.at("none/s"), () => new Response()), HostError, "none/s");
  assertEquals(error.code, "not-found");
});

Deno.test("UnixServer.close() waits for the answer that is on its way", async () => {
  await using dir = await tempDirectory();
  const asked = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const server = network.serveUnix(dir.at("s"), async () => {
    asked.resolve();
    await release.promise;
    return new Response("late");
  });
  {
    using client = network.unixClient(dir.at("s"));
    const answer = client.fetch(new Request("http://h/"));
    await asked.promise;
    const closing = server.close();
    release.resolve();
    assertEquals(await (await answer).text(), "late");
    await deadline(closing, 10_000);
  }
});

Deno.test("unixClient() fails where nobody listens, and its calls end with their signal", async () => {
  await using dir = await tempDirectory();
  using nobody = network.unixClient(dir.at("none"));
  await assertRejects(() => nobody.fetch(new Request("http://h/")));
  const asked = Promise.withResolvers<void>();
  const server = network.serveUnix(dir.at("s"), async (request) => {
    const gone = new Promise<void>((resolve) => request.signal.addEventListener("abort", () => resolve()));
    asked.resolve();
    await gone;
    return new Response();
  });
  {
    using client = network.unixClient(dir.at("s"));
    const abort = new AbortController();
    const pending = client.fetch(new Request("http://h/", { signal: abort.signal }));
    await asked.promise;
    abort.abort(new Error("enough"));
    await assertRejects(() => pending);
  }
  await deadline(server.close(), 10_000);
});

Deno.test("serveLoopback() answers on 127.0.0.1 and on no other address of the machine", async () => {
  const server = network.serveLoopback(0, (request) => new Response(new URL(request.url).pathname));
  const answer = await fetch(`http://127.0.0.1:${server.port}/a`);
  assertEquals(await answer.text(), "/a");
  for (const hostname of ["127.0.0.2", "::1"]) {
    await assertRejects(() => Deno.connect({ hostname, port: server.port }), Error, undefined, hostname);
  }
  await server.close();
  await assertRejects(() => Deno.connect({ hostname: "127.0.0.1", port: server.port }), Deno.errors.ConnectionRefused);
});

Deno.test("serveLoopback() names a port that is in use and leaves its owner alone", async () => {
  const first = network.serveLoopback(0, () => new Response("first"));
  const error = assertThrows(
    () => network.serveLoopback(first.port, () => new Response("second")),
    HostError,
    `127.0.0.1:${first.port}`,
  );
  assertEquals(error.code, "address-in-use");
  assertEquals(await (await fetch(`http://127.0.0.1:${first.port}/`)).text(), "first");
  await first.close();
});

/** A client in the middle of its request; the server has it for certain, as one that came later was answered. */
async function halfRequest(connect: () => Promise<Deno.Conn>): Promise<Deno.Conn> {
  const first = await connect();
  await first.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHo"));
  assert(await answers(connect));
  return first;
}

Deno.test("LoopbackServer.close() does not wait for a client that never finishes its request", async () => {
  const server = network.serveLoopback(0, () => new Response());
  using _idle = await halfRequest(() => Deno.connect({ hostname: "127.0.0.1", port: server.port }));
  await deadline(server.close(), 10_000);
});

Deno.test("UnixServer.close() waits only so long for a client that never finishes its request", async () => {
  await using dir = await tempDirectory();
  const server = network.serveUnix(dir.at("s"), () => new Response());
  using _idle = await halfRequest(() => Deno.connect({ transport: "unix", path: dir.at("s") }));
  await deadline(server.close(), 20_000);
  await assertRejects(() => Deno.connect({ transport: "unix", path: dir.at("s") }));
});

/** Serves on a socket and on a port, in a process that may open few files. */
const SERVE_FEW = `
  const { createNetwork } = await import(Deno.args[0]);
  const network = createNetwork();
  network.serveUnix(Deno.args[1], () => new Response("still here"));
  const loopback = network.serveLoopback(0, () => new Response("still here"));
  const tcp = network.serveTcp({ hostname: "127.0.0.1", port: 0 }, () => new Response("still here"), Deno.exit);
  console.log(loopback.port + " " + tcp.port);
  await new Promise(() => {});`;

/** As many connections as the other side can open files, and then some; closed when disposed. */
async function crowd(connect: () => Promise<Deno.Conn>): Promise<Disposable> {
  const open: Deno.Conn[] = [];
  for (let n = 0; n < 100; n++) {
    const one = await connect().catch(() => undefined);
    if (!one) break;
    open.push(one);
  }
  return { [Symbol.dispose]: () => open.forEach((one) => one.close()) };
}

Deno.test("a listener serves again after the process ran out of descriptors, serveTcp() also while others stay connected", async () => {
  await using dir = await tempDirectory();
  await Deno.writeTextFile(dir.at("serve.ts"), SERVE_FEW);
  const module = new URL("../../lib/host/network.ts", import.meta.url).href;
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const argv = [Deno.execPath(), "run", "--no-lock", "-A", "--config", config, dir.at("serve.ts"), module, dir.at("s")];
  const child = new Deno.Command("sh", {
    args: ["-c", 'ulimit -n 60 && exec "$@"', "sh", ...argv],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let ports: number[] = [];
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    ports = text.split(" ").map(Number);
    break;
  }
  const [port = 0, tcpPort = 0] = ports;
  const places: Record<string, () => Promise<Deno.Conn>> = {
    unix: () => Deno.connect({ transport: "unix", path: dir.at("s") }),
    loopback: () => Deno.connect({ hostname: "127.0.0.1", port }),
    tcp: () => Deno.connect({ hostname: "127.0.0.1", port: tcpPort }),
  };
  try {
    using kept = await places.tcp!();
    assert(await answers(() => Promise.resolve(kept), "keep-alive"));
    for (const [place, connect] of Object.entries(places)) {
      (await crowd(connect))[Symbol.dispose]();
      await eventually(() => answers(connect), `${place} answers again`, 60_000);
    }
  } finally {
    child.kill("SIGKILL");
    await child.status;
  }
});

async function answers(connect: () => Promise<Deno.Conn>, then = "close"): Promise<boolean> {
  try {
    const connection = await connect();
    using _closed = then === "close" ? connection : undefined;
    await connection.write(new TextEncoder().encode(`GET / HTTP/1.1\r\nHost: h\r\nConnection: ${then}\r\n\r\n`));
    const buffer = new Uint8Array(4_096);
    const size = await connection.read(buffer);
    return new TextDecoder().decode(buffer.subarray(0, size ?? 0)).startsWith("HTTP/1.1 200");
  } catch {
    return false;
  }
}

/** Serves and tells where, in a process whose environment says to listen on a TCP port instead. */
const SERVE = `
  const { createNetwork } = await import(Deno.args[0]);
  if (Deno.args[2] === "clean") (await import(Deno.args[3])).cleanEnvironment();
  try {
    const network = createNetwork();
    if (Deno.args[2] === "loopback") network.serveLoopback(0, () => new Response());
    else {
      const server = network.serveUnix(Deno.args[1], () => new Response());
      console.log("serving " + Deno.statSync(Deno.args[1]).isSocket);
      await server.close();
    }
  } catch (error) {
    console.log(error.name + " " + error.message);
  }`;

Deno.test("serveUnix() never opens a TCP port, whatever DENO_SERVE_ADDRESS says", async () => {
  await using dir = await tempDirectory();
  await Deno.writeTextFile(dir.at("serve.ts"), SERVE);
  const modules = ["network.ts", "host.ts"].map((name) => new URL(`../../lib/host/${name}`, import.meta.url).href);
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const said = async (mode: string, address = "tcp:127.0.0.1:0") => {
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-lock",
        "-A",
        "--config",
        config,
        dir.at("serve.ts"),
        modules[0]!,
        dir.at("s"),
        mode,
        modules[1]!,
      ],
      env: { DENO_SERVE_ADDRESS: address },
    }).output();
    return new TextDecoder().decode(stdout) || new TextDecoder().decode(stderr);
  };
  const refused = await said("as it is");
  assertStringIncludes(refused, "HostError Cannot listen on");
  assert(refused.includes("tcp"), refused);
  assertEquals(await said("clean"), "serving true\n");
  const moved = await said("loopback", `unix:${dir.at("moved")}`);
  assertStringIncludes(moved, "HostError Cannot listen on 127.0.0.1:0");
});
