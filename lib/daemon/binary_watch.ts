/** The binary watch: notices agent CLIs that were replaced, tells servers of the new ones, and holds starts meanwhile. */
import { isOurselves } from "../agents/discover.ts";
import { type Runtime, runtimeKey, type SkippedProvider } from "../core/model.ts";
import type { Logger } from "../core/ports.ts";
import { confirmedChange, lookAgainMs, mayLaunch, unsettled, type WatchNews } from "../core/reload.ts";
import { type Change, type Deed, deedFor, type ReloadMode } from "../core/reload_gate.ts";
import { binaryOf, goneFrom, pendingOf, reasonOf, shortDigest, WAITS_FOR, WAITS_FOR_TASKS } from "./binary_view.ts";
import type { ReloadPending, RuntimeBinary } from "./status.ts";
import { type ProgramOptions, WatchedProgram } from "./watched_program.ts";

export interface BinaryWatchOptions extends Omit<ProgramOptions, "onNews"> {
  readonly mode: ReloadMode;
  /** Somebody else restarts this daemon. */
  readonly managed?: boolean;
  /** Between two looks at everything, in ms. */
  readonly intervalMs: number;
  readonly log: Logger;
  /** The list of what is offered to servers. */
  readonly agents: {
    put(runtime: Runtime): void;
    /** Of no use any more, and why. */
    drop(runtime: Runtime, skipped: SkippedProvider): void;
  };
  /** Tells all servers of the list; resolves when they know it, rejects only with the daemon's end. */
  readonly offer: () => Promise<void>;
  /** Whether a task of this runtime is in hand, by its key. */
  readonly busy: (key: string) => boolean;
  /** All tasks and claims in hand. */
  readonly inFlight: () => { readonly active: number; readonly claims: number };
  /** Tasks of a CLI may be claimed again. */
  readonly onClaimable: () => void;
}

/** `no`: `why` is for people. */
export type Launchable = { readonly kind: "go" } | { readonly kind: "no"; readonly why: string };

export interface BinaryWatch {
  /** These are watched from now on as well; one that is watched in another place is forgotten there. */
  adopt(runtimes: readonly Runtime[]): void;
  /** All that there are of those made from profiles: others of these are watched no more. */
  adoptCustom(runtimes: readonly Runtime[]): void;
  /** Whether it is for this watch to say when a program that was found is of use. */
  knows(runtime: Runtime): boolean;
  /** Looks at everything again and again, until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** One look at everything. Rejects only with the signal's reason. */
  look(signal: AbortSignal): Promise<void>;
  /** Tasks of a CLI that is being replaced stay in the queue. By the key of a runtime, as everything here. */
  mayClaim(key: string): boolean;
  /**
   * Looks at a program right before a task starts it, and waits at most `limitMs` while it is being replaced. `distrust`:
   * starting it has just failed. Never rejects.
   */
  launchable(
    key: string,
    options: { limitMs: number; signal: AbortSignal; distrust?: boolean },
  ): Promise<Launchable>;
  /** What is certain and not registered, of what was registered before. */
  changes(): readonly Change[];
  /** Whether any program is being replaced at this moment. */
  settling(): boolean;
  /** Called after each look and after each registration. */
  onLooked: () => void;
  /** Of a registered CLI, for the status. */
  view(key: string): RuntimeBinary | undefined;
  /** What has waited longest. */
  pending(): ReloadPending | undefined;
}

/** A line about something that still waits, at most this often. */
const REMIND_MS = 60 * 60_000;

export function createBinaryWatch(options: BinaryWatchOptions): BinaryWatch {
  return new ProgramsWatch(options);
}

/** What is being done about a program. */
interface Work {
  readonly program: WatchedProgram;
  /** In the list of what is offered. */
  offered: boolean;
  /** Version and bytes that servers are being told of. */
  telling: string;
  withdrawing: boolean;
  remindedAt: number;
  registeredAt: number;
}

class ProgramsWatch implements BinaryWatch {
  onLooked = () => {};
  readonly #options: BinaryWatchOptions;
  readonly #works = new Map<string, Work>();
  /** Of the daemon: what is begun for one task serves all. */
  #signal = new AbortController().signal;

  constructor(options: BinaryWatchOptions) {
    this.#options = options;
  }

  adopt(runtimes: readonly Runtime[]): void {
    for (const runtime of runtimes) {
      const same = this.#works.get(runtimeKey(runtime))?.program.path === runtime.executable;
      if (!same && !isOurselves(runtime)) this.#watch(runtime);
    }
  }

  adoptCustom(runtimes: readonly Runtime[]): void {
    const keys = new Set(runtimes.map(runtimeKey));
    for (const [key, { program, offered }] of this.#works) {
      // One that was withdrawn is no runtime of any server, and may come back.
      if (program.runtime.profile && offered && !keys.has(key)) this.#works.delete(key);
    }
    this.adopt(runtimes);
  }

