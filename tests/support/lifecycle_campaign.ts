/** Several terminals that give random life-cycle commands to one home at the same time, some of them killed; then everything must be in order. */
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import type { ErrorCode } from "../../lib/core/drover_error.ts";
import { eventually, type TestHome } from "./drover.ts";

export interface CampaignOptions {
  readonly random: () => number;
  readonly terminals: number;
  /** No command begins after so many ms. */
  readonly forMs: number;
}

/** How often each command came to which end, as `start 0` (the exit code). */
export type Tally = Map<string, number>;

interface Kind {
  readonly args: readonly string[];
  readonly weight: number;
  /** Exit codes, and codes of errors, that mean something; every other is a failure. */
  readonly ends: readonly (number | ErrorCode)[];
}

const { ok, busy, notRunning, taskFailed, taskCancelled } = EXIT_CODES;
const STARTED = [ok.code, "busy", "timeout", "daemon_failed", "breaker_open"] as const;
const STOPPED = [ok.code, "busy", "timeout", "drain_deadline"] as const;

const KINDS: readonly Kind[] = [
  { args: ["start"], weight: 6, ends: STARTED },
  { args: ["restart"], weight: 3, ends: [...STARTED, ...STOPPED] },
  { args: ["restart", "--now"], weight: 1, ends: [...STARTED, ...STOPPED] },
  { args: ["stop", "--timeout", "2s"], weight: 2, ends: STOPPED },
  { args: ["stop", "--now"], weight: 1, ends: STOPPED },
  { args: ["status"], weight: 3, ends: [ok.code, notRunning.code, busy.code] },
  {
    args: ["run", "--agent", "demo", "--scratch", "@demo:fast"],
    weight: 2,
    ends: [ok.code, taskFailed.code, taskCancelled.code, "busy", "not_running", "draining"],
  },
];

/** Of a command, to be killed within. */
const KILL_CHANCE = 0.15;
const KILL_WITHIN_MS = 600;
/** Of a turn, to kill the daemon itself. */
const DAEMON_KILL_CHANCE = 0.05;
const PAUSE_MS = 200;
const SETTLE_MS = 45_000;

/** Throws when a command ends in a way that is none, or the home is not in order afterwards. */
export async function campaign(home: TestHome, options: CampaignOptions): Promise<Tally> {
  const tally: Tally = new Map();
  const until = Date.now() + options.forMs;
  const terminals = Array.from({ length: options.terminals }, async () => {
    while (Date.now() < until) {
      await turn(home, options.random, tally);
      await new Promise((resolve) => setTimeout(resolve, options.random() * PAUSE_MS));
    }
  });
  await Promise.all(terminals);
  await putInOrder(home);
  return tally;
}

async function turn(home: TestHome, random: () => number, tally: Tally): Promise<void> {
  if (random() < DAEMON_KILL_CHANCE) return await killDaemon(home, tally);
  const kind = pick(random);
  const child = home.spawn([...kind.args, "--json"]);
  let killed = false;
  const timer = random() < KILL_CHANCE
    ? setTimeout(() => {
      killed = true;
      try {
        child.kill("SIGKILL");
      } catch {
        // It was faster.
      }
    }, random() * KILL_WITHIN_MS)
    : undefined;
  const { code, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const [result, notes] = [new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)];
  const end = errorCodeIn(result) ?? code;
  count(tally, `${kind.args[0]}: ${killed ? "killed" : end}`);
  if (killed || kind.ends.includes(end)) return;
  throw new Error(
    `drover ${kind.args.join(" ")} ended with ${code}: ${result}${notes}\n${(await home.log()).slice(-4_000)}`,
  );
}

function errorCodeIn(result: string): ErrorCode | undefined {
  try {
    return JSON.parse(result).error?.code;
  } catch {
    return undefined;
  }
}

function pick(random: () => number): Kind {
  let at = random() * KINDS.reduce((sum, { weight }) => sum + weight, 0);
  return KINDS.find(({ weight }) => (at -= weight) < 0) ?? KINDS[0]!;
}

/** Only one that is surely of this home. */
async function killDaemon(home: TestHome, tally: Tally): Promise<void> {
  const pids = await home.processes();
  const record = await Deno.readTextFile(join(home.home, "daemon.json")).then(JSON.parse).catch(() => undefined);
  if (record?.mode !== "daemon" || !pids.includes(record.pid)) return;
  Deno.kill(record.pid, "SIGKILL");
  count(tally, "daemon killed");
}

function count(tally: Tally, what: string): void {
  tally.set(what, (tally.get(what) ?? 0) + 1);
}

/** Nobody else is there any more: each verb does what it says, no task waits for ever, and at the end nothing is left. */
async function putInOrder(home: TestHome): Promise<void> {
  const started = await home.json(["start", "--force"]);
  assertEquals(started.code, ok.code, JSON.stringify(started.value));
  const status = await home.json(["status"]);
  assertEquals([status.value.state, status.value.pid], ["running", started.value.pid]);
  const record = JSON.parse(await Deno.readTextFile(join(home.home, "daemon.json")));
  assertEquals(
    [record.pid, record.instance],
    [started.value.pid, started.value.instance],
    "the record is the holder's",
  );
  await eventually(
    async () => {
      const { value } = await home.json(["tasks", "list", "--limit", "100"]);
      return value.tasks.every(({ status }: { status: string }) =>
        ["completed", "failed", "cancelled"].includes(status)
      );
    },
    "every task has come to its end",
    60_000,
  );
  await assertStops(home);
}

/** Stops the daemon; nothing of it is left, and nothing comes up again. */
export async function assertStops(home: TestHome): Promise<void> {
  const stopped = await home.json(["stop"]);
  assertEquals([stopped.code, stopped.value.status], [ok.code, "stopped"], JSON.stringify(stopped.value));
  // A start that was killed may have left one behind that sees only now that it is not wanted.
  await eventually(async () => (await home.processes()).length === 0, "no process is left", SETTLE_MS);
  assertEquals((await home.json(["status"])).value.state, "stopped");
  assertEquals(JSON.parse(await Deno.readTextFile(join(home.home, "lifecycle.json"))).operation, null);
  for (const name of ["daemon.json", "restart.json"]) {
    const left = await Deno.stat(join(home.home, name)).then(() => true, () => false);
    assertEquals(left, false, `${name} is gone`);
  }
}
