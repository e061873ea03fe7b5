/** Restarts for changed programs: what the watches saw, through the gate, to the phase; and the way to a hand-off. */
import type { StartReason } from "../core/launch.ts";
import type { PhaseEvent } from "../core/phase.ts";
import type { Clock, Logger } from "../core/ports.ts";
import {
  type Change,
  deedFor,
  GATE,
  type Gate,
  type GateEvent,
  type GateStep,
  type Hold,
  openGate,
  type ReloadHistory,
  type ReloadPolicy,
  settlingInFlight,
  stepGate,
} from "../core/reload_gate.ts";
import type { ReloadPending } from "./status.ts";

/** What a watch knows right now. */
export interface WatchedPrograms {
  /** All that is certain. */
  changes(): readonly Change[];
  /** Whether any of them is being replaced. */
  settling(): boolean;
}

export interface OwnProgram extends WatchedPrograms {
  run(signal: AbortSignal, onLooked: () => void): Promise<void>;
  /** What is believed to have changed, also while nobody may act upon it; `why` in words. */
  waits(): Omit<ReloadPending, "reason" | "provider" | "blockedBy" | "deadline"> & { why: string } | undefined;
}

/** What a restart needs from outside the daemon. */
export interface HandOffPort {
  /** Why the program that would take over cannot; `undefined` when it can. */
  unfit(): Promise<string | undefined>;
  /** Nobody else may be at work on the home from here on; false when somebody is, who then goes first. */
  prepare(reason: StartReason): Promise<boolean>;
  /** After `prepare`, when it comes to nothing. */
  release(): Promise<void>;
  /** Before anything is acted upon. Throws `HostError`. */
  save(history: ReloadHistory): Promise<void>;
}

export interface ReloadOptions {
  readonly policy: ReloadPolicy;
  /** How long tasks are still claimed after a change, in ms. */
  readonly patienceMs: number;
  readonly history: ReloadHistory;
  readonly handOff: HandOffPort;
  readonly own?: OwnProgram;
}

export interface ReloadRunnerOptions extends ReloadOptions {
  readonly agents: WatchedPrograms;
  readonly clock: Clock;
  readonly log: Logger;
  readonly tellPhase: (event: PhaseEvent) => void;
}

const HOLDS: { readonly [W in Hold["why"]]: string } = {
  updating: "an update is at work, and brings the restart with it",
  settling: "files are being replaced",
  "just-restarted": `the last restart was less than ${GATE.restartGapMs / 60_000} min ago`,
  "restarts-spent": "there were enough restarts in the last hour: drover restart takes it, or another change does",
  cancelled: "somebody cancelled the drain for it: drover restart takes it, or another change does",
  refused: "it did not manage to take over, and is not tried again until it is another file",
  stopping: "the daemon is ending",
  busy: "somebody else was at work on the home: tried again in a moment",
};

/** How often one and the same reason to wait is said. */
const SAY_MS = 10 * 60_000;

export class ReloadRunner {
  readonly #options: ReloadRunnerOptions;
  #gate: Gate;
  /** The changes for which the program that would take over was tried, and whether it is fit. */
  #tried: { readonly set: string; readonly fit: boolean } | undefined;
  #looking = false;
  #again = false;
  #said = { why: "", at: 0 };

  constructor(options: ReloadRunnerOptions) {
    this.#options = options;
    this.#gate = openGate(options.history);
  }

