/** The daemon of the home as `drover doctor` sees it: record, locks, state, how its starts and its end went, and its version. */
import { breakerPosition } from "../core/breaker.ts";
import { compareBuilds, type HomeState, stateOf } from "../core/handshake.ts";
import { VERSION_OVERRIDE } from "../core/launch.ts";
import { type Host, HostError } from "../core/ports.ts";
import { sameProcess } from "../lifecycle/pidfile.ts";
import { CONTROL_PROTOCOL } from "../wire/control.ts";
import { type Check, count, type Finding, ok, problem, type Scene, type Verdict, warning } from "./doctor_check.ts";
import { checkService } from "./doctor_service.ts";

export const LIFECYCLE_CHECKS: readonly Check<Scene>[] = [
  ["daemon", checkState],
  ["work", checkWork],
  ["record", checkRecord],
  ["daemon lock", checkDaemonLock],
  ["restart lock", checkRestartLock],
  ["version", checkVersion],
  ["program", checkProgram],
  ["lifecycle file", checkLifecycleFile],
  ["breaker", checkBreaker],
  ["intent", checkIntent],
  ["operation", checkOperation],
  ["last end", checkLastExit],
  ["service", checkService],
];

const LOOK_AT_LOG = "look at the log: drover logs";

const STATES: { readonly [S in HomeState]: readonly [verdict: Verdict, finding: string, advice?: string] } = {
  running: ["ok", "it runs"],
  starting: ["ok", "it is starting"],
  draining: ["ok", "it finishes its tasks and ends then"],
  stopping: ["ok", "it is ending"],
  stopped: ["ok", "none runs"],
  degraded: [
    "problem",
    "it runs and does not answer",
    `drover restart --now ends it and starts another; ${LOOK_AT_LOG}`,
  ],
  unmanaged: ["problem", "a process that no record describes holds the home", "drover stop tells what can be done"],
  crashed: ["problem", "it ended without saying so", `drover start recovers its tasks; ${LOOK_AT_LOG}`],
};

function checkState({ host, observation, record, hello }: Scene): Finding {
  const state = stateOf(observation);
  const pid = hello?.pid ?? (observation.record.kind === "live" ? observation.record.pid : undefined);
  const which = hello?.mode === "run" || (!hello && record?.mode === "run") ? "a drover run" : "the daemon";
  if (state === "crashed" && !record) {
    return warning("nobody holds the home, and its record is damaged", "drover start mends that");
  }
  if (state === "crashed" && record && record.bootId !== host.system.self().bootId) {
    return warning("it ended with the machine, which was started again since", "drover start recovers its tasks");
  }
  if (state === "degraded" && observation.lock === "free") {
    return problem("it runs without its lock, whose file was replaced", "drover restart puts that right");
  }
  const [verdict, text, advice] = STATES[state];
  const finding = pid === undefined ? text : `${text} (${which}, pid ${pid})`;
  return { verdict, finding, ...(advice ? { advice } : {}) };
}

/** What a running daemon says of itself, as `status` shows it. */
interface Work {
  readonly outbox?: { readonly waiting: number; readonly degraded: boolean };
  readonly connections?: readonly { readonly name: string; readonly state: string; readonly why: string }[];
  readonly slots?: { readonly total: number; readonly running: number };
  readonly healthPort?: { readonly kind: string; readonly port?: number; readonly why?: string };
}

function checkWork({ status }: Scene): Finding[] {
  if (!status) return [];
  const { outbox, connections = [], slots, healthPort: health } = status as Work;
  const found = connections.filter(({ state }) => state !== "connected").map(({ name, state, why }) =>
    warning(`the connection ${name} is ${state}: ${why}`, LOOK_AT_LOG)
  );
  if (outbox?.degraded) found.push(problem("the outbox cannot be written", "make room on the disk of the home"));
  if (health?.kind === "failed") {
    const advice = "drover config set health.port PORT, then drover restart";
    found.push(warning(`the health port is not open: ${health.why}`, advice));
  }
  if (found.length > 0) return found;
  return [
    ok(`${slots?.running ?? 0} of ${count(slots?.total ?? 0, "slot")} in use, ${outbox?.waiting ?? 0} undelivered`),
  ];
}

function checkRecord({ host, lookedAt, observation, home }: Scene): Finding {
  if (lookedAt.kind === "corrupt") {
    return warning(`${home.pidfile} is damaged: ${lookedAt.why}`, "the next drover start or stop puts it aside");
  }
  if (lookedAt.kind === "none") {
    if (observation.lock === "free") return ok("there is none, as nothing runs");
    return warning("there is none, and the home is held", "drover stop and drover start have it written again");
  }
  const { record } = lookedAt;
  const seen = host.system.identityOf(record.pid);
  if (sameProcess(record, seen)) return ok(`pid ${record.pid} is the process it describes, since ${record.startedAt}`);
  const why = record.bootId !== host.system.self().bootId
    ? "it is from before the machine was started"
    : seen
    ? `pid ${record.pid} is another process by now, which nobody will signal`
    : `pid ${record.pid} is gone`;
  return warning(`stale: ${why}`, "drover start or drover stop removes it");
}

async function checkDaemonLock({ host, home, observation, record }: Scene): Promise<Finding> {
  if (observation.lock === "free") return ok("free");
  const pids = await openers(host, home.daemonLock);
  const others = pids.filter((pid) => pid !== record?.pid);
  if (record && pids.includes(record.pid)) return ok(`held by pid ${record.pid}, as the record says`);
  // Where the system does not tell who has a file open, the record has to do.
  if (others.length === 0) return ok("held");
  return problem(
    `held by pid ${others.join(", ")}, of which no record speaks`,
    `look at it: ps -fp ${others.join(",")}`,
  );
}

