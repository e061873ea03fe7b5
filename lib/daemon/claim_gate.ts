/** The gate before every claim: a person's pause, the battery, the day's limits, and the servers' word after a sleep. */
import { type ClaimHold, claimHold, hasPassed, type PersonPause, sleptThrough, WAKE } from "../core/claim_hold.ts";
import { type DayLimits, NO_DAY_LIMITS } from "../core/day_limits.ts";
import type { Clock, Logger } from "../core/ports.ts";
import { type PauseView, personView } from "../core/runtime_pause.ts";
import type { RuntimePauses } from "./runtime_pauses.ts";
import { DayLedger, type DayStore } from "./day_ledger.ts";

/** Once in this time the system is asked what feeds it. */
const POWER_MS = 60_000;
/** Never for longer: the wall clock may jump, and our own stands still while the machine sleeps. */
const LONGEST_TIMER_MS = 60_000;

export interface PersonPauseStore {
  read(): Promise<PersonPause | undefined>;
  write(pause: PersonPause | undefined): Promise<void>;
}

/** What a daemon is given of it; with nothing at all every claim passes. */
export interface ClaimRules {
  readonly pauseStore?: PersonPauseStore;
  readonly dayStore?: DayStore;
  /** Asked each time, as is the next. */
  readonly dayLimits?: () => DayLimits;
  readonly claimOnBattery?: () => boolean;
  /** `undefined` when nobody can tell, which speaks against nothing. */
  readonly onBattery?: () => Promise<boolean | undefined>;
}

export interface ClaimGateOptions extends ClaimRules {
  readonly clock: Clock;
  readonly log: Logger;
  /** Tasks may be claimed again. */
  readonly onClaimable: () => void;
  /** After a sleep: asks the servers about what was claimed before. Never rejects. */
  readonly askServers: (signal: AbortSignal) => Promise<void>;
}

export class ClaimGate {
  readonly day: DayLedger;
  readonly #options: ClaimGateOptions;
  #pause: PersonPause | undefined;
  #battery: { readonly askedAt: number; readonly since: number | undefined } | undefined;
  #turnAt: number | undefined;
  #asking: Promise<void> | undefined;
  #timer: Disposable | undefined;
  #signal: AbortSignal | undefined;

  constructor(options: ClaimGateOptions) {
    const { clock, log, dayStore, dayLimits = () => NO_DAY_LIMITS } = options;
    this.#options = options;
    this.day = new DayLedger({ clock, log, limits: dayLimits, ...(dayStore ? { store: dayStore } : {}) });
  }

  /** What an earlier daemon was told and has counted. Timers end with the signal. */
  async begin(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#timer?.[Symbol.dispose](), { once: true });
    await this.day.begin();
    const kept = await this.#options.pauseStore?.read();
    // What somebody said meanwhile is newer.
    this.#pause ??= kept;
    if (this.#current) this.#options.log.info("no tasks are claimed", { ...this.#pause, why: "a person said so" });
    this.#wakeInTime();
  }

  /** One of the loops came round: notices that the machine has slept meanwhile. */
  turn(): void {
    const now = this.#options.clock.now();
    const last = this.#turnAt;
    this.#turnAt = now;
    if (last === undefined || !this.#signal || this.#signal.aborted || !sleptThrough(last, now)) return;
    this.#options.log.info("time was slept through, the servers are asked before anything is claimed", {
      ms: now - last,
    });
    this.#asking ??= this.#ask(this.#signal);
  }

