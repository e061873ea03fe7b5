/** A daemon that starts without what it needs: it runs, does what it can, says what it waits for, and goes on when that comes. */
import { waitingFor } from "../../lib/daemon/status.ts";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { createCoordinator } from "../../lib/coordinator/embedded.ts";
import type { Runtime } from "../../lib/core/model.ts";
import type { Refreshed } from "../../lib/daemon/surroundings.ts";
import { createRandom } from "../../lib/host/random.ts";
import { TaskView } from "../../lib/wire/control.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { DaemonWorld } from "./daemon_world.ts";
import { keptLog } from "./kept_log.ts";

function runtime(provider: string): Runtime {
  return { provider, family: "plain-text", executable: `/bin/${provider}`, fixedArgs: [], version: "1.2.3" };
}

/** A machine to which agents and directories of PATH can be added. */
function machine(there: Runtime[]) {
  const state = { path: "/bin", refreshed: "same" as Refreshed, there };
  return {
    state,
    daemon: {
      discover: () => Promise.resolve({ found: [...state.there], skipped: [] }),
      surroundings: {
        env: () => ({ HOME: "/home/me", PATH: state.path }),
        refresh: () => Promise.resolve(state.refreshed),
      },
    },
  };
}

Deno.test("Daemon without any agent runs, says what it waits for, and takes an agent that appears without a restart", async () => {
  const { state, daemon } = machine([runtime("demo")]);
  await using w = await DaemonWorld.started({ daemon });
  const { phase, waitingFor } = w.daemon.status();
  assertEquals([phase, waitingFor.map(({ what }) => what)], ["running", ["agent-cli"]]);
  assertStringIncludes(waitingFor[0]!.text, "claude");
  state.there.push(runtime("llm"));
  await w.later("it is registered", () => w.daemon.status().connections[0]!.runtimes.length === 2);
  assertEquals(w.daemon.status().waitingFor, []);
  const id = await w.submit("hello", { agent: "llm" });
  const agent = await w.agent();
  assertEquals(agent.request.executable, "/bin/llm");
  agent.end();
  await w.ended(id, "completed");
  await w.idle();
});

Deno.test("Daemon registers an agent while a task runs, and leaves that task alone", async () => {
  const { state, daemon } = machine([runtime("llm")]);
  await using w = await DaemonWorld.started({ daemon });
  const id = await w.submit("take your time");
  const agent = await w.agent();
  state.there.push(runtime("claude"));
  await w.clock.advance(30 * 60_000);
  await w.until("it is registered", () => w.daemon.status().connections[0]!.runtimes.length === 2);
  assertEquals(w.count("recover-orphans"), 2);
  assertEquals([(await w.show(id)).status, agent.stops], ["running", 0]);
  agent.end();
  assertEquals((await w.ended(id, "completed")).attempt, 1);
  await w.idle();
});

Deno.test("Daemon gives agents the PATH as it is known when they start", async () => {
  const { state, daemon } = machine([runtime("llm")]);
  await using w = await DaemonWorld.started({ daemon });
  const first = await w.submit();
  (await w.agent(0)).end();
  await w.ended(first, "completed");
  state.path = "/bin:/login";
  const second = await w.submit();
  (await w.agent(1)).end();
  await w.ended(second, "completed");
  assertEquals(w.agents.started.map(({ request }) => request.env.PATH), [
    `${w.home.bin}:/bin`,
    `${w.home.bin}:/bin:/login`,
  ]);
  await w.idle();
});

Deno.test("Daemon looks no further in an in-process run: it uses what there is", async () => {
  const { state, daemon } = machine([runtime("demo")]);
  await using w = await DaemonWorld.started({ daemon: { ...daemon, submittedTo: "run" } });
  state.there.push(runtime("llm"));
  await w.clock.advance(60 * 60_000);
  assertEquals(w.daemon.status().connections[0]!.runtimes.map(({ provider }) => provider), ["demo"]);
});

Deno.test("Daemon runs local tasks while a server is out of reach, and that server's when it comes", async () => {
  const clock = new FakeClock();
  const server = await createCoordinator({
    database: { kind: "sqlite", path: ":memory:" },
    clock,
    random: createRandom(),
    log: keptLog(),
  });
  const { daemon } = machine([runtime("llm")]);
  let up = false;
  const fetch = (request: Request) => up ? server.fetch(request) : Promise.reject(new TypeError("no route to host"));
  {
    await using w = await DaemonWorld.started({
      daemon,
      remote: { fetch, token: () => server.token, wakeups: server },
    });
    await w.clock.advance(1);
    const { phase, waitingFor, connections } = w.daemon.status();
    assertEquals([phase, connections.map(({ state }) => state)], ["running", ["connected", "connecting"]]);
    assertEquals(waitingFor.map(({ what }) => what), ["server"]);
    assertStringIncludes(waitingFor[0]!.text, "away");

    const near = await w.submit("near");
    (await w.agent(0)).end();
    await w.ended(near, "completed");
    await w.clock.advance(10 * 60_000);
    const about = w.log.records.filter(({ level, fields }) => level !== "debug" && fields.connection === "away");
    assertEquals(about.map(({ message }) => message), ["registration failed, trying again"]);

    up = true;
    await w.later("the server is reached", () => w.daemon.status().waitingFor.length === 0);
    const body = JSON.stringify({ prompt: "far", directory: { mode: "scratch" }, permission: "full" });
    const headers = { "content-type": "application/json" };
    const answer = await server.userApi(new Request("http://user.test/v1/tasks", { method: "POST", body, headers }));
    const { id } = TaskView.parse(await answer.json());
    const agent = await w.agent(1);
    assertEquals(agent.task!.id, id);
    agent.end();
    await w.idle();
  }
  await server.close();
});

Deno.test("Daemon.close() does not wait for a server that is out of reach", async () => {
  const hanging: Promise<Response>[] = [];
  const fetch = (request: Request) => {
    const { promise, reject } = Promise.withResolvers<Response>();
    request.signal.addEventListener("abort", () => reject(request.signal.reason));
    hanging.push(promise);
    return promise;
  };
  await using w = await DaemonWorld.started({
    remote: { fetch, token: () => "mdt_x", wakeups: { async *subscribe() {} } },
  });
  await w.clock.advance(1);
  assertEquals(hanging.length, 1);
  w.daemon.stop();
  assertEquals(await w.left(), "exit");
});

Deno.test("waitingFor() says of a server whether it refuses us, does not answer, or has not been asked yet", () => {
  const about = (state: "connecting" | "refused" | "connected", why: string) =>
    waitingFor(undefined, [{ name: "far", state, why }]).map(({ text }) => text);
  assertEquals(about("connected", ""), []);
  assertEquals(about("connecting", ""), ["the server far is being asked for the first time"]);
  assertEquals(about("connecting", "no route"), ["the server far does not answer (no route): tried again"]);
  assertEquals(about("refused", "401"), ["the server far refuses us (401): tried again"]);
});
