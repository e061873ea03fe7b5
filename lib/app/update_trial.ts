/** Restarts for a release: when the daemon has nothing to do, watched until it is stable, and back to the last good one if not. */
import { DroverError, type ErrorCode } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { currentProgram, type Installation } from "../core/installation.ts";
import { type Env, type Host, HostError, type Logger, type ProcessIdentity } from "../core/ports.ts";
import { mayRestart, stepTrial, type TrialEvent, UPDATE, type UpdateState } from "../core/update.ts";
import { type Sight, stepWatch, type Watch } from "../core/update_watch.ts";
import { restartDaemon } from "../lifecycle/instance.ts";
import { launchOf } from "../lifecycle/kept_launch.ts";
import { readLifecycle } from "../lifecycle/lifecycle_file.ts";
import type { InstancePorts } from "../lifecycle/verb.ts";
import { instancePorts } from "./instance.ts";
import { currentRelease } from "./own_installation.ts";
import { readUpdates, writeUpdates } from "./update_file.ts";
import { pointBack, takeLock } from "./update_round.ts";
import { sightOf } from "./update_sight.ts";

const DRAIN_MS = 60_000;
/** Past the patience its tasks may still finish. */
const LAST_DRAIN_MS = 3 * 60 * 60_000;
const POLL_MS = 500;
const RESTORE_TRIES = 10;
const BUSY_MS = 3_000;

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

export class ReleaseTrial {
  readonly #host: Host;
  readonly #home: Home;
  readonly #options: TrialOptions;
  readonly #ports: InstancePorts;
  /** What the daemon was given by whoever started it: a crash must not lose that. */
  #env: Env | undefined;
  #launched: ProcessIdentity | undefined;
  #watch: Watch = {};
  /** How often a daemon was started that no trial is about. */
  #restores = 0;

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

  /**
   * Where no trial is open: a daemon of another release than the current one is restarted, and one that an update has
   * stopped and nobody started again is started. True when there is nothing (more) to do. `restoring`: a release was
   * taken back, and all was not well since.
   */
  async follow(waitedMs: number, { restoring = false }: { restoring?: boolean } = {}): Promise<boolean> {
    const seen = await this.#look();
    const reason = restoring ? "rollback" : "update";
    if (seen.kind === "missing") {
      const ours = restoring || await this.#isCutOff();
      if (!ours || this.#restores >= RESTORE_TRIES) return true;
      this.#restores++;
      return (await this.#restart(reason, 0))?.kind === "ready";
    }
    if (seen.kind === "busy" || seen.kind === "unclear") return false;
    if (!restoring) this.#restores = 0;
    if (seen.kind !== "other") return true;
    if (!mayRestart({ running: seen.running, waitedMs })) return false;
    return (await this.#restart(reason, waitedMs))?.kind === "ready";
  }

  /** A restart for an update: those of people are theirs to complete. */
  async #isCutOff(): Promise<boolean> {
    const { operation } = await readLifecycle(this.#host.files, this.#home);
    return operation?.reason === "update" || operation?.reason === "rollback";
  }

  async #next(up: boolean, waitedMs: number): Promise<TrialEvent | undefined> {
    const seen = await this.#look();
    const { watch, act } = stepWatch(this.#watch, seen, { up, now: this.#host.clock.monotonic() });
    this.#watch = watch;
    if (act.kind === "wait") return undefined;
    // Somebody's own restart may have given it another environment.
    if (act.kind === "ready") this.#env = (await launchOf(this.#ports, this.#home)).env;
    if (act.kind !== "restart") return act;
    if (seen.kind === "other" && !mayRestart({ running: seen.running, waitedMs })) return undefined;
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
      const { desired } = await readLifecycle(this.#host.files, this.#home);
      this.#watch = {
        ends: this.#watch.ends,
        instance: hello.instance,
        askedAt: desired?.at,
        heard: clock.monotonic(),
      };
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
      const { kind } = await this.#look();
      if (kind === "unwanted") return;
      // Somebody's stop may be what is under way.
      if (kind !== "busy" && (await this.#restart("rollback", 0))?.kind === "ready") return;
      await this.#host.clock.sleep(BUSY_MS, { signal });
    }
  }

  #look(): Promise<Sight> {
    return sightOf(this.#ports, this.#home, { name: this.#options.name, watched: this.#watch.instance });
  }
}

function changed(a: UpdateState, b: UpdateState): boolean {
  return JSON.stringify(a) !== JSON.stringify(b);
}
