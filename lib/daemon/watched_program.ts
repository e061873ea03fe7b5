/** One agent CLI under watch: looks at its files one at a time, asks for its version beside that, and keeps what is believed. */
import { placesOf } from "../agents/what_runs_hints.ts";
import { ProgramSight } from "../agents/what_runs_sight.ts";
import { type Runtime, runtimeKey, type SkippedProvider } from "../core/model.ts";
import type { Clock, Env, Files, Fingerprints } from "../core/ports.ts";
import {
  needsProbe,
  type ProbeResult,
  RELOAD,
  startWatch,
  stepWatch,
  type Watch,
  type WatchEvent,
  type WatchNews,
} from "../core/reload.ts";

/**
 * Asks one CLI for its version, in the environment that agents get; `at`: this file and not what PATH leads to; `like`:
 * as it was launched before.
 */
export type Probe = (
  provider: string,
  options: { env: Env; at?: string; like?: Runtime; signal: AbortSignal },
) => Promise<Runtime | SkippedProvider>;

export interface ProgramOptions {
  readonly fingerprints: Fingerprints;
  readonly files: Files;
  readonly clock: Clock;
  /** What agents inherit. */
  readonly env: () => Env;
  readonly probe: Probe;
  /** Places from which a CLI may run newer code than is installed; default what its row of the table says. */
  readonly hints?: (provider: string, env: Env) => readonly string[];
  /** Told at once, in order. */
  readonly onNews: (program: WatchedProgram, news: WatchNews) => void;
}

export class WatchedProgram {
  /** As it was probed last. */
  runtime: Runtime;
  /** Why it was of no use when it was probed last. */
  refusal: SkippedProvider | undefined;
  watch: Watch;
  readonly #options: ProgramOptions;
  readonly #sight: ProgramSight;
  #turn: Promise<unknown> = Promise.resolve();
  #probing: Promise<void> | undefined;

  /** `runtime`: found a moment ago, or about to be told to the servers. */
  constructor(runtime: Runtime, options: ProgramOptions) {
    this.runtime = runtime;
    this.#options = options;
    this.watch = startWatch({ version: runtime.version }, options.clock.monotonic());
    const { fingerprints, files, env, hints = placesOf } = options;
    this.#sight = new ProgramSight(runtime.executable, {
      fingerprints,
      files,
      get env() {
        return env();
      },
      get hints() {
        return hints(runtime.provider, env());
      },
    });
  }

  get provider(): string {
    return this.runtime.provider;
  }

  get key(): string {
    return runtimeKey(this.runtime);
  }

  get path(): string {
    return this.runtime.executable;
  }

  /** One after the other, each of them begun after the call. Rejects only with the signal's reason. */
  look(signal: AbortSignal): Promise<void> {
    const turn = this.#turn.then(() => this.#look(signal));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** Is its version to be asked for, or is that under way? */
  get asks(): boolean {
    // Something else may run with these files as they are: asked now and then, as that is all there is to see of it.
    const everyMs = this.#sight.found?.whole === false ? RELOAD.fullHashMs : undefined;
    return this.#probing !== undefined || needsProbe(this.watch, this.#options.clock.monotonic(), everyMs);
  }

  /** Several calls at a time are one. Rejects only with the signal's reason. */
  ask(signal: AbortSignal): Promise<void> {
    return this.#probing ??= this.#ask(signal).finally(() => this.#probing = undefined);
  }

  /** Servers know it by these bytes now. */
  registered(digest: string, version: string): void {
    this.#step({ kind: "registered", digest, version });
  }

  async #look(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const sight = await this.#sight.look(this.watch, clock.monotonic(), { signal });
    this.#step({ kind: "sighted", sight });
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const digest = this.watch.sample?.digest;
    if (digest === undefined) return;
    const { probe, env } = this.#options;
    const answer = await probe(this.provider, { env: env(), at: this.path, like: this.runtime, signal });
    if ("executable" in answer) {
      this.refusal = undefined;
      this.runtime = answer;
      return this.#step({ kind: "probed", digest, result: { kind: "version", version: answer.version } });
    }
    this.refusal = answer;
    if (answer.why === "version-too-old") return this.#step({ kind: "rejected", digest });
    const result: ProbeResult = { kind: answer.why === "not-executable" ? "refused" : "nothing" };
    this.#step({ kind: "probed", digest, result });
  }

  #step(event: WatchEvent): void {
    const { clock, onNews } = this.#options;
    const { watch, news } = stepWatch(this.watch, event, clock.monotonic());
    this.watch = watch;
    for (const what of news) onNews(this, what);
  }
}
