/** A server in trouble: for every call and every kind of fault the end is defined, nothing is lost, and nothing hangs. */
import { assert, assertEquals } from "@std/assert";
import { isTerminal } from "../../lib/core/task_state.ts";
import type { Daemon } from "../../lib/daemon/daemon.ts";
import type { TaskView } from "../../lib/wire/control.ts";
import { isLong } from "../support/length.ts";
import { programForms } from "../support/program.ts";
import { type Fault, FaultyWorld } from "./faulty_world.ts";

const refusal = (status: number, text: string): Fault => () =>
  Promise.resolve(Response.json({ error: text }, { status }));
const never = () => new Promise<Response>(() => {});

const FAULTS: Readonly<Record<string, Fault>> = {
  "500": refusal(500, "database error: disk I/O error"),
  "502 although it was done": async (real) => {
    await (await real()).body?.cancel();
    return new Response("Bad Gateway", { status: 502 });
  },
  "401": refusal(401, "invalid or missing token"),
  "404 of a task": refusal(404, "task not found"),
  "404 of a runtime": refusal(404, "runtime not found"),
  "404 of a workspace": refusal(404, "workspace not found"),
  "404 of a stranger": refusal(404, "not found"),
  "404 of a route": refusal(404, "404 page not found"),
  "garbage although it was done": async (real) => {
    await (await real()).body?.cancel();
    return new Response("<html>Sign in</html>", { headers: { "content-type": "text/html" } });
  },
  "no answer": never,
  "a lost answer": async (real) => {
    await (await real()).body?.cancel();
    return await never();
  },
  "a refused connection": () => Promise.reject(new TypeError("Connection refused")),
};

const line = (value: unknown) => `echo '${JSON.stringify(value)}'`;
const say = (text: string) => line({ type: "assistant", message: { content: [{ type: "text", text }] } });
const INIT = line({ type: "system", subtype: "init", session_id: "s-1", model: "m" });
const RESULT = line({
  type: "result",
  subtype: "success",
  is_error: false,
  result: "done",
  session_id: "s-1",
  usage: { input_tokens: 10, output_tokens: 2 },
});
const WORKS = [INIT, say("one"), say("two"), RESULT].join("\n");
const FAILS = [INIT, say("one"), say("two"), "exit 3"].join("\n");

/** How long a fault lasts: one call, or so long that every schedule of retries is through. */
const LASTS_MS = { "once": 0, "for three minutes": 3 * 60_000 } as const;
type Lasts = keyof typeof LASTS_MS;

interface Ending {
  readonly status: TaskView["status"];
  readonly attempt: number;
  /** How often the agent was started. */
  readonly runs: number;
  /** Everything it said stands there exactly once. */
  readonly said: boolean;
  readonly used: boolean;
  readonly session: boolean;
}

const COMPLETED: Ending = { status: "completed", attempt: 1, runs: 1, said: true, used: true, session: true };
const FAILED: Ending = { ...COMPLETED, status: "failed", used: false };
const NOT_STARTED: Ending = { ...FAILED, runs: 0, said: false, session: false };

/** Nothing but the outcome is waited for without end: these are given up by then, and counted. */
const TRIED_IN_VAIN = [
  ...["500", "401", "404 of a runtime", "404 of a workspace", "404 of a stranger"],
  ...["no answer", "a refused connection"],
];
/** The server's last word on a record: it knows no such task, or no such call. */
const FINAL = ["404 of a task", "404 of a route"];
/** Where the server says in error that the task is gone, it is believed: see the test of its own, with these agents. */
const BELIEVERS = { status: `${INIT}\nexec sleep 600`, complete: WORKS, fail: FAILS };

/** What is to come of it; `undefined` where a test of its own says so. */
function expected(endpoint: string, fault: string, lasts: Lasts): Ending | undefined {
  if (fault === "404 of a task" && endpoint in BELIEVERS) return undefined;
  if (endpoint === "fail") return FAILED;
  if (endpoint === "start" && fault === "404 of a route") return NOT_STARTED;
  const lost = FINAL.includes(fault) || (lasts !== "once" && TRIED_IN_VAIN.includes(fault));
  if (endpoint === "messages" && lost) return { ...COMPLETED, said: false };
  if (endpoint === "usage" && lost) return { ...COMPLETED, used: false };
  return COMPLETED;
}

async function endingOf(world: FaultyWorld, id: string): Promise<Ending> {
  const view = await world.view(id);
  const said = await world.messages(view.id);
  const text = said.map(({ content }) => content ?? "").join("");
  return {
    status: view.status,
    attempt: view.attempt,
    runs: world.runs(),
    said: text === "one\n\ntwo" && said.every(({ seq }, index) => seq === index + 1),
    used: view.usage.length === 1 && view.usage[0]!.input_tokens === 10,
    session: view.session_id === "s-1",
  };
}

const isIdle = (daemon: Daemon) => {
  const { tasks, outbox, slots } = daemon.status();
  return tasks.length === 0 && outbox.waiting === 0 && slots.running === 0;
};
const isOver = ({ status }: TaskView) => isTerminal(status);

