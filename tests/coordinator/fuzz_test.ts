/** Hostile calls of every route with a good token: each is answered, none is an error of ours, and the next good call is served. */
import { assert, assertEquals } from "@std/assert";
import { callOf, TABLE } from "./access_table.ts";
import { AccessWorld, answerTo } from "./access_world.ts";
import { randomFrom, seedOfRun } from "../core/seed.ts";
import { isLong } from "../support/length.ts";
import { Fuzz } from "../wire/fuzz_values.ts";
import { storeKind } from "./stores.ts";
import { SILENT } from "./world.ts";

/** Of each route. */
const CALLS = isLong() ? 1000 : 40;
const PATIENCE_MS = 20_000;

/** What nobody may have added to, whatever was sent. */
function inherited(): string {
  return JSON.stringify([Object.getOwnPropertyNames(Object.prototype), Object.getOwnPropertyNames(Array.prototype)]);
}

/** What the call of a route looks like when nothing in it can be relied on. */
function hostile(w: AccessWorld, fuzz: Fuzz, route: string): Request {
  const { method, path, body = {} } = callOf(w, route);
  const [plain = ""] = path.split("?");
  const spoiled = plain.split("/").map((part, n) => n < 3 ? part : fuzz.segment(part)).join("/");
  return new Request(`http://coordinator${spoiled}${fuzz.query()}`, {
    method,
    headers: { ...latin(fuzz.headers()), authorization: w.header("the user") ?? "" },
    ...(method === "GET" ? {} : { body: fuzz.body(body) }),
  });
}

function latin(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => /^[\x20-\xff]*$/.test(value)));
}

/** So many calls of each of these routes, one after the other in one world. */
async function fuzzed(routes: readonly string[], calls: number): Promise<void> {
  const seed = seedOfRun();
  const fuzz = new Fuzz(randomFrom(seed));
  const errors: unknown[] = [];
  const log = { ...SILENT, error: (text: string, fields?: unknown) => void errors.push([text, fields]) };
  await using w = await AccessWorld.create(log);
  const before = inherited();
  for (const route of routes) {
    for (let n = 0; n < calls; n++) {
      const request = hostile(w, fuzz, route);
      const shown = `seed ${seed}, ${route}, call ${n}: ${request.method} ${request.url.slice(0, 200)}`;
      const text = (await request.clone().text()).slice(0, 2_000);
      const [status, answer] = await answered(w, request, `${shown}: ${text}`);
      // Nobody has heard of the daemon for a while in the meantime, which is said so.
      const isFine = status < 500 || (status === 503 && answer.includes("runtime is offline"));
      assert(isFine, `${shown}\n${text}\n-> ${status} ${answer}`);
      if (status >= 400) assert("error" in JSON.parse(answer), answer);
      assertEquals(errors, [], `${shown} was logged as an error: ${text}`);
    }
  }
  assertEquals(inherited(), before, `seed ${seed}: something was put into all objects`);
  const authorization = w.header("the user") ?? "";
  const still = await w.fetch(new Request("http://coordinator/api/workspaces", { headers: { authorization } }));
  assertEquals((await still.json()).length, 1, "the next good call is served");
}

/** Status and text; of a stream that goes on nothing. */
async function answered(w: AccessWorld, request: Request, shown: string): Promise<[number, string]> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`It was not answered: ${shown}`)), PATIENCE_MS);
  });
  try {
    const response = await Promise.race([w.fetch(request), late]);
    if (response.headers.get("content-type") !== "text/event-stream") return [response.status, await response.text()];
    await response.body?.cancel();
    return [response.status, ""];
  } finally {
    clearTimeout(timer);
  }
}

if (storeKind() === "sqlite") {
  for (const route of Object.keys(TABLE)) {
    Deno.test(`${route}: whatever is sent is answered, and never with an error of ours`, () => fuzzed([route], CALLS));
  }
} else {
  // What deletes comes last, so that there is something for the others.
  const routes = Object.keys(TABLE).toSorted((a, b) => Number(a.startsWith("DELETE")) - Number(b.startsWith("DELETE")));
  Deno.test("Whatever is sent is answered, and never with an error of ours", () => fuzzed(routes, CALLS / 2));
}