  /** Counts as one more thing in flight: a drain does not end while files are being replaced. */
  get inFlight(): number {
    return settlingInFlight(this.#gate);
  }

  /** `agent`: what waits longest of the agent CLIs. For the status; null where nothing waits. */
  pending(agent: ReloadPending | undefined, inFlight: { active: number; claims: number }): ReloadPending | null {
    const [first] = [agent, this.#ownPending(inFlight)].flatMap((one) => one ? [one] : [])
      .sort((a, b) => a.since - b.since);
    const { hold, changes } = this.#gate;
    if (!first || !hold || !changes.some(({ program }) => program === first.provider)) return first ?? null;
    return { ...first, blockedBy: { ...first.blockedBy, why: HOLDS[hold.why] } };
  }

  /** After each look of a watch. */
  looked(): void {
    if (this.#looking) this.#again = true;
    else void this.#look();
  }

  /** Somebody wants the daemon to end. */
  stop(): void {
    this.#send({ kind: "stop" });
  }

  /** Somebody wants it to go on. */
  cancelDrain(): void {
    this.#send({ kind: "drain-cancelled" });
  }

  /** The phase asks for it. True: everything is written down, and the daemon is to be closed for its successor. */
  async handOff(): Promise<boolean> {
    const { handOff, log } = this.#options;
    const changes = this.#gate.changes.map(({ program, newDigest }) => `${program}=${newDigest.slice(0, 12)}`);
    const prepared = await handOff.prepare(this.#reason()).catch((error) => {
      log.error("preparing the restart failed", { error: (error as Error).stack ?? String(error) });
      return false;
    });
    if (prepared && await this.#commit()) {
      log.info("restarting for changed programs", { changes });
      return true;
    }
    if (prepared) await handOff.release();
    else log.info("the restart is put off: the home is not free for it, or the program not fit", { changes });
    this.#send({ kind: "hand-off-put-off" });
    return false;
  }

  /** The successor did not make it: its binary is not tried again. What is written is for the next daemon of this process. */
  async handOffFailed(): Promise<void> {
    const { history } = this.#step({ kind: "hand-off-failed" }).gate;
    await this.#options.handOff.save(history);
  }

  #ownPending(inFlight: { active: number; claims: number }): ReloadPending | undefined {
    const waits = this.#options.own?.waits();
    if (!waits) return undefined;
    const { why, ...rest } = waits;
    return { ...rest, reason: "new_binary", provider: "drover", blockedBy: { ...inFlight, why }, deadline: null };
  }

  async #look(): Promise<void> {
    this.#looking = true;
    try {
      do {
        this.#again = false;
        await this.#consider();
      } while (this.#again);
    } catch (error) {
      this.#options.log.error("deciding on a restart failed", { error: (error as Error).stack ?? String(error) });
    } finally {
      this.#looking = false;
    }
  }

  async #consider(): Promise<void> {
    const { agents, own } = this.#options;
    const changes = [...agents.changes(), ...own?.changes() ?? []];
    const wanted = changes.filter((change) => deedFor(change, this.#options.policy) === "restart");
    const fit = wanted.length === 0 || await this.#isFit(wanted);
    const settling = agents.settling() || (own?.settling() ?? false) || !fit;
    this.#send({ kind: "looked", changes: wanted, settling });
    this.#sayWhy();
  }

  /** Expensive things come before a drain: without a program to go on with, none is begun. */
  async #isFit(wanted: readonly Change[]): Promise<boolean> {
    const set = wanted.map(({ program, newDigest }) => `${program}=${newDigest}`).sort().join(",");
    if (this.#tried?.set === set && this.#tried.fit) return true;
    const why = await this.#options.handOff.unfit();
    if (why !== undefined) this.#say("the program that would take over is not fit for it", why);
    this.#tried = { set, fit: why === undefined };
    return why === undefined;
  }

  /** The history is on disk before anything is done, so that not even a crash restarts more often than it may. */
  async #commit(): Promise<boolean> {
    const { clock, handOff, log } = this.#options;
    const { gate, answer } = stepGate(this.#gate, { kind: "hand-off" }, clock.now());
    if (answer !== "go") return false;
    try {
      await handOff.save(gate.history);
    } catch (error) {
      log.error("cannot restart: its history cannot be written", { error: String(error) });
      return false;
    }
    // A stop may have come meanwhile.
    return this.#send({ kind: "hand-off" }) === "go";
  }

  #reason(): StartReason {
    if (this.#gate.owner === "update") return "update";
    return this.#gate.changes.some(({ own }) => own) ? "new_binary" : "agent_binary_changed";
  }

  #step(event: GateEvent): GateStep {
    const step = stepGate(this.#gate, event, this.#options.clock.now());
    const { history } = this.#gate;
    this.#gate = step.gate;
    // That a person cancelled the drain, and that the restarts are spent, outlives this process too.
    if (step.gate.history.putOff !== history.putOff) {
      void this.#options.handOff.save(step.gate.history).catch((error) =>
        this.#options.log.warn("cannot note which change is put off", { error: String(error) })
      );
    }
    return step;
  }

  #send(event: GateEvent): GateStep["answer"] {
    const { phase, answer } = this.#step(event);
    for (const one of phase) this.#options.tellPhase(one);
    return answer;
  }

  #sayWhy(): void {
    const { hold, changes } = this.#gate;
    if (changes.length > 0 && hold) this.#say("a restart for changed programs waits", hold.why);
    else this.#said = { why: "", at: 0 };
  }

  #say(what: string, why: string): void {
    const now = this.#options.clock.monotonic();
    if (this.#said.why === why && now - this.#said.at < SAY_MS) return;
    this.#said = { why, at: now };
    this.#options.log.info(what, { why, changes: this.#gate.changes.map(({ program }) => program) });
  }
}
