/** The updater: a loop in a process of its own that looks for releases, becomes the new one first, and only then restarts the daemon. */
import type { Settings } from "../core/config.ts";
import { type Home, homeLayout } from "../core/home.ts";
import { currentProgram, type Installation, releaseProgram } from "../core/installation.ts";
import type { Host, Logger } from "../core/ports.ts";
import { dueAt, settled, stepTrial, takenBackJustNow, type Trial, UPDATE, type UpdateState } from "../core/update.ts";
import { UpdateError } from "../core/update_error.ts";
import { openHome } from "./home_dir.ts";
import { currentRelease, demandOwn, ownOwner } from "./own_installation.ts";
import { readSettings } from "./settings.ts";
import { readUpdates, writeUpdates } from "./update_file.ts";
import { pointBack, repair, runRound, takeLock } from "./update_round.ts";
import { ReleaseTrial } from "./update_trial.ts";
import { launchUpdater, livingUpdater, UPDATER_VERB, updaterEnv, writeUpdater } from "./updater_record.ts";

/** How often it looks whether something was installed, or the daemon is another one. */
const TICK_MS = 5_000;
const LOCK_MS = 3_000;
const PROBE_MS = 20_000;
/** How long a successor has where this process cannot become it. */
const SUCCESSOR_MS = 15_000;
const POLL_MS = 200;

export interface UpdaterOptions {
  /** Ends as soon as no trial is open and the daemon is of the current release. */
  readonly once: boolean;
}

/** Returns when it was told to end, when it is wanted no more, or when there is one already. Throws `not-ours`. */
export async function runUpdater(host: Host, home: Home, { once }: UpdaterOptions): Promise<void> {
  const { installation, name } = demandOwn(await ownOwner(host));
  await openHome(host, home);
  const lock = await host.locks.lock(home.updaterLock, { timeoutMs: LOCK_MS });
  if (!lock) return;
  using stack = new DisposableStack();
  stack.use(lock);
  const ending = new AbortController();
  stack.use(host.signals.on(["SIGTERM", "SIGINT"], () => ending.abort(new Error("Told to end"))));
  stack.use(host.signals.on(["SIGHUP"], () => {}));
  const settings = await readSettings(host, home);
  await using logs = await host.logs.setup({ file: home.updaterLog, level: settings.logLevel });
  const log = host.logs.getLogger("update");
  const updater = new Updater(host, home, {
    installation,
    name,
    once,
    log,
    signal: ending.signal,
    async leave() {
      await logs[Symbol.asyncDispose]();
      lock.release();
    },
  });
  log.info("the updater begins", { name, once, pid: host.system.self().pid });
  try {
    await updater.run();
  } catch (error) {
    if (!ending.signal.aborted) throw error;
  }
  log.info("the updater ends", { name });
}

interface Setup extends UpdaterOptions {
  readonly installation: Installation;
  readonly name: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** The log is written and the updater's lock is free, for a successor. */
  readonly leave: () => Promise<void>;
}

class Updater {
  readonly #host: Host;
  readonly #home: Home;
  readonly #setup: Setup;
  readonly #begun: number;
  readonly #trial: ReleaseTrial;
  /** Since when the daemon is one of another release. */
  #differs: number | undefined;
  /** The last release that was taken back after which all was well again. */
  #restored: number | undefined;

  constructor(host: Host, home: Home, setup: Setup) {
    this.#host = host;
    this.#home = home;
    this.#setup = setup;
    this.#begun = host.clock.now();
    const { installation, name, signal, log } = setup;
    const { DROVER_TEST_UPDATE_STABLE_MS: stable, DROVER_TEST_UPDATE_READY_MS: ready } = host.system.env;
    const times = { stableMs: Number(stable) || UPDATE.stableMs, readyMs: Number(ready) || UPDATE.readyMs };
    this.#trial = new ReleaseTrial(host, home, { installation, name, signal, log, ...times, beat: () => this.#beat() });
  }