Deno.test("A NUL in an address is the name of nothing", async () => {
  await using w = await AccessWorld.create();
  const headers = { authorization: w.header("the user") ?? "", "content-type": "application/json" };
  const send = async (route: string, body?: string) => {
    const [method = "", path] = route.split(" ");
    const response = await w.fetch(new Request(`http://coordinator${path}`, { method, headers, body }));
    await response.body?.cancel();
    return response.status;
  };
  assertEquals(await send("DELETE /v1/runtime-profiles/%00"), 404);
  assertEquals(await send("GET /v1/tasks/%00abc"), 404);
  assertEquals(await send(`GET /api/runtimes/${w.runtime}/models/a%00`), 404);
  assertEquals(await send(`DELETE /api/workspaces/${w.home}/runtime-profiles/mi%00ne`), 404);
  assertEquals(await send("PATCH /v1/runtime-profiles/mine%00", '{"enabled":false}'), 404);
});

Deno.test("A name of any length is stored or refused, wherever it is looked up by", async () => {
  const errors: unknown[] = [];
  const log = { ...SILENT, error: (text: string, fields?: unknown) => void errors.push([text, fields]) };
  await using w = await AccessWorld.create(log);
  // Nothing that could be made shorter.
  const long = Array.from({ length: 400 }, () => crypto.randomUUID()).join("");
  const task = `/api/daemon/tasks/${w.task}`;
  const usage = { model: long, provider: long, input_tokens: 1 };
  const day = { input_tokens: 1, output_tokens: 1, cache_read_tokens: 0, cache_write_tokens: 0, date: "2026-01-01" };
  const profile = { display_name: long, protocol_family: "claude", command_name: long };
  const calls: readonly (readonly [path: string, body: unknown])[] = [
    ["/api/daemon/register", { workspace_id: w.home, daemon_id: long, runtimes: [{ type: "claude" }] }],
    ["/api/daemon/register", { workspace_id: w.home, daemon_id: "d1", runtimes: [{ type: long, name: long }] }],
    [`${task}/usage`, { usage: [usage] }],
    [`${task}/session`, { session_id: long, work_dir: long }],
    [`${task}/fail`, { error: long, failure_reason: long, retired_session_id: long }],
    [`/api/daemon/runtimes/${w.runtime}/usage`, { entries: [{ ...day, model: long, provider: long }] }],
    [`/api/workspaces/${w.home}/runtime-profiles`, profile],
    ["/v1/runtime-profiles", profile],
    ["/api/agents", { name: long, runtime_id: w.runtime }],
    ["/api/issues", { title: long, agent: long }],
  ];
  for (const [path, body] of calls) {
    const { status, body: answer } = await answerTo(w.fetch, { method: "POST", path, body }, w.header("the user"));
    assert(status < 500, `${path}: ${status} ${JSON.stringify(answer ?? "").slice(0, 300)}`);
  }
  assertEquals(errors, []);
});

Deno.test("A body that is too large is refused, by what it says of itself and by what it is", async () => {
  await using w = await AccessWorld.create();
  const send = async (path: string, body: BodyInit, length?: number) => {
    const headers = {
      authorization: w.header("the user") ?? "",
      ...(length === undefined ? {} : { "content-length": String(length) }),
    };
    const response = await w.fetch(new Request(`http://coordinator${path}`, { method: "POST", headers, body }));
    return [response.status, JSON.stringify(await response.json())] as const;
  };
  let pulled = 0;
  const endless = () =>
    new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled++;
        controller.enqueue(new Uint8Array(1024 * 1024).fill(32));
      },
    });
  for (const path of ["/api/daemon/register", `/api/daemon/tasks/${w.task}/messages`, "/v1/tasks", "/api/issues"]) {
    const [said, text] = await send(path, "{}", 64 * 1024 * 1024);
    assertEquals([said, text.includes("too large")], [413, true], path);
    pulled = 0;
    assertEquals((await send(path, endless()))[0], 413, path);
    assert(pulled < 40, `${pulled} MiB were read`);
  }
  const gc = `/api/daemon/workspaces/${w.home}/issues/gc-check`;
  assertEquals((await send(gc, JSON.stringify({ issue_ids: ["x".repeat(65 * 1024)] })))[0], 413);
  assertEquals((await send(gc, JSON.stringify({ issue_ids: ["x".repeat(60 * 1024)] })))[0], 200);
  // The agent has stopped, whatever the daemon says about it besides.
  assertEquals((await send(`/api/daemon/tasks/${w.task}/cancel-ack`, "{}", 64 * 1024 * 1024))[0], 200);
});
