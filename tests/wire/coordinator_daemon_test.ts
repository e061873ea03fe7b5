/** Our daemon and our server over TCP: claims over the WebSocket, a cancelled task, and a server that goes away and comes back. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { homeLayout } from "../../lib/core/home.ts";
import { createDaemon } from "../../lib/daemon/daemon.ts";
import { fixedSurroundings } from "../../lib/daemon/surroundings.ts";
import { createFiles } from "../../lib/host/files.ts";
import { createNetwork } from "../../lib/host/network.ts";
import { createRandom } from "../../lib/host/random.ts";
import { type FakeAgent, fakeAgents, fakeBackend } from "../daemon/fake_agent.ts";
import { keptLog } from "../daemon/kept_log.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { TestServer } from "./coordinator_server.ts";
import type { Json } from "./raw_daemon.ts";

const PATIENCE_MS = 30_000;
/** Time passes for both as fast as a machine under load can follow: a call has seconds, which are a quarter of one. */
const STEP = { fakeMs: 200, realMs: 10 } as const;

Deno.test("Daemon and server: a task by the socket, one that is cancelled, and one that a restart of the server does not cost", async () => {
  const directory = await Deno.makeTempDir({ prefix: "drover-own-server-" });
  const clock = new FakeClock();
  const routes: string[] = [];
  const path = join(directory, "coordinator.db");
  const server = await TestServer.own({ clock, path, heard: (route) => void routes.push(route) });
  const log = keptLog();
  const agents = fakeAgents();
  const network = createNetwork();
  const home = homeLayout(join(directory, "home"));
  await Deno.mkdir(home.root);
  const daemon = createDaemon({
    home,
    daemonId: crypto.randomUUID(),
    instance: "instance-1",
    version: "9.9.9",
    deviceName: "box",
    os: "linux",
    surroundings: fixedSurroundings({ HOME: home.root, PATH: "/bin" }),
    slots: 2,
    timeLimitMs: 3_600_000,
    connections: [{
      name: "team",
      baseUrl: server.where.baseUrl,
      token: () => server.where.token,
      fetch: network.fetch,
      dial: network.outwardDial({}),
      wakeups: { async *subscribe() {} },
      remote: true,
      consent: {
        watched: () => ({ policy: "full" }),
        found() {},
        onChange: () => ({ [Symbol.dispose]() {} }),
      },
    }],
    discover: () =>
      Promise.resolve({
        found: [{ provider: "bot", family: "plain-text", executable: "/bin/bot", fixedArgs: [], version: "1.2.3" }],
        skipped: [],
      }),
    findProfile: () => Promise.reject(new Error("There are no profiles")),
    backendFor: () => fakeBackend(agents),
    sessionVariables: [],
    clock,
    random: { ...createRandom(), fraction: () => 0.5 },
    files: createFiles(),
    processes: agents,
    getLogger: () => log,
  });

  const later = async (what: string, so: () => boolean | Promise<boolean>) => {
    const end = performance.now() + PATIENCE_MS;
    while (!(await so())) {
      assert(
        performance.now() < end,
        `${what}: ${log.records.map(({ message }) => message).join("; ")} ${routes.join(" ")}`,
      );
      await clock.advance(STEP.fakeMs);
      await new Promise((resolve) => setTimeout(resolve, STEP.realMs));
    }
  };
  const agent = async (nth: number): Promise<FakeAgent> => {
    await later(`agent ${nth} is started`, () => agents.started[nth]?.task !== undefined);
    return agents.started[nth]!;
  };
  const newTask = async (): Promise<string> => {
    const { body } = await server.user("POST /api/issues", { title: "Look", description: "around", agent: "bot" });
    return (await server.tasksOf(body.id))[0].id;
  };
  const is = async (id: string, status: string): Promise<Json> => {
    await later(`the task is ${status}`, async () => (await server.view(id)).status === status);
    return await server.view(id);
  };

  try {
    await daemon.start();
    await later("the daemon is connected", () => server.mine!.sockets === 1);
    await later("its socket serves its runtimes", () => daemon.status().connections[0]?.runtimes.length === 1);
    await later("and is heard", () => daemon.status().connections[0]?.state === "connected");

    const first = await newTask();
    const worker = await agent(0);
    worker.say({ kind: "text", text: "at it" });
    worker.end();
    const done = await is(first, "completed");
    assertEquals([done.result.output, done.attempt], ["done", 1]);
    const { body } = await server.user(`GET /api/tasks/${first}/messages`);
    assertEquals((body.messages ?? body).filter((one: Json) => one.type === "text").map((one: Json) => one.content), [
      "at it",
    ]);

    const claims = () => routes.filter((route) => route.endsWith("/tasks/claim")).length;
    const claimsBefore = claims();
    const second = await newTask();
    const stopped = await agent(1);
    assertEquals(claims(), claimsBefore, "it came by the socket");
    await is(second, "running");
    await server.cancel(second);
    await later("its agent is stopped", () => stopped.stops > 0);
    await later("which the server is told", () => routes.includes(`POST /api/daemon/tasks/${second}/cancel-ack`));
    assertEquals((await server.view(second)).status, "cancelled");
    assertEquals(
      routes.filter((route) => route.endsWith(`${second}/complete`) || route.endsWith(`${second}/fail`)),
      [],
    );

    const third = await newTask();
    const patient = await agent(2);
    await is(third, "running");
    await server.mine!.restart();
    patient.end();
    assertEquals((await is(third, "completed")).attempt, 1, "it was neither lost nor done twice");
    await later("the daemon is connected again", () => server.mine!.sockets === 1);
    const fourth = await newTask();
    (await agent(3)).end();
    await is(fourth, "completed");
    assertEquals(agents.started.length, 4);
    assertEquals(log.said("critical"), []);
  } finally {
    let closed = false;
    void daemon.close().then(() => closed = true);
    await later("the daemon is closed", () => closed);
    await server[Symbol.asyncDispose]();
    await Deno.remove(directory, { recursive: true });
  }
});