interface Cell {
  readonly what: string;
  readonly lasts: Lasts;
  readonly about: string;
  readonly fault: Fault;
  readonly lastsMs: number;
  readonly isFinal: boolean;
}

function cellsOf(isFinal: (what: string) => boolean = () => false): Cell[] {
  return Object.entries(FAULTS).flatMap(([what, fault]) =>
    Object.entries(LASTS_MS).map(([lasts, lastsMs]) => ({
      what,
      fault,
      lastsMs,
      lasts: lasts as Lasts,
      about: `${what}, ${lasts}`,
      isFinal: isFinal(what),
    }))
  );
}

/**
 * Of the cells whose end is the same however long the fault lasts the suite plays one of four, in turn a short and a long
 * one: every fault meets every second endpoint, and each of both lasts for a moment and for minutes. The soak plays all.
 */
function chosen(endpoint: string, cells: readonly Cell[]): Cell[] {
  if (isLong()) return [...cells];
  const [faults, turn] = [Object.keys(FAULTS), TABLE.indexOf(endpoint)];
  return cells.filter(({ what, lasts }) => {
    const ends = (Object.keys(LASTS_MS) as Lasts[]).map((each) => JSON.stringify(expected(endpoint, what, each)));
    const place = turn + faults.indexOf(what);
    if (new Set(ends).size > 1) return true;
    return place % 2 === 0 && (place % 4 === 0) === (lasts !== "once");
  });
}

