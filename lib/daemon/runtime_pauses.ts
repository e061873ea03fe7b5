/** Which agent CLIs get no tasks for a while, and what ends that: time, a login, or a person; kept from daemon to daemon. */
import type { Outcome } from "../core/message.ts";
import { providerOf, type Runtime } from "../core/model.ts";
import type { Clock, Logger } from "../core/ports.ts";
import {
  isOver,
  type LoginSight,
  PAUSE,
  type Pause,
  pauseAfter,
  pauseAfterCheck,
  type Pauses,
  pauseText,
  type PauseView,
  viewOf,
} from "../core/runtime_pause.ts";
import type { BinaryWatch, Launchable } from "./binary_watch.ts";

export interface PauseStore {
  read(): Promise<Pauses>;
  write(pauses: Pauses): Promise<void>;
}

/** Free and offline; rejects only with the signal's reason. */
export type LookAtLogin = (runtime: Runtime, signal: AbortSignal) => Promise<LoginSight>;

export interface PausesOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Absent where nothing is kept. */
  readonly store?: PauseStore;
  /** What to type to log in to an agent CLI. */
  readonly howToLogIn?: (provider: string) => string;
  /** Absent where that is not to be asked. */
  readonly look?: LookAtLogin;
  /** Every CLI is looked at when it is found; else only those that are known to need a login. */
  readonly eager?: boolean;
  /** Tasks of a CLI may be claimed again. */
  readonly onClaimable: () => void;
}

export class RuntimePauses {
  readonly #options: PausesOptions;
  #pauses: Pauses = {};
  readonly #runtimes = new Map<string, Runtime>();
  /** When each login was looked at last, on the clock that never goes back. */
  readonly #lookedAt = new Map<string, number>();
  /** Nobody knows of these yet, and a task could fail for it. */
  readonly #unknown = new Set<string>();
  /** When a pause was lifted last, on the same clock: what began before it says nothing about now. */
  readonly #lifted = new Map<string, number>();
  #saving: Promise<void> = Promise.resolve();
  #wake = () => {};
  #begun = false;
  /** Of the daemon. */
  #signal = new AbortController().signal;

  constructor(options: PausesOptions) {
    this.#options = options;
  }

