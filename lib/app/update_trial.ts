/** Restarts for a release: when the daemon has nothing to do, watched until it is stable, and back to the last good one if not. */
import { DroverError, type ErrorCode } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { currentProgram, type Installation, releaseOfName } from "../core/installation.ts";
import { type Env, type Host, HostError, type Logger, type ProcessIdentity } from "../core/ports.ts";
import { mayRestart, stepTrial, type TrialEvent, UPDATE, type UpdateState } from "../core/update.ts";
import { restartDaemon } from "../lifecycle/instance.ts";
import { launchOf } from "../lifecycle/kept_launch.ts";
import { readLifecycle } from "../lifecycle/lifecycle_file.ts";
import { observe } from "../lifecycle/observe.ts";
import type { InstancePorts } from "../lifecycle/verb.ts";
import { instancePorts } from "./instance.ts";
import { currentRelease } from "./own_installation.ts";
import { readUpdates, writeUpdates } from "./update_file.ts";
import { pointBack, takeLock } from "./update_round.ts";

const DRAIN_MS = 60_000;
/** Past the patience its tasks may still finish. */
const LAST_DRAIN_MS = 3 * 60 * 60_000;
const POLL_MS = 500;
const RESTORE_TRIES = 10;
const BUSY_MS = 3_000;
/** One that was up and says nothing for so long is down. */
const SILENT_MS = 20_000;

/** What says nothing about the release: somebody else was at work, or tasks were. */
const NOT_ITS_FAULT: ReadonlySet<ErrorCode> = new Set(["busy", "drain_deadline", "already_running", "draining"]);

export interface TrialOptions {
  readonly installation: Installation;
  /** The release this process runs from, which is the one on trial. */
  readonly name: string;
  readonly signal: AbortSignal;
  readonly log: Logger;
  readonly stableMs: number;
  /** How long a start may take. */
  readonly readyMs: number;
  /** Says that we live. */
  readonly beat: () => Promise<void>;
}

type Seen =
  /** Nobody answers, and nobody wants a daemon. */
  | { readonly kind: "unwanted" }
  /** One is wanted, and none is there. */
  | { readonly kind: "missing" }
  /** Of this release, or of another one. */
  | { readonly kind: "this" | "other"; readonly instance: string; readonly running: number }
  /** It starts, ends, or does not answer right now; or is somebody's `drover run`. */
  | { readonly kind: "unclear" };

export class ReleaseTrial {
  readonly #host: Host;
  readonly #home: Home;
  readonly #options: TrialOptions;
  readonly #ports: InstancePorts;
  /** What the daemon was given by whoever started it: a crash must not lose that. */
  #env: Env | undefined;
  #launched: ProcessIdentity | undefined;
  /** The daemon that is watched. */
  #instance: string | undefined;
  #heard = -Infinity;

