/** A daemon under a service manager: asks whether it may begin, says how it stands, and proves that it is alive. */
import { stepBreaker } from "../core/breaker.ts";
import type { Home } from "../core/home.ts";
import type { Host } from "../core/ports.ts";
import type { ServiceKind } from "../core/service_unit_spec.ts";
import { type Admission, admit, admitByBreaker, type SupervisedLook } from "../core/supervised.ts";
import { readLifecycle, updateLifecycle } from "../lifecycle/lifecycle_file.ts";
import { readPidfile, sameProcess } from "../lifecycle/pidfile.ts";
import { openHome } from "./home_dir.ts";
import { instancePorts } from "./instance.ts";

/** Work that has not moved for this long is not coming back. Two heartbeats and a call that runs into its deadline take less. */
const STALLED_MS = 90_000;

/** One look. Throws `home_unusable`. */
export async function admitSupervised(host: Host, home: Home, kind: ServiceKind): Promise<Admission> {
  await openHome(host, home);
  const { desired } = await readLifecycle(host.files, home);
  const answer = admit({
    stopped: desired?.state === "stopped" ? desired : undefined,
    holder: await holderOf(host, home),
  });
  // systemd has a limit of its own.
  return answer.kind === "start" && kind === "launchd" ? await askBreaker(host, home) : answer;
}

async function holderOf(host: Host, home: Home): Promise<SupervisedLook["holder"]> {
  const lock = await host.locks.tryLock(home.daemonLock);
  lock?.release();
  if (lock) return { kind: "none" };
  const record = await readPidfile(host.files, home.pidfile);
  const lives = record !== undefined && sameProcess(record, host.system.identityOf(record.pid));
  return lives ? { kind: record.mode, pid: record.pid } : { kind: "unknown" };
}

/** A command that is at work on this home counts the start itself, and may be waiting for us. */
async function askBreaker(host: Host, home: Home): Promise<Admission> {
  using lock = await host.locks.tryLock(home.restartLock);
  if (!lock) return { kind: "start" };
  const digest = await instancePorts(host, home).mark();
  const now = host.clock.now();
  let answer: Admission = { kind: "start" };
  await updateLifecycle(host.files, home, ({ breaker }) => {
    const { state, verdict } = stepBreaker(breaker, { kind: "start", digest }, now);
    answer = admitByBreaker(verdict, now);
    return { breaker: state };
  });
  return answer;
}

/** For a manager that counts on us to count. */
export async function noteSupervised(host: Host, home: Home, event: "ready" | "stopped"): Promise<void> {
  using lock = await host.locks.tryLock(home.restartLock);
  if (!lock) return;
  await updateLifecycle(host.files, home, ({ breaker }) => ({
    breaker: stepBreaker(breaker, { kind: event }, host.clock.now()).state,
  }));
}

/** The one line in the log for a daemon that does not begin; nothing else runs that could be writing it. */
export async function logStandDown(host: Host, home: Home, why: string): Promise<void> {
  await using _logs = await host.logs.setup({ file: home.logFile, level: "info" });
  host.logs.getLogger("app").warn("standing down, the service manager is to leave it at that", { why });
}

/**
 * Until it is disposed, lets the manager's watchdog hear from us twice in its period, as long as the work moves:
 * `stalledMs` says for how long it has not.
 */
export function feedWatchdog({ clock, notices }: Host, stalledMs: () => number): Disposable {
  const ended = new AbortController();
  void beat(ended.signal).catch(() => {});
  return { [Symbol.dispose]: () => ended.abort() };

  async function beat(signal: AbortSignal): Promise<void> {
    if (notices.watchdogMs <= 0) return;
    for (;;) {
      if (stalledMs() < STALLED_MS) notices.send("WATCHDOG=1");
      await clock.sleep(notices.watchdogMs / 2, { signal });
    }
  }
}