  knows(runtime: Runtime): boolean {
    return this.#options.mode !== "off" && this.#works.get(runtimeKey(runtime))?.program.path === runtime.executable;
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    const { clock, mode, intervalMs, log } = this.#options;
    if (mode === "off") return;
    while (!signal.aborted) {
      try {
        await this.look(signal);
      } catch (error) {
        if (signal.aborted) return;
        // Knowing of an upgrade late is worth less than a daemon that goes on.
        log.error("looking at agent CLIs failed", { error: (error as Error).stack ?? String(error) });
      }
      const soonest = [...this.#works.values()].map(({ program }) => lookAgainMs(program.watch, intervalMs));
      await clock.sleep(Math.min(intervalMs, ...soonest), { signal }).catch(() => {});
    }
  }

  async look(signal: AbortSignal): Promise<void> {
    const works = [...this.#works.values()];
    // All at once costs half the time of one after the other; what is read is read one at a time all the same.
    await Promise.all(works.map(({ program }) => this.#lookAt(program, signal)));
    // A program that hangs is not to hold up the others.
    await Promise.all(works.map(async ({ program }) => program.asks && await program.ask(signal)));
    for (const work of works) this.#act(work);
    this.onLooked();
  }

  mayClaim(key: string): boolean {
    const watch = this.#works.get(key)?.program.watch;
    return !watch || this.#options.mode === "off" || (watch.state.kind !== "absent" && !unsettled(watch));
  }

  async launchable(
    key: string,
    { limitMs, signal, distrust = false }: { limitMs: number; signal: AbortSignal; distrust?: boolean },
  ): Promise<Launchable> {
    const work = this.#works.get(key);
    if (!work) return { kind: "go" };
    const { program } = work;
    const { clock, intervalMs, log } = this.#options;
    // Right after a start nothing was read yet, and everything has just given its version.
    if (!distrust && !program.watch.sample && mayLaunch(program.watch) === "go") return { kind: "go" };
    const until = clock.monotonic() + limitMs;
    try {
      for (let waits = false;; waits = true) {
        await this.#lookAt(program, this.#signal);
        if (program.asks) {
          const asked = program.ask(this.#signal);
          if (mayLaunch(program.watch) === "go") void asked.catch(() => {});
          else await asked;
        }
        this.#act(work);
        const verdict = mayLaunch(program.watch);
        if (verdict === "go") return { kind: "go" };
        const left = until - clock.monotonic();
        if (verdict === "no" || left <= 0) return { kind: "no", why: reasonOf(program, { waitedMs: limitMs }) };
        if (!waits) log.info("a task waits for its agent CLI", { provider: key, state: program.watch.state.kind });
        await clock.sleep(Math.min(lookAgainMs(program.watch, intervalMs), left), { signal });
      }
    } catch (error) {
      return { kind: "no", why: `Nobody could look at ${program.path}: ${String(error)}` };
    }
  }

  changes(): readonly Change[] {
    return [...this.#works.values()].flatMap(({ program }) => {
      const change = confirmedChange(program.watch);
      const known = program.watch.registered;
      if (!change || !known) return [];
      const { provider } = program;
      const since = this.#wall(change.since);
      return [{ program: provider, own: false, oldDigest: known.digest ?? "", newDigest: change.digest, since }];
    });
  }

  settling(): boolean {
    return [...this.#works.values()].some(({ program }) => unsettled(program.watch));
  }

  view(key: string): RuntimeBinary | undefined {
    const work = this.#works.get(key);
    return work && binaryOf(work.program, work.registeredAt, (at) => this.#wall(at));
  }

  pending(): ReloadPending | undefined {
    const all = [...this.#works.values()].flatMap(({ program, offered }) => {
      const waits = pendingOf(program, { offered, deed: this.#deedOf(program) });
      return waits ? { ...waits, since: this.#wall(waits.since) } : [];
    });
    const first = all.toSorted((a, b) => a.since - b.since)[0];
    if (!first) return undefined;
    const { why, ...rest } = first;
    return { ...rest, blockedBy: { ...this.#options.inFlight(), why }, deadline: null };
  }

  #watch(runtime: Runtime): void {
    const { clock } = this.#options;
    const program = new WatchedProgram(runtime, { ...this.#options, onNews: (_, news) => this.#tell(work, news) });
    const work: Work = {
      program,
      offered: true,
      telling: "",
      withdrawing: false,
      remindedAt: -Infinity,
      registeredAt: clock.now(),
    };
    this.#works.set(runtimeKey(runtime), work);
  }

  async #lookAt(program: WatchedProgram, signal: AbortSignal): Promise<void> {
    const could = this.mayClaim(program.key);
    await program.look(signal);
    if (!could && this.mayClaim(program.key)) this.#options.onClaimable();
  }

  #tell({ program }: Work, news: WatchNews): void {
    const { path, provider, watch: { registered, pending, state } } = program;
    const { log, mode } = this.#options;
    const fields = { provider, path };
    switch (news) {
      case "settling":
        return log.info("agent CLI is being replaced", { ...fields, state: state.kind });
      case "changed":
      case "appeared":
        return log.info(`agent CLI ${news === "changed" ? "was replaced" : "is there again"}`, {
          ...fields,
          by: pending?.by,
          from: registered?.version,
          to: pending?.version,
          oldDigest: shortDigest(registered?.digest),
          newDigest: shortDigest(pending?.digest),
          mode,
        });
      case "reverted":
      case "back":
        return log.info("agent CLI is the registered one again, nothing is left to do", fields);
      case "withdrawn":
        return log.warn("agent CLI is of no use any more, its runtime is withdrawn", {
          ...fields,
          why: reasonOf(program),
        });
    }
  }

  /** What the settings say about a change; a program that was not registered is registered in any case. */
  #deedOf(program: WatchedProgram): Deed {
    if (!program.watch.registered) return "refresh";
    const { mode, managed = false } = this.#options;
    const change = { program: program.provider, own: false, oldDigest: "", newDigest: "", since: 0 };
    return deedFor(change, { agents: mode, own: "off", managed });
  }

  #act(work: Work): void {
    const { mode, busy } = this.#options;
    const { program } = work;
    if (mode === "off" || this.#signal.aborted) return;
    const change = confirmedChange(program.watch);
    if (change) {
      const deed = this.#deedOf(program);
      if (deed === "refresh") void this.#register(work, change);
      else this.#remind(work, "a replaced agent CLI waits", WAITS_FOR[deed]);
    } else if (program.watch.state.kind === "absent" && work.offered) {
      if (busy(program.key)) this.#remind(work, "withdrawing an agent CLI waits", WAITS_FOR_TASKS);
      else void this.#withdraw(work);
    }
  }

  async #register(work: Work, change: { digest: string; version: string }): Promise<void> {
    const { agents, offer, clock, log } = this.#options;
    const { program } = work;
    const telling = `${change.version} ${change.digest}`;
    if (work.telling === telling) return;
    work.telling = telling;
    const from = program.watch.registered?.version;
    const fields = { provider: program.provider, from, to: change.version };
    const began = clock.monotonic();
    log.info("registering the agent CLI anew", fields);
    agents.put({ ...program.runtime, version: change.version });
    work.offered = true;
    try {
      await offer();
    } catch (error) {
      if (!this.#signal.aborted) log.error("registering the agent CLI failed", { ...fields, error: String(error) });
      return;
    } finally {
      if (work.telling === telling) work.telling = "";
    }
    program.registered(change.digest, change.version);
    work.registeredAt = clock.now();
    log.info("agent CLI is registered anew", { ...fields, ms: Math.round(clock.monotonic() - began) });
    this.#options.onClaimable();
    this.onLooked();
  }

  async #withdraw(work: Work): Promise<void> {
    if (work.withdrawing) return;
    work.withdrawing = true;
    const { program } = work;
    const { agents, offer, log, probe, env } = this.#options;
    const { provider, path } = program;
    try {
      // Another directory of PATH may have one.
      const custom = program.runtime.profile !== undefined;
      const elsewhere = custom || program.watch.state.kind === "absent" && program.watch.state.why === "rejected"
        ? program.refusal
        : await probe(provider, { env: env(), signal: this.#signal });
      if (program.watch.state.kind !== "absent" || confirmedChange(program.watch)) return;
      work.offered = false;
      if (elsewhere && "executable" in elsewhere && elsewhere.executable !== path) {
        log.info("agent CLI is in another place", { provider, from: path, to: elsewhere.executable });
        agents.put(elsewhere);
        this.#watch(elsewhere);
      } else agents.drop(program.runtime, elsewhere && "why" in elsewhere ? elsewhere : goneFrom(program));
      await offer();
      log.info("agent CLI was withdrawn", { provider, path });
      this.onLooked();
    } catch (error) {
      if (!this.#signal.aborted) log.error("withdrawing an agent CLI failed", { provider, error: String(error) });
    } finally {
      work.withdrawing = false;
    }
  }

  #remind(work: Work, message: string, why: string): void {
    const { clock, log } = this.#options;
    if (clock.monotonic() - work.remindedAt < REMIND_MS) return;
    work.remindedAt = clock.monotonic();
    log.info(message, { provider: work.program.provider, path: work.program.path, why });
  }

  /** The wall clock's time of a moment on the other clock. */
  #wall(monotonic: number): number {
    const { clock } = this.#options;
    return Math.round(clock.now() - (clock.monotonic() - monotonic));
  }
}