  constructor(host: Host, home: Home, options: TrialOptions) {
    this.#host = host;
    this.#home = home;
    this.#options = options;
    // Whatever is current is what is to be started, also after it went back.
    const system = { ...host.system, selfCommand: [currentProgram(options.installation)] };
    const ports = instancePorts({ ...host, system }, home);
    this.#ports = {
      ...ports,
      launcher: {
        ...ports.launcher,
        launch: (request) => {
          const launched = ports.launcher.launch(request);
          this.#launched = ports.identityOf(launched.pid);
          return launched;
        },
      },
    };
  }

  /** Until the trial is over, whoever ended it. */
  async run(): Promise<void> {
    const { clock, files } = this.#host;
    const { installation, name, signal, beat } = this.#options;
    const begun = clock.monotonic();
    for (;;) {
      await beat();
      const { trial } = await readUpdates(files, installation);
      if (trial?.name !== name || await currentRelease(files, installation) !== name) return;
      const event = await this.#next(trial.up !== null, clock.monotonic() - begun);
      if (event && await this.#step(event) === "back") return await this.#restore(trial.before);
      if (event?.kind !== "failed") await clock.sleep(POLL_MS, { signal });
    }
  }

  /** A daemon of another release than the current one, where no trial is open: true when it was restarted, or is right. */
  async follow(waitedMs: number): Promise<boolean> {
    const seen = await this.#look();
    if (seen.kind !== "other") return seen.kind !== "unclear";
    if (!mayRestart({ running: seen.running, waitedMs })) return false;
    return await this.#restart("update", waitedMs) === undefined;
  }

  async #next(up: boolean, waitedMs: number): Promise<TrialEvent | undefined> {
    const seen = await this.#look();
    if (seen.kind === "unwanted") return { kind: "unwanted" };
    if (up) {
      // A watcher that came later takes the daemon it finds for the one that was started.
      const now = this.#host.clock.monotonic();
      if (seen.kind === "this" && (this.#instance ??= seen.instance) === seen.instance) {
        this.#heard = now;
        return { kind: "alive" };
      }
      if (this.#heard === -Infinity) this.#heard = now;
      if (seen.kind === "unclear" && now - this.#heard < SILENT_MS) return undefined;
      this.#instance = undefined;
      const why = seen.kind === "unclear" ? "its daemon does not answer" : "its daemon ended by itself";
      return { kind: "failed", why };
    }
    if (seen.kind === "this") {
      this.#instance = seen.instance;
      return { kind: "ready" };
    }
    if (seen.kind === "unclear" || (seen.kind === "other" && !mayRestart({ running: seen.running, waitedMs }))) {
      return undefined;
    }
    return await this.#restart("update", waitedMs);
  }

  /** `undefined` where it did not come to a start, for no fault of the release. */
  async #restart(reason: "update" | "rollback", waitedMs: number): Promise<TrialEvent | undefined> {
    const { log, signal } = this.#options;
    const { clock } = this.#host;
    this.#env ??= (await launchOf(this.#ports, this.#home)).env;
    this.#launched = undefined;
    using _alive = this.#beating();
    try {
      const timeoutMs = waitedMs >= UPDATE.patienceMs ? LAST_DRAIN_MS : DRAIN_MS;
      const { hello } = await restartDaemon({ ...this.#ports, env: this.#env }, this.#home, {
        start: { timeoutMs: this.#options.readyMs },
        stop: { mode: "drain", timeoutMs },
        withCurrentEnv: true,
        reason,
      });
      this.#instance = hello.instance;
      log.info("the daemon was restarted", { reason, pid: hello.pid, version: hello.version });
      return { kind: "ready" };
    } catch (error) {
      if (!(error instanceof DroverError || error instanceof HostError)) throw error;
      // It hangs, or ends in its own time: the next one is not to meet it.
      if (this.#launched) this.#ports.launcher.signal(this.#launched, "SIGKILL", { group: true });
      log.warn("restarting the daemon failed", { reason, why: error.message });
      if (error instanceof DroverError && !NOT_ITS_FAULT.has(error.code)) return { kind: "failed", why: error.message };
      await clock.sleep(BUSY_MS, { signal });
    }
  }

  /** A restart takes as long as its tasks do. */
  #beating(): Disposable {
    const { beat } = this.#options;
    let timer: Disposable;
    const again = () => {
      timer = this.#host.clock.after(BUSY_MS, () => {
        void beat().catch(() => {});
        again();
      });
    };
    again();
    return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
  }

  async #step(event: TrialEvent): Promise<"wait" | "again" | "good" | "back"> {
    const { installation, name, log, stableMs } = this.#options;
    const { files, clock } = this.#host;
    await using _lock = await takeLock(this.#host, installation);
    const before = await readUpdates(files, installation);
    if (before.trial?.name !== name) return "wait";
    const { state, verdict } = stepTrial(before, event, clock.now(), { stableMs });
    if (changed(before, state)) await writeUpdates(files, installation, state);
    if (verdict !== "wait") log.info("the release on trial", { name, verdict, ...event });
    if (verdict === "back") await pointBack(this.#host, installation, before.trial.before);
    return verdict;
  }

  /** The pointer has gone back: so does the daemon. */
  async #restore(before: string): Promise<void> {
    const { signal, log, beat } = this.#options;
    log.error("the release was taken back", { name: this.#options.name, before });
    for (let tries = 0; tries < RESTORE_TRIES && !signal.aborted; tries++) {
      await beat();
      if ((await this.#look()).kind === "unwanted") return;
      const outcome = await this.#restart("rollback", 0);
      if (outcome?.kind === "ready") return;
      await this.#host.clock.sleep(BUSY_MS, { signal });
    }
  }

  async #look(): Promise<Seen> {
    const { desired } = await readLifecycle(this.#host.files, this.#home);
    using look = await observe(this.#ports, this.#home);
    const { observation, control, record } = look;
    if (control) {
      const { hello } = control;
      if (hello.mode !== "daemon" || !["running", "reload-pending"].includes(hello.phase)) return { kind: "unclear" };
      const status = await control.status().catch(() => undefined) as { slots?: { running?: number } } | undefined;
      if (!status) return { kind: "unclear" };
      const running = status.slots?.running ?? 0;
      if (hello.instance === this.#instance) return { kind: "this", instance: hello.instance, running };
      // Read a moment after the start.
      if (!record?.digest) return { kind: "unclear" };
      const digest = releaseOfName(this.#options.name)?.digest ?? "-";
      return { kind: record.digest.startsWith(digest) ? "this" : "other", instance: hello.instance, running };
    }
    if (desired?.state !== "running") return { kind: observation.lock === "free" ? "unwanted" : "unclear" };
    return { kind: observation.lock === "free" ? "missing" : "unclear" };
  }
}

function changed(a: UpdateState, b: UpdateState): boolean {
  return JSON.stringify(a) !== JSON.stringify(b);
}
