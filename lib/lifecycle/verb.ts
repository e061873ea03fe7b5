/** What every verb of the life cycle has in common: its ports, its deadline, and the steps that lead to a look worth acting on. */
import { DroverError } from "../core/drover_error.ts";
import type { Decision, RefuseReason, WaitReason } from "../core/handshake.ts";
import type { Home } from "../core/home.ts";
import type { Env, Launcher } from "../core/ports.ts";
import { type Look, observe, type ObservePorts } from "./observe.ts";
import { type Pidfile, removePidfile } from "./pidfile.ts";
import type { RestartLockPorts } from "./restart_lock.ts";
import { setAside } from "./set_aside.ts";

export interface InstancePorts extends RestartLockPorts, ObservePorts {
  readonly launcher: Launcher;
  readonly environmentOf: (pid: number) => Env | undefined;
  /** The argv that runs this program. */
  readonly selfCommand: readonly string[];
  /** What a daemon inherits from this command. */
  readonly env: Env;
  /** The version this program says it is. */
  readonly version: string;
  /** Ends what a dead daemon's tasks left running. */
  readonly endLeftovers: () => Promise<readonly number[]>;
  /** Mark of this program and of the home's configuration: whether a start that failed is worth another try. */
  readonly mark: () => Promise<string>;
  /** Throws `binary_unusable` when this program could not be started. */
  readonly preflight: () => Promise<void>;
  /** Where tests stop or end this process; does nothing else. */
  readonly faultPoint?: (name: FaultPoint) => Promise<void>;
  /** Set where a service manager starts the daemon of this home. */
  readonly supervisor?: () => Promise<{ start(): Promise<void> } | undefined>;
}

export type FaultPoint =
  | "start.noted"
  | "start.launched"
  | "start.ready"
  | "stop.asked"
  | "stop.gone"
  | "restart.noted"
  | "restart.stopped"
  | "handoff.noted"
  | "handoff.closed"
  | "handoff.launched"
  | "handoff.ready"
  | "successor.begun"
  | "successor.holds"
  | "successor.serves";

export const POLL_MS = 50;
/** Added to a verb's own time for the wait behind another verb. */
export const LOCK_EXTRA_MS = 75_000;

const WAITS: { readonly [W in WaitReason]: string } = {
  starting: "is starting",
  draining: "finishes its tasks",
  stopping: "is ending",
  unresponsive: "does not answer",
  "run-holds-home": "is a drover run, which ends with its task",
};

const REFUSALS: { readonly [R in RefuseReason]: { readonly why: string; readonly hint: string } } = {
  unmanaged: {
    why: "whoever answers there has no record and does not write one",
    hint: "it was not started by this drover; end it the way it was started",
  },
  unidentified: {
    why: "the process that holds it does not answer and left no valid record",
    hint: "find it with: fuser LOCK (or lsof LOCK), and end it yourself",
  },
  "lock-lost": {
    why: "its lock file was replaced under the running daemon",
    hint: "drover stop ends that daemon; then start again",
  },
  "run-holds-home": {
    why: "a drover run holds it, which ends with its task",
    hint: "press ctrl-C in its terminal, or use drover stop --now",
  },
};

/** The decisions that only lead to another look. */
export type Preliminary = Extract<Decision, { kind: "wait" | "clean" | "refuse" }>;

export function isPreliminary(decision: Decision): decision is Preliminary {
  return decision.kind === "wait" || decision.kind === "clean" || decision.kind === "refuse";
}

/** Brings a home, step by step, to where a verb can act. One for each verb: it remembers what it has tried. */
export class Approach {
  /** What a dead holder left was removed. */
  cleaned = false;
  /** What the last look was refused for. */
  #refused: RefuseReason | undefined;
  readonly #deadline: number;

  constructor(
    private readonly ports: InstancePorts,
    private readonly home: Home,
    private readonly verb: "start" | "stop" | "restart",
    timeoutMs: number,
  ) {
    this.#deadline = ports.clock.monotonic() + timeoutMs;
  }

  look(): Promise<Look> {
    return observe(this.ports, this.home);
  }

  get leftMs(): number {
    return Math.max(0, this.#deadline - this.ports.clock.monotonic());
  }

  /** Does what the decision says; then it is to be looked again. Throws `busy` at the deadline, `unmanaged`. */
  async take(step: Preliminary, look: Look): Promise<void> {
    const { ports, home } = this;
    if (step.kind === "clean") {
      await whileNobodyHolds(ports, home, async () => {
        this.cleaned = true;
        if (step.what === "corrupt-record") return await setAside(ports.files, home.pidfile, ports.clock.now());
        if (look.record) await removePidfile(ports.files, home.pidfile, look.record.instance);
      });
      return;
    }
    if (step.kind === "refuse") {
      // A look is no snapshot: a daemon that ends while it is looked at may seem to be any of these.
      if (step.why === "run-holds-home" || step.why === this.#refused) throw refusalOf(this.verb, home, step.why);
      this.#refused = step.why;
      // One that is of this home has its record again at the next look.
      if (step.why === "unmanaged") await look.control?.adopt().catch(() => {});
      return await ports.clock.sleep(POLL_MS);
    }
    this.#refused = undefined;
    if (this.leftMs > 0) return await ports.clock.sleep(POLL_MS);
    const pid = look.control?.hello.pid ?? look.record?.pid;
    throw new DroverError(
      "busy",
      `Cannot ${this.verb} the daemon of ${home.root}: ${pid ? `pid ${pid}` : "a process"} ${WAITS[step.why]}`,
      { phase: "look", details: { pid: pid ?? null }, hint: "wait until it is done, or end it with drover stop --now" },
    );
  }
}

export function refusalOf(verb: string, home: Home, reason: RefuseReason): DroverError {
  const { why, hint } = REFUSALS[reason];
  const code = reason === "run-holds-home" ? "busy" : "unmanaged";
  return new DroverError(code, `Cannot ${verb} the daemon of ${home.root}: ${why}`, {
    phase: "look",
    hint: hint.replaceAll("LOCK", home.daemonLock),
  });
}

/**
 * Does something to what a dead holder left, with the daemon lock in hand: a run or a supervised daemon may become the
 * next holder at any time, restart lock or not. Does nothing when somebody holds it.
 */
export async function whileNobodyHolds(ports: InstancePorts, home: Home, clean: () => Promise<void>): Promise<void> {
  using lock = await ports.locks.tryLock(home.daemonLock);
  if (lock) await clean();
}

/** The daemon went away, or got stuck, in the middle of a call: everything is to be looked at again. */
export function wentAway(error: unknown): boolean {
  return error instanceof DroverError && error.code === "not_running";
}

/** Names the process of a record, for people. */
export function processName(record: Pidfile | undefined): string {
  return record ? `the daemon (pid ${record.pid})` : "the daemon";
}
