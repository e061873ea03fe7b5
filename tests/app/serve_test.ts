/** A team server in this process: a private place, one server for a SQLite file, and an end that nobody can hold up. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { deadline } from "@std/async";
import { openServer, type ServeOptions } from "../../lib/app/serve.ts";
import { serverPlace } from "../../lib/app/serve_place.ts";
import { requireServer, withTokens } from "../../lib/app/serve_tokens.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import { homeLayout } from "../../lib/core/home.ts";
import type { Host } from "../../lib/core/ports.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createLocks } from "../../lib/host/lock.ts";
import { createNetwork } from "../../lib/host/network.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";

const clock = createClock();
/** The library stays loaded for the life of a process: it is before any test counts what was left open. */
const locks = await (async () => {
  const locks = createLocks(clock);
  await using dir = await tempDirectory();
  (await locks.tryLock(dir.at("lock")))!.release();
  return locks;
})();

function hostWith(env: Record<string, string> = {}): Host {
  return { ...testHost({ env }).host, clock, locks, network: createNetwork() };
}

function optionsFor(host: Host, root: string, more: Partial<ServeOptions> = {}): ServeOptions {
  const place = serverPlace(host, () => homeLayout(root), { data: undefined, database: undefined });
  const listen = { hostname: "127.0.0.1", port: 0 };
  return { listen, place, retentionDays: 30, logLevel: "info", logToStderr: false, ...more };
}

async function refusal(promise: Promise<unknown>): Promise<DroverError> {
  return await assertRejects(() => promise, DroverError);
}

Deno.test("a server's place is its owner's alone, and a second server over the same file is refused until the first is gone", async () => {
  await using dir = await tempDirectory();
  const host = hostWith();
  const options = optionsFor(host, dir.at("home"));
  const first = await openServer(host, options);
  const modes = ["", "/logs", "/server.db", "/server.db-wal"].map((name) =>
    Deno.statSync(`${options.place.directory}${name}`).mode! & 0o777
  );
  assertEquals(modes, [0o700, 0o700, 0o600, 0o600]);
  const second = await refusal(openServer(host, options));
  assertEquals(second.code, "already_running");
  assertStringIncludes(`${second.message} ${second.hint}`, "server.db");
  const port = await refusal(openServer(host, {
    ...optionsFor(host, dir.at("other")),
    listen: { hostname: "127.0.0.1", port: first.port },
  }));
  assertEquals(port.code, "already_running");
  assertStringIncludes(port.message, `:${first.port}`);
  await first.close();
  await (await openServer(host, options)).close();
});

Deno.test("what others could look into or what is a daemon's own is no place for a server", async () => {
  await using dir = await tempDirectory();
  const host = hostWith();
  await Deno.mkdir(dir.at("open"));
  await Deno.chmod(dir.at("open"), 0o755);
  const at = (data: string, database?: string) => serverPlace(host, () => homeLayout("/none"), { data, database });
  const open = await refusal(openServer(host, optionsFor(host, "", { place: at(dir.at("open")) })));
  assertEquals([open.code, open.hint], ["home_unusable", `run: chmod 700 ${dir.at("open")}`]);
  await Deno.writeTextFile(dir.at("daemon.lock"), "");
  const place = at(dir.at("data"), dir.at("coordinator.db"));
  const daemons = await refusal(openServer(host, optionsFor(host, "", { place })));
  assertEquals(daemons.code, "usage");
  const secret = hostWith({ DROVER_DATABASE: "postgres://u:hunter2@127.0.0.1:1/x" });
  const postgres = serverPlace(secret, () => homeLayout(dir.at("pg")), { data: undefined, database: undefined });
  const away = await refusal(openServer(secret, optionsFor(secret, "", { place: postgres })));
  assertEquals(away.code, "store_unusable");
  assert(!JSON.stringify([away.message, away.hint, postgres.databaseName, postgres.options]).includes("hunter2"));
  assertEquals((await refusal(requireServer(host, at(dir.at("nothing"))))).code, "store_unusable");
});

Deno.test("beyond this machine nobody listens before there is a token that counts", async () => {
  await using dir = await tempDirectory();
  const host = hostWith();
  const options = optionsFor(host, dir.at("home"), { listen: { hostname: "0.0.0.0", port: 0 } });
  const nobody = await refusal(openServer(host, options));
  assertEquals([nobody.code, nobody.hint], ["usage", "make the first one: drover token create NAME"]);
  const { id } = await withTokens(host, options.place, (book) => book.create({ scope: "user", name: "ann" }));
  await withTokens(host, options.place, (book) => book.revoke(id));
  assertEquals((await refusal(openServer(host, options))).message, nobody.message, "one that is revoked is none");
  const unknown = await refusal(withTokens(host, options.place, (book) => book.revoke("ann")));
  assertEquals(unknown.code, "usage");
});

Deno.test("close() ends the streams of those who follow, and then nobody is there any more", async () => {
  await using dir = await tempDirectory();
  const host = hostWith();
  const options = optionsFor(host, dir.at("home"));
  const server = await openServer(host, options);
  const { token, workspaceId } = await withTokens(
    host,
    options.place,
    (book) => book.create({ scope: "user", name: "ann" }),
  );
  const call = (path: string, body?: unknown) =>
    fetch(server.url + path, {
      headers: { authorization: `Bearer ${token}` },
      ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
    });
  const runtimes = [{ type: "claude", version: "1" }];
  const registration = { workspace_id: workspaceId, daemon_id: "d1", device_name: "box", runtimes };
  assertEquals((await (await call("/api/daemon/register", registration)).json()).runtimes.length, 1);
  const task = { prompt: "x", agent: "claude", directory: { mode: "scratch" }, permission: "full" };
  const { id } = await (await call("/v1/tasks", task)).json();
  const stream = (await call(`/v1/tasks/${id}/follow`)).body!.pipeThrough(new TextDecoderStream()).getReader();
  assertStringIncludes((await stream.read()).value!, "queued");
  // A request that was begun and never ends.
  const stuck = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const head = ["POST /v1/tasks HTTP/1.1", "Host: x", `Authorization: Bearer ${token}`, "Content-Length: 9"];
  await stuck.write(new TextEncoder().encode([...head, "", "{"].join("\r\n")));
  await deadline(server.close(), 4_500);
  let last = await stream.read();
  while (!last.done) last = await stream.read();
  stuck.close();
  await assertRejects(() => fetch(`${server.url}/health`), TypeError);
});
