/** HTTP to servers elsewhere: a real proxy on the way, a real server with a private certificate, and neither for this machine. */
import { assertEquals, assertRejects } from "@std/assert";
import { HostError } from "../../lib/core/ports.ts";
import { outward } from "../../lib/host/outward.ts";
import { tempDirectory } from "./temp_directory.ts";

interface Listener extends AsyncDisposable {
  readonly port: number;
  /** What was asked for, as it stood in the request. */
  readonly seen: string[];
}

/** Reads requests as they stand on the wire: the address in the first line is what tells a proxy's from a server's. */
function listen(): Listener {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const seen: string[] = [];
  const serving = (async () => {
    for await (const connection of listener) {
      const buffer = new Uint8Array(8192);
      const read = await connection.read(buffer);
      const text = new TextDecoder().decode(buffer.subarray(0, read ?? 0));
      const [first = ""] = text.split("\r\n");
      const auth = /^proxy-authorization: (.*)$/im.exec(text)?.[1];
      seen.push(first + (auth ? ` ${auth}` : ""));
      const answer = first.startsWith("CONNECT") ? "HTTP/1.1 403 no\r\n" : "HTTP/1.1 200 OK\r\n";
      await connection.write(new TextEncoder().encode(`${answer}content-length: 0\r\nconnection: close\r\n\r\n`));
      connection.close();
    }
  })();
  return {
    port: (listener.addr as Deno.NetAddr).port,
    seen,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving.catch(() => {});
    },
  };
}

async function get(url: string, env: Record<string, string>): Promise<number> {
  using client = outward(env);
  const response = await client.fetch(new Request(url));
  await response.body?.cancel();
  return response.status;
}

Deno.test("outward() goes through the proxy that the environment names, with its credentials", async () => {
  await using proxy = listen();
  const env = { HTTP_PROXY: `http://me:secret@127.0.0.1:${proxy.port}` };
  assertEquals(await get("http://team.example/x", env), 200);
  assertEquals(proxy.seen, [`GET http://team.example/x HTTP/1.1 Basic ${btoa("me:secret")}`]);
  await assertRejects(() => get("https://team.example/x", { HTTPS_PROXY: `http://127.0.0.1:${proxy.port}` }));
  assertEquals(proxy.seen.at(-1), "CONNECT team.example:443 HTTP/1.1");
});

Deno.test("outward() reaches a server of this machine without any proxy", async () => {
  await using proxy = listen();
  await using server = listen();
  const url = `http://127.0.0.1:${proxy.port}`;
  const env = { HTTP_PROXY: url, http_proxy: url, ALL_PROXY: url };
  for (const host of ["127.0.0.1", "localhost"]) assertEquals(await get(`http://${host}:${server.port}/x`, env), 200);
  assertEquals([proxy.seen, server.seen], [[], ["GET /x HTTP/1.1", "GET /x HTTP/1.1"]]);
});

Deno.test("outward() takes fresh connections after two requests without an answer in time, but not after two that were given up", async () => {
  for (const [name, fresh] of [["TimeoutError", true], ["AbortError", false]] as const) {
    let [together, arrived] = [Promise.withResolvers<void>(), 0];
    await using server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      async (request, { remoteAddr }) => {
        if (request.url.endsWith("/silent")) {
          together.resolve();
          await new Promise((resolve) => request.signal.addEventListener("abort", resolve));
        } else if (++arrived === 3) together.resolve();
        if (arrived <= 3) await together.promise;
        return new Response(String(remoteAddr.port));
      },
    );
    using client = outward({});
    const url = `http://127.0.0.1:${server.addr.port}`;
    const ask = async () => await (await client.fetch(new Request(url))).text();
    // Three that are kept open: two are lost with the requests, the third is still good.
    const kept = await Promise.all([ask(), ask(), ask()]);
    for (let n = 0; n < 2; n++) {
      together = Promise.withResolvers<void>();
      const abort = new AbortController();
      const silent = client.fetch(new Request(`${url}/silent`, { signal: abort.signal }));
      await together.promise;
      abort.abort(new DOMException("enough", name));
      await assertRejects(() => silent, DOMException, "enough");
    }
    assertEquals(kept.includes(await ask()), !fresh, name);
  }
});

async function openssl(...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("openssl", { args, stdout: "null", stderr: "piped" }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

function hasOpenssl(): boolean {
  try {
    return new Deno.Command("openssl", { args: ["version"], stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

Deno.test({
  name: "outward() trusts a private certificate that the environment names, and no other",
  ignore: !hasOpenssl(),
  async fn() {
    await using directory = await tempDirectory();
    const [key, cert, request] = ["key.pem", "cert.pem", "ca.pem"].map(directory.at) as [string, string, string];
    const [caKey, csr] = [directory.at("ca.key"), directory.at("csr")];
    const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    await openssl("req", "-x509", ...ec, "-keyout", caKey, "-out", request, "-days", "2", "-subj", "/CN=Private");
    await openssl("req", ...ec, "-keyout", key, "-out", csr, "-subj", "/CN=localhost");
    await Deno.writeTextFile(directory.at("ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
    const signing = ["-CA", request, "-CAkey", caKey, "-CAcreateserial", "-days", "2", "-extfile", directory.at("ext")];
    await openssl("x509", "-req", "-in", csr, ...signing, "-out", cert);
    const server = Deno.serve({
      hostname: "127.0.0.1",
      port: 0,
      key: await Deno.readTextFile(key),
      cert: await Deno.readTextFile(cert),
      onListen() {},
    }, () => new Response("ok"));
    try {
      const url = `https://localhost:${server.addr.port}/`;
      for (const name of ["SSL_CERT_FILE", "DENO_CERT", "NODE_EXTRA_CA_CERTS"]) {
        assertEquals(await get(url, { [name]: request }), 200, name);
      }
      await assertRejects(() => get(url, {}), TypeError);
      const error = await assertRejects(() => get(url, { SSL_CERT_FILE: directory.at("none") }), HostError);
      assertEquals(
        error.message.startsWith(`Cannot read the certificates of SSL_CERT_FILE=${directory.at("none")}`),
        true,
      );
    } finally {
      await server.shutdown();
    }
  },
});