  async run(): Promise<void> {
    const { signal, log, once } = this.#setup;
    while (!signal.aborted) {
      let waitMs = TICK_MS;
      try {
        if (await this.#isGone()) return;
        await this.#beat();
        const settings = await readSettings(this.#host, this.#home);
        waitMs = Math.min(TICK_MS, settings.updateIntervalMs);
        const done = await this.#tick(settings);
        if (done === "again") continue;
        if (done === "gone" || (done === "idle" && (once || !settings.updateAuto))) return;
      } catch (error) {
        if (signal.aborted) return;
        log.error("updating failed", { error: (error as Error).stack ?? String(error) });
      }
      await this.#host.clock.sleep(waitMs, { signal });
    }
  }

  /** `again`: something changed, look at once; `gone`: somebody else is the updater now. */
  async #tick(settings: Settings): Promise<"again" | "gone" | "idle" | "waits"> {
    const { installation, name, signal, log, once } = this.#setup;
    const { clock, files } = this.#host;
    const current = await currentRelease(files, installation);
    if (current === undefined) return "waits";
    const state = await readUpdates(files, installation);
    if (await this.#repair(current, state)) return "again";
    if (state.trial && !await this.#isOurs(state.trial)) return "waits";
    if (current !== name) return await this.#replace(current, state);
    if (state.trial) {
      await this.#trial.run();
      return "again";
    }
    if (!await this.#follow(state)) return "waits";
    if (once || !settings.updateAuto) return "idle";
    const now = clock.now();
    if (now < dueAt(state, { now, begun: this.#begun, intervalMs: settings.updateIntervalMs })) return "idle";
    try {
      const outcome = await runRound(this.#host, this.#home, { by: "loop", settings, signal });
      log.info("looked for a release", { ...outcome });
      return outcome.kind === "switched" ? "again" : "idle";
    } catch (error) {
      if (!(error instanceof UpdateError)) throw error;
      log.warn("no update", { fault: error.fault, why: error.message });
      return "idle";
    }
  }

  /** Looked at without the lock first, as there is nothing to mend nearly always. */
  async #repair(current: string, state: UpdateState): Promise<boolean> {
    const after = settled(state, current);
    if (after.goTo === undefined && after.state.trial?.name === state.trial?.name) return false;
    await using _lock = await takeLock(this.#host, this.#setup.installation);
    await repair(this.#host, this.#setup.installation);
    return true;
  }

  /** Another home's updater sees it through, as long as it lives. */
  async #isOurs(trial: Trial): Promise<boolean> {
    const { root } = this.#home;
    return trial.home === root || !await livingUpdater(this.#host, homeLayout(trial.home));
  }

  /** Somebody removed drover, or the home with all that is in it. */
  async #isGone(): Promise<boolean> {
    const { files } = this.#host;
    return !await files.stat(this.#home.root) || !await files.stat(this.#setup.installation.releases);
  }

  async #follow(state: UpdateState): Promise<boolean> {
    const { clock } = this.#host;
    const now = clock.monotonic();
    this.#differs ??= now;
    const back = takenBackJustNow(state, this.#home.root, clock.now());
    const restoring = back !== undefined && back.at !== this.#restored;
    const right = await this.#trial.follow(now - this.#differs, { restoring });
    if (!right) return false;
    this.#differs = undefined;
    if (back) this.#restored = back.at;
    return true;
  }

  /** The new one has the say from here on: what it does about the daemon is its own policy, and not this one's. */
  async #replace(next: string, state: UpdateState): Promise<"gone" | "again" | "waits"> {
    const { installation, name, log, once, leave } = this.#setup;
    const onTrial = state.trial?.name === next;
    const unfit = await this.#probe(next);
    if (unfit !== undefined) {
      log.error("the new updater is not fit", { next, why: unfit });
      if (!onTrial) return "waits";
      await takeBack(this.#host, installation, { name: next, why: `its updater is not fit: ${unfit}` });
      return "again";
    }
    const flags = once ? ["--once"] : [];
    if (onTrial) await launchUpdater(this.#host, this.#home, { installation, name, args: ["--guard", ...flags] });
    log.info("the updater becomes the new one", { next });
    await leave();
    const refused = this.#host.becomeProgram({
      executable: releaseProgram(installation, next),
      argv: [currentProgram(installation), UPDATER_VERB, ...flags],
      env: updaterEnv(this.#host, this.#home),
    });
    this.#host.terminal.err(`drover: the updater is started anew, as it cannot become the new one: ${refused}\n`);
    await launchUpdater(this.#host, this.#home, { installation, name: next, args: flags });
    const deadline = this.#host.clock.monotonic() + SUCCESSOR_MS;
    while (this.#host.clock.monotonic() < deadline) {
      if ((await livingUpdater(this.#host, this.#home))?.name === next) return "gone";
      await this.#host.clock.sleep(POLL_MS);
    }
    this.#host.terminal.err(`drover: the updater of ${next} did not come up, the old one goes on\n`);
    if (onTrial) await takeBack(this.#host, installation, { name: next, why: "its updater did not come up" });
    await launchUpdater(this.#host, this.#home, { installation, name, args: flags });
    return "gone";
  }

  async #probe(next: string): Promise<string | undefined> {
    const { installation, signal } = this.#setup;
    try {
      const { exit, timedOut, stdout } = await this.#host.processes.run({
        executable: releaseProgram(installation, next),
        args: [UPDATER_VERB, "--probe"],
        env: updaterEnv(this.#host, this.#home),
      }, { timeoutMs: PROBE_MS, signal });
      if (timedOut) return `it did not answer within ${PROBE_MS / 1000} s`;
      if (exit.code !== 0) return `it ended with code ${exit.code}`;
      return stdout.trim() === PROBE_ANSWER ? undefined : "it does not know what an updater is";
    } catch (error) {
      signal.throwIfAborted();
      return (error as Error).message;
    }
  }

  #beat(): Promise<void> {
    const { name } = this.#setup;
    return writeUpdater(this.#host, this.#home, { name, since: this.#begun });
  }
}

/** What `--probe` prints. */
export const PROBE_ANSWER = "updater 1";

/** Ends a trial at once: the release is quarantined and the pointer goes back. */
export async function takeBack(
  host: Host,
  installation: Installation,
  { name, why }: { name: string; why: string },
): Promise<void> {
  await using _lock = await takeLock(host, installation);
  let state = await readUpdates(host.files, installation);
  if (state.trial?.name !== name) return;
  const { before } = state.trial;
  while (state.trial) state = stepTrial(state, { kind: "failed", why }, host.clock.now()).state;
  await writeUpdates(host.files, installation, state);
  await pointBack(host, installation, before);
}
