/** HTTP over a Unix socket: private, exclusive, and never a TCP port by accident. */
import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { deadline } from "@std/async";
import { HostError } from "../../lib/core/ports.ts";
import { createNetwork } from "../../lib/host/network.ts";
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

/** Serves and tells where, in a process whose environment says to listen on a TCP port instead. */
const SERVE = `
  const { createNetwork } = await import(Deno.args[0]);
  if (Deno.args[2] === "clean") (await import(Deno.args[3])).cleanEnvironment();
  try {
    const server = createNetwork().serveUnix(Deno.args[1], () => new Response());
    console.log("serving " + Deno.statSync(Deno.args[1]).isSocket);
    await server.close();
  } catch (error) {
    console.log(error.name + " " + error.message);
  }`;

Deno.test("serveUnix() never opens a TCP port, whatever DENO_SERVE_ADDRESS says", async () => {
  await using dir = await tempDirectory();
  await Deno.writeTextFile(dir.at("serve.ts"), SERVE);
  const modules = ["network.ts", "host.ts"].map((name) => new URL(`../../lib/host/${name}`, import.meta.url).href);
  const config = new URL("../../deno.json", import.meta.url).pathname;
  const said = async (mode: string) => {
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
      env: { DENO_SERVE_ADDRESS: "tcp:127.0.0.1:0" },
    }).output();
    return new TextDecoder().decode(stdout) || new TextDecoder().decode(stderr);
  };
  const refused = await said("as it is");
  assertStringIncludes(refused, "HostError Cannot listen on");
  assert(refused.includes("tcp"), refused);
  assertEquals(await said("clean"), "serving true\n");
});
