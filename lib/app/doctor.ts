/** `drover doctor`: every check, each on its own, so that one that fails or hangs takes none of the others with it. */
import { BUILD } from "../core/build_info.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { claimedVersion } from "../core/launch.ts";
import { type Host, HostError, type Locks } from "../core/ports.ts";
import { redactValue } from "../core/redact.ts";
import { readLifecycle } from "../lifecycle/lifecycle_file.ts";
import { observe } from "../lifecycle/observe.ts";
import { lookAtPidfile } from "../lifecycle/pidfile.ts";
import { type Check, type Finding, problem, type Scene, type Verdict } from "./doctor_check.ts";
import { HOME_CHECKS, type HomeFile, listHome, lookAtHome } from "./doctor_home.ts";
import { LIFECYCLE_CHECKS } from "./doctor_lifecycle.ts";
import { agentSurroundings, HOME_SETUP_CHECKS, type Machine, MACHINE_CHECKS } from "./doctor_setup.ts";
import { instancePorts } from "./instance.ts";
import { reachHolder } from "./reach.ts";

export interface CheckResult {
  readonly name: string;
  readonly verdict: Verdict;
  readonly finding: string;
  readonly advice: string | null;
  readonly details: readonly string[];
}

export interface Diagnosis {
  readonly checks: readonly CheckResult[];
  readonly files: readonly HomeFile[];
  readonly warnings: number;
  readonly problems: number;
}

/** What a network file system that is gone can take; all others are long done. */
const CHECK_MS = 30_000;

/**
 * Looks and changes nothing, but for what it tries out in a directory of its own in a home that is there. `home` is the
 * reason where none can be found. Never throws for what it finds.
 */
export async function diagnose(host: Host, home: Home | DroverError): Promise<Diagnosis> {
  const parts: HomeDiagnosis = home instanceof DroverError
    ? { results: [named("home", unusable(home))], files: [], agents: { env: host.system.env } }
    : await diagnoseHome(host, home);
  const checks = [...parts.results, ...await runAll(host, MACHINE_CHECKS, { host, ...parts.agents })];
  const counted = (verdict: Verdict) => checks.filter((check) => check.verdict === verdict).length;
  return redactValue({ checks, files: parts.files, warnings: counted("warning"), problems: counted("problem") });
}

function unusable({ message, hint }: DroverError): Finding {
  return problem(message, hint ?? "drover logs may tell more");
}

interface HomeDiagnosis {
  readonly results: readonly CheckResult[];
  readonly files: readonly HomeFile[];
  /** What its agents get. */
  readonly agents: Pick<Machine, "env" | "variables">;
}

async function diagnoseHome(host: Host, home: Home): Promise<HomeDiagnosis> {
  const [look, first] = await glance(host, "home", async () => {
    const look = await lookAtHome(host, home);
    return [look, look.finding];
  });
  const settings = () => runAll(host, HOME_SETUP_CHECKS, { host, home });
  const agents = { env: host.system.env };
  if (look?.kind === "absent") return { results: [...first, ...await settings()], files: [], agents };
  // In a home that others can change, what stands there is no evidence, and nothing of it is touched.
  if (look?.kind !== "usable") return { results: first, files: [], agents };
  const [listed, unlisted] = await glance(host, "files", async () => [await listHome(host, home)]);
  const place = { host, home, files: [], unlisted: [], ...listed };
  const [scene, unseen] = await glance(host, "daemon", async () => [await lookAround(host, home)]);
  return {
    results: [
      ...first,
      ...unlisted,
      ...await runAll(host, HOME_CHECKS, place),
      ...unseen,
      ...(scene ? await runAll(host, LIFECYCLE_CHECKS, scene) : []),
      ...await settings(),
    ],
    files: place.files,
    agents: await agentSurroundings(host, home),
  };
}

async function lookAround(host: Host, home: Home): Promise<Scene> {
  const lookedAt = await lookAtPidfile(host.files, home.pidfile);
  const reached = await reachHolder(host, home, lookedAt);
  using connection = reached.kind === "answers" ? reached.connection : undefined;
  using look = await observe({
    ...instancePorts(host, home),
    locks: lookingOnly(host),
    contact: () =>
      Promise.resolve(
        connection
          ? {
            kind: "answers",
            control: { ...connection, runningTasks: () => Promise.resolve([]), [Symbol.dispose]() {} },
          }
          : { kind: reached.kind as "silent" | "absent" },
      ),
  }, home);
  return {
    host,
    home,
    version: claimedVersion(host.system.env, BUILD.version),
    lookedAt,
    record: look.record,
    observation: look.observation,
    hello: connection?.hello,
    status: await connection?.status().catch(() => undefined),
    lifecycle: await readLifecycle(host.files, home),
    restartLock: await lockState(host, home.restartLock),
  };
}

async function lockState(host: Host, path: string): Promise<Scene["restartLock"]> {
  try {
    using lock = await lookingOnly(host).tryLock(path);
    return lock ? "free" : "held";
  } catch (error) {
    if (error instanceof HostError) return "unknown";
    throw error;
  }
}

/** A lock file that is not there is held by nobody, and is not made to find that out. */
function lookingOnly({ files, locks }: Host): Locks {
  return {
    ...locks,
    async tryLock(path) {
      if (await files.stat(path)) return await locks.tryLock(path);
      return { path, release() {}, [Symbol.dispose]() {} };
    },
  };
}

async function runAll<Subject>(
  host: Host,
  checks: readonly Check<Subject>[],
  subject: Subject,
): Promise<CheckResult[]> {
  const results = await Promise.all(checks.map(([name, check]) => run(host, name, () => check(subject))));
  return results.flat();
}

/** A look that later checks build on: what it saw, or nothing and the result that says why. */
async function glance<T>(
  host: Host,
  name: string,
  fn: () => Promise<readonly [seen: T, finding?: Finding]>,
): Promise<[T | undefined, CheckResult[]]> {
  let seen: T | undefined;
  const results = await run(host, name, async () => {
    const [what, finding] = await fn();
    seen = what;
    return finding ? [finding] : [];
  });
  return [seen, results];
}

async function run(
  { clock }: Host,
  name: string,
  check: () => ReturnType<Check<unknown>[1]>,
): Promise<CheckResult[]> {
  const late = Promise.withResolvers<Finding>();
  using _limit = clock.after(
    CHECK_MS,
    () =>
      late.resolve(problem(`this check did not end within ${CHECK_MS / 1000} s`, "a file system or a program hangs")),
  );
  try {
    const found = await Promise.race([(async () => await check())(), late.promise]);
    return (Array.isArray(found) ? found : [found as Finding]).map((finding) => named(name, finding));
  } catch (error) {
    if (error instanceof DroverError) return [named(name, unusable(error))];
    const why = error instanceof Error ? error.message : String(error);
    return [named(name, problem(`this check failed: ${why}`, "drover logs may tell more"))];
  }
}

function named(name: string, { verdict, finding, advice, details }: Finding): CheckResult {
  return { name, verdict, finding, advice: advice ?? null, details: details ?? [] };
}
