/** The agent watch: the list of agent CLIs there are, looked for again while there are none and whenever PATH was asked for. */
import { inTableOrder, isDemo, wantedNames } from "../agents/discover.ts";
import type { Runtime, SkippedProvider } from "../core/model.ts";
import type { Clock, Env, Logger } from "../core/ports.ts";
import type { Refreshed, Surroundings } from "./surroundings.ts";

export type Discover = (
  options: { env: Env; known: readonly Runtime[]; signal: AbortSignal },
) => Promise<{ found: readonly Runtime[]; skipped: readonly SkippedProvider[] }>;

export interface AgentWatchOptions {
  readonly surroundings: Surroundings;
  /** Looks for all agents but those known. */
  readonly discover: Discover;
  /** Whether a find is for this watch to add; default yes. Somebody else may see to programs that come and go. */
  readonly adds?: (runtime: Runtime) => boolean;
  /** Found a moment ago by somebody else: there from the beginning, and looked at again in the first round. */
  readonly known?: readonly Runtime[];
  readonly clock: Clock;
  readonly log: Logger;
}

export interface AgentWatch {
  /** Everything found so far, in the order of the table. What is gone meanwhile stays until it is dropped. */
  readonly runtimes: readonly Runtime[];
  /** Of the last look. */
  readonly skipped: readonly SkippedProvider[];
  /** For people, while there is no agent CLI at all. */
  readonly waitsFor: string | undefined;
  /** True when there is one more. Rejects as `discover` does. */
  look(signal: AbortSignal): Promise<boolean>;
  /** Of another version or in another place than it was, or one more. */
  put(runtime: Runtime): void;
  /** Of no use any more, and why. */
  drop(skipped: SkippedProvider): void;
  /** Asks for PATH at once and then regularly, until the signal aborts; `onFound` after each look that found more. */
  run(signal: AbortSignal, onFound: () => void): Promise<void>;
}

const LOOK_MS = 15_000;
const ASK_MS = 30 * 60_000;
/** Where it may soon be another: no agent yet, as its installer may add to PATH, or a shell that did not answer. */
const ASK_SOON_MS = 5 * 60_000;

export function createAgentWatch(options: AgentWatchOptions): AgentWatch {
  return new TableWatch(options);
}

class TableWatch implements AgentWatch {
  runtimes: readonly Runtime[] = [];
  skipped: readonly SkippedProvider[] = [];
  readonly #options: AgentWatchOptions;
  #saidWaiting = false;
  /** What is known was found by somebody else. */
  #unsure: boolean;
  /** Ends the pause between two rounds. */
  #wake = () => {};

  constructor(options: AgentWatchOptions) {
    this.#options = options;
    this.runtimes = options.known ?? [];
    this.#unsure = this.runtimes.length > 0;
  }

  get waitsFor(): string | undefined {
    if (!this.runtimes.every(isDemo)) return undefined;
    const [first, second] = wantedNames();
    return `no agent CLI found: install one, ${first} or ${second} say, and it registers by itself; ` +
      "drover agents --all shows all that drover knows";
  }

  async look(signal: AbortSignal): Promise<boolean> {
    const { surroundings, discover, adds = () => true, log } = this.#options;
    const { found, skipped } = await discover({ env: surroundings.env(), known: this.runtimes, signal });
    // Some may have been put or dropped meanwhile.
    const isNew = ({ provider }: { provider: string }) => this.runtimes.every((one) => one.provider !== provider);
    const more = found.filter((one) => isNew(one) && adds(one));
    this.skipped = skipped.filter(isNew);
    this.runtimes = inTableOrder([...this.runtimes, ...more]);
    if (more.length > 0) {
      log.info("agents found", { agents: more.map(({ provider, version }) => `${provider} ${version}`.trim()) });
    }
    if (this.waitsFor && !this.#saidWaiting) {
      this.#saidWaiting = true;
      log.info("waiting for an agent CLI", { why: this.waitsFor });
    }
    return more.length > 0;
  }

  put(runtime: Runtime): void {
    const others = this.runtimes.filter(({ provider }) => provider !== runtime.provider);
    this.runtimes = inTableOrder([...others, runtime]);
    this.skipped = this.skipped.filter(({ provider }) => provider !== runtime.provider);
  }

  drop(skipped: SkippedProvider): void {
    this.runtimes = this.runtimes.filter(({ provider }) => provider !== skipped.provider);
    this.skipped = [...this.skipped.filter(({ provider }) => provider !== skipped.provider), skipped];
    this.#saidWaiting = false;
    this.#wake();
  }

  async run(signal: AbortSignal, onFound: () => void): Promise<void> {
    const { clock, log } = this.#options;
    let askAt = clock.monotonic();
    let refreshed: Refreshed = "same";
    if (this.#unsure && await this.#lookAnew(signal)) onFound();
    for (let first = true; !signal.aborted; first = false) {
      try {
        const asks = clock.monotonic() >= askAt;
        if (asks) refreshed = await this.#options.surroundings.refresh(signal);
        // Somebody has looked right before the first round, with the PATH of then.
        if ((!first || refreshed === "changed") && await this.look(signal)) onFound();
        const soon = this.waitsFor !== undefined || refreshed === "failed";
        if (asks) askAt = clock.monotonic() + (soon ? ASK_SOON_MS : ASK_MS);
        const untilAsk = Math.max(0, askAt - clock.monotonic());
        await this.#pause(this.waitsFor === undefined ? untilAsk : Math.min(LOOK_MS, untilAsk), signal);
      } catch (error) {
        if (signal.aborted) return;
        // An agent more is worth less than a daemon that goes on.
        log.error("looking for agents failed", { error: (error as Error).stack ?? String(error) });
        await clock.sleep(LOOK_MS, { signal }).catch(() => {});
      }
    }
  }

  /** At all of them, also those that are known; true when something is not as it was. What is gone is not for this watch. */
  async #lookAnew(signal: AbortSignal): Promise<boolean> {
    const { surroundings, discover, log } = this.#options;
    this.#unsure = false;
    try {
      const { found, skipped } = await discover({ env: surroundings.env(), known: [], signal });
      const before = this.runtimes;
      const places = (all: readonly Runtime[]) =>
        all.map((one) => [one.provider, one.executable, one.version].join(" "));
      const gone = before.filter(({ provider }) => found.every((one) => one.provider !== provider));
      this.runtimes = inTableOrder([...found, ...gone]);
      this.skipped = skipped.filter(({ provider }) => gone.every((one) => one.provider !== provider));
      return places(this.runtimes).join("\n") !== places(before).join("\n");
    } catch (error) {
      if (!signal.aborted) log.error("looking for agents failed", { error: (error as Error).stack ?? String(error) });
      return false;
    }
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    const wake = () => woken.abort();
    this.#wake = wake;
    signal.addEventListener("abort", wake, { once: true });
    await this.#options.clock.sleep(ms, { signal: woken.signal }).catch(() => {});
    signal.removeEventListener("abort", wake);
    this.#wake = () => {};
    signal.throwIfAborted();
  }
}