async function checkRestartLock({ host, home, restartLock }: Scene): Promise<Finding> {
  if (restartLock === "free") return ok("free");
  if (restartLock === "unknown") return warning("it cannot be tried", `look at ${home.restartLock}: ls -l`);
  const who = await holderText(host, home.restartHolder);
  const pids = await openers(host, home.restartLock);
  const pid = pids.length > 0 ? ` by pid ${pids.join(", ")}` : "";
  return ok(`held${pid}${who ? ` for ${who}` : ""}: start, stop and restart wait for it`);
}

async function openers(host: Host, path: string): Promise<readonly number[]> {
  return await host.files.stat(path) ? await host.inspector.openedBy(path) : [];
}

async function holderText(host: Host, path: string): Promise<string> {
  try {
    const { command, since } = JSON.parse(await host.files.readText(path));
    return `drover ${command}, since ${since}`;
  } catch {
    return "";
  }
}

function checkVersion({ host, version, hello }: Scene): Finding {
  const override = host.system.env[VERSION_OVERRIDE];
  const claims = override ? [`${VERSION_OVERRIDE} makes this command say so`] : undefined;
  if (!hello) {
    if (!override) return ok(`this command is ${version}`);
    return warning(`this command says it is ${version}`, `unset ${VERSION_OVERRIDE}`, claims);
  }
  const both = `this command is ${version}, the daemon ${hello.version}`;
  const verdict = compareBuilds({ version, protocol: CONTROL_PROTOCOL }, hello);
  if (verdict.kind === "refuse") {
    return problem(
      `${both}: they cannot work together (${verdict.why})`,
      "drover restart, or update this drover",
      claims,
    );
  }
  if (verdict.kind === "replace") return warning(both, "drover restart takes the new one at once", claims);
  return override ? warning(both, `unset ${VERSION_OVERRIDE}`, claims) : ok(both);
}

async function checkProgram({ host, record, hello }: Scene): Promise<Finding> {
  const [executable = ""] = host.system.selfCommand;
  if (!record || !hello) return ok(executable);
  const look = await host.fingerprints.look(record.binary);
  if (look.kind === "missing" || look.kind === "unreadable") {
    return warning(`${record.binary}, which the daemon was started from, is gone`, "install drover again");
  }
  if (record.digest === "") return ok(record.binary);
  const digest = await host.fingerprints.hashFile(record.binary);
  if (digest === record.digest) return ok(`${record.binary}, unchanged since the daemon was started`);
  return warning(`${record.binary} was replaced since the daemon was started`, "drover restart takes the new one");
}

/** Other commands take a damaged file for an empty one, and do not say so. */
async function checkLifecycleFile({ host, home }: Scene): Promise<Finding> {
  const damaged = (why: string) =>
    warning(
      `${home.lifecycle} is damaged (${why}) and counts as empty`,
      "the next drover start or stop writes it anew",
    );
  try {
    const value: unknown = JSON.parse(await host.files.readText(home.lifecycle));
    const version = value !== null && typeof value === "object" ? Reflect.get(value, "schemaVersion") : undefined;
    return version === 1 ? ok("readable") : damaged("it is of no known version");
  } catch (error) {
    if (error instanceof HostError && error.code === "not-found") return ok("none yet");
    return damaged(error instanceof HostError ? error.message : "it is no JSON");
  }
}

function checkBreaker({ host, home, lifecycle }: Scene): Finding {
  const now = host.clock.now();
  const { breaker } = lifecycle;
  const position = breakerPosition(breaker, now);
  const failures = breaker.failures.filter((at) => at <= now);
  if (position.kind === "closed") {
    return ok(failures.length > 0 ? `closed, ${count(failures.length, "failed start")} remembered` : "closed");
  }
  const last = failures.at(-1);
  const when = last === undefined ? "" : `, the last at ${time(last)}`;
  const advice = `look at ${home.launchLog} and ${home.logFile}; drover start --force tries at once`;
  const failed = `${count(breaker.trips, "start")} in a row failed${when}`;
  return position.kind === "open"
    ? problem(`open until ${time(position.until)}: ${failed}`, advice)
    : warning(`half open: ${failed}, and the next start is a trial`, advice);
}

function checkIntent({ lifecycle, observation }: Scene): Finding {
  const { desired } = lifecycle;
  if (!desired) return ok("nobody has asked for a daemon, or for none");
  const finding = `drover ${desired.by} at ${desired.at}: it is to be ${desired.state}`;
  const state = stateOf(observation);
  if (desired.state === "running" && state === "stopped") {
    return warning(`${finding}, and none runs`, "drover start, if you want one");
  }
  return ok(finding);
}

function checkOperation({ lifecycle, restartLock }: Scene): Finding {
  const { operation } = lifecycle;
  if (!operation) return ok("none unfinished");
  const what = `${operation.verb} (${operation.phase}) since ${operation.since}`;
  if (restartLock === "held") return ok(`${what}, under way`);
  return warning(`${what} was cut off`, "drover start completes it, drover stop calls it off");
}

/** Written by a daemon that ends in order; one that was cut off writes none, which shows by its record. */
async function checkLastExit({ host, home }: Scene): Promise<Finding> {
  try {
    const { pid, version, endedAt } = JSON.parse(await host.files.readText(home.lastExit));
    return ok(`pid ${pid}, version ${version}, ended in order at ${endedAt}`);
  } catch (error) {
    if (error instanceof HostError && error.code === "not-found") return ok("none has ended in order yet");
    return warning(`${home.lastExit} cannot be read`, "the next daemon that ends writes it anew");
  }
}

function time(ms: number): string {
  return new Date(ms).toISOString();
}