  /** What an earlier daemon has learnt, and who is logged in by now of those that had to. */
  async begin(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    this.#pauses = await this.#options.store?.read() ?? {};
    this.#begun = true;
    this.#expire();
    // Of those that are new nobody has to know before the first claim.
    for (const provider of this.#unknown) void this.#look(this.#runtimes.get(provider)!);
    await this.#lookAgain();
  }

  /** These are there; the tasks of those that are new wait until their login was looked at. */
  adopt(runtimes: readonly Runtime[]): void {
    const { look, eager } = this.#options;
    for (const runtime of runtimes) {
      const isNew = !this.#runtimes.has(runtime.provider);
      this.#runtimes.set(runtime.provider, runtime);
      if (!isNew || !look || !eager) continue;
      this.#unknown.add(runtime.provider);
      if (this.#begun) void this.#look(runtime);
    }
  }

  mayClaim(provider: string): boolean {
    return !this.#unknown.has(provider) && this.#current(provider) === undefined;
  }

  /** What was claimed in the same moment as the task that failed goes back to the queue; else it is `binaries` to say. */
  launchable(
    key: string,
    limits: Parameters<BinaryWatch["launchable"]>[1],
    binaries: Pick<BinaryWatch, "launchable">,
  ): Promise<Launchable> {
    const provider = providerOf(key);
    const pause = this.view(provider);
    if (!pause) return binaries.launchable(key, limits);
    return Promise.resolve({ kind: "no", why: `${provider} ${pauseText(pause, this.#options.clock.now())}` });
  }

  view(provider: string): PauseView | undefined {
    const pause = this.#current(provider);
    return pause && viewOf(pause);
  }

  /** `began`: in ms, on the clock that never goes back. */
  ended({ provider, outcome, began }: { provider: string; outcome: Outcome; began: number }): void {
    const { clock, log } = this.#options;
    const now = clock.now();
    const pause = pauseAfter(outcome, { how: this.#how(provider), now });
    if (!pause || provider === "" || began < (this.#lifted.get(provider) ?? 0)) return;
    // A login that is known to be needed is not forgotten for what another run says.
    if (this.#current(provider)?.kind === "login") return;
    this.#set(provider, pause);
    log.warn("agent CLI gets no tasks for now", { provider, ...viewOf(pause) });
    const runtime = this.#runtimes.get(provider);
    // At once: what there is to log in with now is what has just failed.
    if (pause.kind === "login" && runtime) void this.#look(runtime);
  }

  /** By a person; false when it was not paused. */
  resume(provider: string): boolean {
    if (this.#current(provider) === undefined) return false;
    this.#lift(provider, "a person said so");
    return true;
  }

  /** Until the signal aborts: ends pauses in time, and looks again whether somebody has logged in. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const woken = new AbortController();
      const wake = () => woken.abort();
      this.#wake = wake;
      // Not `AbortSignal.any`: Deno 2.6 forgets such a signal while nobody but its own listener waits for it.
      signal.addEventListener("abort", wake, { once: true });
      const ms = this.#nextMs();
      const slept = { signal: woken.signal };
      await (ms === Infinity ? aborted(woken.signal) : this.#options.clock.sleep(ms, slept).catch(() => {}));
      signal.removeEventListener("abort", wake);
      if (signal.aborted) break;
      this.#expire();
      await this.#lookAgain();
    }
    await this.#saving;
  }

  /** Never long: the wall clock may jump, and our own stands still while the machine sleeps. */
  #nextMs(): number {
    const { clock } = this.#options;
    const due = Object.entries(this.#pauses).map(([provider, pause]) =>
      pause.kind === "quota" ? pause.until - clock.now() : this.#dueMs(provider)
    );
    return due.length === 0 ? Infinity : Math.max(1, Math.min(PAUSE.recheckMs, ...due));
  }

  #dueMs(provider: string): number {
    const looked = this.#lookedAt.get(provider);
    if (looked === undefined) return this.#runtimes.has(provider) ? 0 : PAUSE.recheckMs;
    return looked + PAUSE.recheckMs - this.#options.clock.monotonic();
  }

  async #lookAgain(): Promise<void> {
    const due = Object.entries(this.#pauses).flatMap(([provider, { kind }]) =>
      kind === "login" && this.#dueMs(provider) <= 0 ? this.#runtimes.get(provider) ?? [] : []
    );
    await Promise.all(due.map((runtime) => this.#look(runtime)));
  }

  #current(provider: string): Pause | undefined {
    const pause = Object.hasOwn(this.#pauses, provider) ? this.#pauses[provider] : undefined;
    return pause && !isOver(pause, this.#options.clock.now()) ? pause : undefined;
  }

  /** Never rejects. */
  async #look(runtime: Runtime): Promise<void> {
    const { look, clock, log } = this.#options;
    const { provider } = runtime;
    const signal = this.#signal;
    this.#lookedAt.set(provider, clock.monotonic());
    if (!look) return;
    try {
      const sight = await look(runtime, signal);
      const before = this.#current(provider);
      const after = pauseAfterCheck(before, sight, { how: this.#how(provider), now: clock.now() });
      if (before && !after) return this.#lift(provider, "somebody has logged in");
      if (after && JSON.stringify(after) !== JSON.stringify(before)) this.#set(provider, after);
      if (after && !before) log.warn("agent CLI needs a login", { provider, how: this.#how(provider) });
    } catch (error) {
      // Nobody could say: then a run will.
      if (!signal.aborted) log.error("looking at a login failed", { provider, error: String(error) });
    } finally {
      if (this.#unknown.delete(provider)) this.#options.onClaimable();
    }
  }

  #how(provider: string): string {
    return this.#options.howToLogIn?.(provider) ?? "";
  }

  #expire(): void {
    for (const [provider, pause] of Object.entries(this.#pauses)) {
      if (isOver(pause, this.#options.clock.now())) this.#lift(provider, "its time is over");
    }
  }

  #lift(provider: string, why: string): void {
    const { clock, log, onClaimable } = this.#options;
    this.#lifted.set(provider, clock.monotonic());
    const { [provider]: _lifted, ...left } = this.#pauses;
    this.#pauses = left;
    this.#save();
    log.info("agent CLI gets tasks again", { provider, why });
    onClaimable();
  }

  #set(provider: string, pause: Pause): void {
    this.#pauses = { ...this.#pauses, [provider]: pause };
    this.#save();
    this.#wake();
  }

  #save(): void {
    const { store, log } = this.#options;
    const pauses = this.#pauses;
    this.#saving = this.#saving.then(() => store?.write(pauses)).catch((error) =>
      log.warn("writing down the pauses failed, a restart forgets them", { error: String(error) })
    );
  }

  /** Resolves when all that was decided is on disk. */
  settled(): Promise<void> {
    return this.#saving;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