/** All at once, as most of the time is waiting; all to their end, so that a failure leaves nothing behind. */
async function each(cells: readonly Cell[], play: (cell: Cell) => Promise<void>): Promise<void> {
  const results = await Promise.allSettled(cells.map(play));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** One cell of the table: the fault is there from the daemon's first call on, and the task comes while it is there. */
async function play(endpoint: string, { about, fault, lastsMs }: Cell): Promise<Ending> {
  await using world = await FaultyWorld.create();
  world.imposeFor(endpoint, fault, lastsMs);
  const daemon = world.daemon(endpoint === "fail" ? FAILS : WORKS);
  await world.started(daemon);
  const { id } = await world.submit();
  await world.until(() => world.isLifted(), `${about}: the fault was met, and is over`);
  await world.until(async () => isIdle(daemon) && isOver(await world.view(id)), `${about}: the task is over`);
  const ending = await endingOf(world, id);
  const { droppedBatches = 0 } = daemon.status().connections[0] ?? {};
  assert(
    droppedBatches > 0 || (ending.said && ending.used) || endpoint === "start" || endpoint === "fail",
    "it is counted",
  );

  const next = await world.submit();
  await world.until(async () => isIdle(daemon) && isOver(await world.view(next.id)), `${about}: the next task is over`);
  return ending;
}

const TABLE = [
  ...["workspaces", "register", "recover-orphans", "heartbeat", "claim", "start", "status"],
  ...["messages", "usage", "session", "complete", "fail"],
];

for (const endpoint of TABLE) {
  Deno.test(`Daemon ends every task, once, whatever goes wrong with ${endpoint}`, async () => {
    await each(chosen(endpoint, cellsOf()), async (cell) => {
      const ending = expected(endpoint, cell.what, cell.lasts);
      if (ending) assertEquals(await play(endpoint, cell), ending, cell.about);
    });
  });
}

for (const [endpoint, script] of Object.entries(BELIEVERS)) {
  Deno.test(`Daemon believes ${endpoint} that a task is gone, and its next life finds out if it was not`, async () => {
    await using world = await FaultyWorld.create();
    const daemon = world.daemon(script);
    await world.started(daemon);
    const { id } = await world.submit();
    if (endpoint === "status") {
      await world.until(async () => (await world.view(id)).session_id === "s-1", "the agent runs");
    }
    world.impose(endpoint, FAULTS["404 of a task"]!);
    await world.until(() => world.met > 0 && isIdle(daemon), "the daemon is done with it");
    assertEquals([(await world.view(id)).status, world.runs()], ["running", 1]);
    world.lift();
    await world.close(daemon);

    const next = world.daemon(WORKS);
    await world.started(next);
    await world.until(async () => isOver(await world.view(id)) && isIdle(next), "the task is over");
    assertEquals(await endingOf(world, id), { ...COMPLETED, attempt: 2, runs: 2 });
  });
}

Deno.test("Daemon recovers what an earlier life left in flight, whatever goes wrong with recover-orphans", async () => {
  const isFinal = (what: string) => what.startsWith("404 of a") && what !== "404 of a stranger";
  await each(chosen("recover-orphans", cellsOf(isFinal)), async (cell) => {
    const { about, fault, lastsMs, isFinal } = cell;
    await using world = await FaultyWorld.create();
    const { id, status } = await world.orphan();
    assertEquals(status, "running");
    world.imposeFor("recover-orphans", fault, lastsMs);
    const daemon = world.daemon(WORKS);
    await world.started(daemon);
    if (isFinal) {
      // The server will not have it recovered, so it stays; but new tasks run.
      const next = await world.submit();
      await world.until(
        async () => isOver(await world.view(next.id)) && isIdle(daemon),
        `${about}: another task is over`,
      );
      assertEquals((await world.view(id)).status, "running", about);
      return;
    }
    await world.until(async () => isOver(await world.view(id)) && isIdle(daemon), `${about}: the task is over`);
    assertEquals(await endingOf(world, id), { ...COMPLETED, attempt: 2 }, about);
  });
});

Deno.test("Daemon ends the agent of a cancelled task, whatever goes wrong with cancel-ack", async () => {
  await each(chosen("cancel-ack", cellsOf()), async ({ about, fault, lastsMs }) => {
    await using world = await FaultyWorld.create();
    const daemon = world.daemon(`${INIT}\nexec sleep 600`);
    await world.started(daemon);
    const { id } = await world.submit();
    await world.until(async () => (await world.view(id)).session_id === "s-1", `${about}: it runs`);
    const { pid } = daemon.status().tasks[0]!;
    world.imposeFor("cancel-ack", fault, lastsMs);
    await world.cancel(id);
    await world.until(() => world.isLifted() && isIdle(daemon), `${about}: the daemon is done with it`);
    const { status, work_dir } = await world.view(id);
    assertEquals([status, work_dir === null, isAlive(pid!)], ["cancelled", false, false], about);
  });
});

Deno.test("Daemon.stop() ends in time, whatever goes wrong with deregister", async () => {
  await each(chosen("deregister", cellsOf()), async ({ about, fault, lastsMs }) => {
    await using world = await FaultyWorld.create();
    const daemon = world.daemon(WORKS);
    await world.started(daemon);
    world.imposeFor("deregister", fault, lastsMs);
    let ending: string | undefined;
    const ended = daemon.ended.then((how) => ending = how);
    daemon.stop();
    await world.until(() => ending !== undefined, `${about}: it has ended`, { limitMs: 10_000 });
    assertEquals(await ended, "exit", about);
  });
});

const OUTAGES = { "a minute": { ms: 60_000, attempt: 1 }, "ten minutes": { ms: 600_000, attempt: 2 } } as const;

for (const [outage, { ms, attempt }] of Object.entries(OUTAGES)) {
  Deno.test(`Daemon loses no task whose start was carried out by a server that went away then for ${outage}`, async () => {
    await using world = await FaultyWorld.create();
    const daemon = world.daemon(WORKS);
    await world.started(daemon);
    world.impose("start", async (real) => {
      await (await real()).body?.cancel();
      world.imposeOnAll(FAULTS["a refused connection"]!);
      world.clock.after(ms, () => world.lift());
      throw new TypeError("Connection reset by peer");
    });
    const { id } = await world.submit();
    await world.until(() => world.isLifted(), "the server is back");
    await world.until(async () => isOver(await world.view(id)) && isIdle(daemon), "the task is over");
    assertEquals(await endingOf(world, id), { ...COMPLETED, attempt });
  });
}

Deno.test("Daemon delivers the outcome of a talkative agent soon, although nobody takes its messages", async () => {
  await using world = await FaultyWorld.create();
  const words = "x".repeat(60_000);
  const daemon = world.daemon(
    [INIT, "i=0; while [ $i -lt 100 ]; do", say(words), "i=$((i+1)); done", RESULT].join("\n"),
  );
  await world.started(daemon);
  world.impose("messages", FAULTS["500"]!);
  const { id } = await world.submit();
  await world.until(async () => isOver(await world.view(id)), "the outcome has arrived", { limitMs: 5 * 60_000 });
  await world.until(() => isIdle(daemon), "the daemon is done with it");
  assertEquals([(await world.view(id)).status, (await world.messages(id)).length], ["completed", 0]);
  assert(daemon.status().connections[0]!.droppedBatches >= 10, "what was lost is counted");
});

Deno.test("Daemon brings the demo agent's task through a server that fails every other call", async () => {
  await using world = await FaultyWorld.create();
  const form = programForms().find(({ kind }) => kind === "compiled")!;
  const [executable, ...args] = form.argv;
  const daemon = world.daemon("", { executable, fixedArgs: [...args, "__demo-agent"] });
  world.imposeOnHalf(FAULTS["502 although it was done"]!);
  await world.started(daemon);
  const { id } = await world.submit("@demo:fast");
  await world.until(async () => isOver(await world.view(id)) && isIdle(daemon), "the task is over");
  const view = await world.view(id);
  assertEquals([view.status, view.attempt], ["completed", 1], view.error ?? "");
  const said = await world.messages(id);
  assertEquals(said.map(({ seq }) => seq), said.map((_, index) => index + 1));
  assert(said.filter(({ type }) => type === "tool_use").length >= 2, "its tools are there");
});

function isAlive(pid: number): boolean {
  try {
    Deno.kill(pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}