  /** Resolves when it is known whether claims may be made; `undefined` when it is known already. Never rejects. */
  ready(signal: AbortSignal): Promise<void> | undefined {
    this.turn();
    const looking = this.#lookAtPower();
    return looking ? looking.then(() => signal.aborted ? undefined : this.#asking) : this.#asking;
  }

  /** Why nothing at all is claimed. */
  holds(): ClaimHold | undefined {
    const onBattery = this.#battery?.since !== undefined && !this.#options.claimOnBattery?.();
    return claimHold({ pause: this.#current, onBattery, asking: this.#asking !== undefined });
  }

  /** How many more tasks of an agent CLI may be claimed today; Infinity without a limit. */
  tasksLeft(provider: string): number {
    return this.day.tasksLeft(provider);
  }

  /** Why nothing is claimed for some time, for people and programs. */
  view(): PauseView | undefined {
    const hold = this.holds();
    if (hold === "paused-by-person") return personView(this.#pause!);
    if (hold !== "on-battery") return undefined;
    const how = "drover config set power.claim_on_battery true";
    return { kind: "battery", since: this.#battery!.since!, until: null, why: "the machine runs on its battery", how };
  }

  /** By a person; replaces what was said before. Rejects when it could not be written down, and holds all the same. */
  async pause({ until, reason }: Pick<PersonPause, "until" | "reason">): Promise<void> {
    const { clock, log } = this.#options;
    this.#pause = { since: clock.now(), until, reason };
    log.info("no tasks are claimed", { ...this.#pause, why: "a person said so" });
    this.#wakeInTime();
    await this.#options.pauseStore?.write(this.#pause);
  }

  /** False when it was not paused. */
  async resume(): Promise<boolean> {
    if (!this.#current) return false;
    await this.#lift("a person said so");
    return true;
  }

  get #current(): PersonPause | undefined {
    return this.#pause && !hasPassed(this.#pause, this.#options.clock.now()) ? this.#pause : undefined;
  }

  async #lift(why: string): Promise<void> {
    this.#pause = undefined;
    this.#timer?.[Symbol.dispose]();
    this.#options.log.info("tasks are claimed again", { why });
    this.#options.onClaimable();
    await this.#options.pauseStore?.write(undefined);
  }

  #wakeInTime(): void {
    this.#timer?.[Symbol.dispose]();
    const until = this.#pause?.until ?? null;
    if (until === null || !this.#signal || this.#signal.aborted) return;
    const { clock, log } = this.#options;
    const ms = Math.max(0, Math.min(LONGEST_TIMER_MS, until - clock.now()));
    this.#timer = clock.after(ms, () => {
      if (this.#current) return this.#wakeInTime();
      this.#lift("its time is over").catch((error) =>
        log.warn("forgetting a pause failed, its time is over all the same", { error: String(error) })
      );
    });
  }

  #lookAtPower(): Promise<void> | undefined {
    const { clock, onBattery, claimOnBattery = () => true } = this.#options;
    if (!onBattery || claimOnBattery()) return void (this.#battery = undefined);
    const before = this.#battery;
    if (before && clock.monotonic() - before.askedAt < POWER_MS) return undefined;
    return this.#askPower(onBattery, before?.since);
  }

  async #askPower(onBattery: () => Promise<boolean | undefined>, before: number | undefined): Promise<void> {
    const { clock, log } = this.#options;
    const askedAt = clock.monotonic();
    const is = await onBattery().catch((error) =>
      void log.warn("asking for the battery failed", { error: String(error) })
    );
    const since = is ? before ?? clock.now() : undefined;
    if ((before === undefined) !== (since === undefined)) {
      log.info(is ? "the machine runs on its battery, no tasks are claimed" : "the machine is plugged in again");
    }
    this.#battery = { askedAt, since };
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const { clock, askServers, onClaimable } = this.#options;
    // One that does not answer must not keep the others' tasks from beginning.
    const limit = new AbortController();
    const enough = () => limit.abort();
    signal.addEventListener("abort", enough, { once: true });
    using _limit = clock.after(WAKE.askMs, enough);
    await askServers(limit.signal);
    signal.removeEventListener("abort", enough);
    this.#asking = undefined;
    onClaimable();
  }
}

/** Who gets no tasks, for those who ask: of one agent CLI, and of the whole daemon. */
export interface DaemonPauses {
  /** What keeps this agent CLI from getting tasks, be it its own or everybody's. */
  view(provider: string): PauseView | undefined;
  /** Its own alone. */
  ofAgent(provider: string): PauseView | undefined;
  /** Of an agent CLI whose quota is spent or that needs a login; false when it is neither. */
  resume(provider: string): boolean;
  /** All claiming. */
  readonly all: Pick<ClaimGate, "pause" | "resume" | "view">;
}

export function pausesOf(agents: Pick<RuntimePauses, "view" | "resume">, gate: ClaimGate): DaemonPauses {
  const ofAgent = (provider: string) => agents.view(provider) ?? gate.day.view(provider);
  return {
    view: (provider) => gate.view() ?? ofAgent(provider),
    ofAgent,
    resume: (provider) => agents.resume(provider),
    all: gate,
  };
}
