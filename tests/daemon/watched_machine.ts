/** The binary watch over programs of a real file system, on a clock that stands still, with servers that only listen. */
import { listOfBoth } from "../../lib/daemon/profile_runtimes.ts";
import { assert } from "@std/assert";
import type { Runtime, SkippedProvider } from "../../lib/core/model.ts";
import { ROLES } from "../../lib/core/reload_sight.ts";
import type { ReloadMode } from "../../lib/core/reload_gate.ts";
import { type AgentWatch, createAgentWatch } from "../../lib/daemon/agent_watch.ts";
import { type BinaryWatch, createBinaryWatch, type Launchable } from "../../lib/daemon/binary_watch.ts";
import { fixedSurroundings } from "../../lib/daemon/surroundings.ts";
import { files, fingerprints, Machine, type Tree } from "../agents/program_layouts.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { type KeptLog, keptLog } from "./kept_log.ts";

export const TICK_MS = 30_000;
/** Real time, for what real files take. */
const PATIENCE_MS = 20_000;

export interface MachineOptions {
  readonly mode?: ReloadMode;
  /** Provider and command below the root, each registered with `version`. */
  readonly programs: readonly { provider: string; command: string }[];
  readonly version?: string;
  readonly tree: Tree;
  /** Below the root: from where the program may run newer code. */
  readonly hints?: readonly string[];
  /** Versions below it are refused. */
  readonly minimum?: string;
}

export class WatchedMachine implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly log: KeptLog = keptLog();
  readonly agents: AgentWatch;
  readonly watch: BinaryWatch;
  /** What the servers were told since the start: all providers with their versions, each time. */
  readonly told: string[][] = [];
  readonly busy = new Set<string>();
  hashes = 0;
  probes = 0;
  looks = 0;
  claimable = 0;
  /** While it is set no server answers. */
  away: Promise<void> | undefined;
  /** What is on PATH when somebody asks for a CLI by its name. */
  elsewhere: Runtime | undefined;
  /** What the program answers, where that is not in its own files. */
  says: string | undefined;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #launching = 0;

  private constructor(readonly machine: Machine, readonly options: MachineOptions) {
    const { mode = "runtime", programs, version = "1.0.0" } = options;
    const surroundings = fixedSurroundings({ HOME: machine.at("home") });
    this.agents = createAgentWatch({
      clock: this.clock,
      log: this.log,
      surroundings,
      discover: () => Promise.resolve({ found: [], skipped: [] }),
    });
    this.watch = createBinaryWatch({
      mode,
      intervalMs: TICK_MS,
      clock: this.clock,
      log: this.log,
      files,
      fingerprints: {
        ...fingerprints,
        hashFile: (path, limits) => (this.hashes++, fingerprints.hashFile(path, limits)),
      },
      env: () => surroundings.env(),
      hints: () => (options.hints ?? []).map((path) => machine.at(path)),
      probe: (provider, { at }) => this.#probe(provider, at),
      agents: listOfBoth(this.agents, []),
      offer: async () => {
        await this.away;
        this.told.push(this.agents.runtimes.map((one) => `${one.provider} ${one.version}`));
      },
      busy: (provider) => this.busy.has(provider),
      inFlight: () => ({ active: this.busy.size, claims: 0 }),
      onClaimable: () => this.claimable++,
    });
    this.watch.onLooked = () => this.looks++;
    for (const { provider, command } of programs) {
      this.agents.put(this.#runtime(provider, machine.at(command), version));
    }
    this.watch.adopt(this.agents.runtimes);
  }

  /** As long after its start as it takes until everything is known. */
  static async started(options: MachineOptions): Promise<WatchedMachine> {
    const machine = await Machine.of(options.tree);
    await machine.stamp(options.tree, new Date(1_700_000_000_000));
    const world = new WatchedMachine(machine, options);
    await using stack = new AsyncDisposableStack();
    stack.use(world);
    world.#running = world.watch.run(world.#stop.signal);
    await world.ticks(3);
    stack.move();
    return world;
  }

  #runtime(provider: string, executable: string, version: string): Runtime {
    return { provider, family: "plain-text", executable, fixedArgs: [], version };
  }

  /** What `--version` would say: the last version in what runs. */
  async #probe(provider: string, at: string | undefined): Promise<Runtime | SkippedProvider> {
    const skip = (why: SkippedProvider["why"], detail: string): SkippedProvider => ({ provider, why, detail });
    if (at === undefined) return this.elsewhere ?? skip("not-found", `${provider} is not in any directory of PATH`);
    this.probes++;
    if (this.says !== undefined) return this.#runtime(provider, at, this.says);
    const { files } = await this.machine.run(at.replace(`${this.machine.root}/`, ""));
    const texts = await Promise.all(
      files.filter(({ role }) => ROLES[role].hashed).map(({ path }) => Deno.readTextFile(path).catch(() => "")),
    );
    const version = /\d+\.\d+\.\d+(?=\D*$)/.exec(texts.filter((text) => /\d+\.\d+\.\d+/.test(text)).at(-1) ?? "")?.[0];
    if (version === undefined) return skip("version-probe-failed", `${at} printed nothing`);
    const { minimum } = this.options;
    if (minimum !== undefined && version < minimum) return skip("version-too-old", `${at} says ${version}`);
    return this.#runtime(provider, at, version);
  }

  /** Lets time pass; the watch looks whenever it wants to. */
  async pass(ms: number): Promise<void> {
    const end = this.clock.monotonic() + ms;
    for (;;) {
      await this.#asleep();
      const next = this.clock.nextIn;
      if (this.clock.monotonic() + next > end) break;
      await this.clock.advance(next);
    }
    await this.clock.advance(end - this.clock.monotonic());
  }

  ticks(count: number): Promise<void> {
    return this.pass(count * TICK_MS);
  }

  /** A task that wants to start a program; `verdict` as soon as it has one. */
  launch(signal?: AbortSignal): { verdict: Launchable | undefined; readonly done: Promise<Launchable> } {
    this.#launching++;
    const limits = { limitMs: 60_000, signal: signal ?? this.#stop.signal };
    const done = this.watch.launchable("tool", limits).finally(() => this.#launching--);
    const launch = { verdict: undefined as Launchable | undefined, done };
    void done.then((verdict) => launch.verdict = verdict);
    return launch;
  }

  /** Nothing goes on any more: the loop waits for its next turn, and so does each task that is held. */
  async #asleep(): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    do {
      assert(performance.now() < end, `The watch did not come to rest: ${JSON.stringify(this.log.records)}`);
      await this.clock.settle();
    } while (this.clock.waiting < 1 + this.#launching || this.looks === 0);
  }

  /** `state` of a program, and the version in the list. */
  is(provider: string): [state: string, version: string | undefined] {
    const state = this.watch.view(provider)?.state ?? "unchanged";
    return [state, this.agents.runtimes.find((one) => one.provider === provider)?.version];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.machine[Symbol.asyncDispose]();
  }
}
