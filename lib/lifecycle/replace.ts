/** The version handshake: a daemon of an older build is replaced once, under the restart lock, by whoever finds it idle. */
import { stepBreaker } from "../core/breaker.ts";
import { DroverError } from "../core/drover_error.ts";
import { compareBuilds, COMPATIBLE_PROTOCOLS, type Handshake } from "../core/handshake.ts";
import type { Home } from "../core/home.ts";
import { VERSION_OVERRIDE } from "../core/launch.ts";
import { CONTROL_PROTOCOL, type Hello } from "../wire/control.ts";
import { launchOf, stopForRestart } from "./kept_launch.ts";
import { readLifecycle, updateLifecycle } from "./lifecycle_file.ts";
import { observe } from "./observe.ts";
import { withRestartLock } from "./restart_lock.ts";
import { launchHeld } from "./start.ts";
import { type InstancePorts, LOCK_EXTRA_MS } from "./verb.ts";

/** An idle daemon needs nothing like it; one that got a task in this very moment is left alone. */
const DRAIN_MS = 5_000;
const READY_MS = 30_000;

type Refused = Extract<Handshake, { kind: "refuse" }>["why"];

const REFUSALS: { readonly [R in Refused]: string } = {
  "cli-too-old": "this drover is older than the daemon and does not speak its protocol",
  "protocol-differs": "they do not speak the same protocol",
  "unknown-version": "one of the two is no version",
};

/** Both versions, and what to do about them. */
export function refusal(version: string, hello: Hello, why: Refused): DroverError {
  return new DroverError(
    "version_conflict",
    `Cannot work with the daemon: it is version ${hello.version}, this drover is ${version}, and ${REFUSALS[why]}`,
    {
      phase: "handshake",
      details: { why, daemon: hello.version, cli: version, override: VERSION_OVERRIDE },
      hint: `update this drover, or replace the daemon with drover restart (${VERSION_OVERRIDE} must not be set)`,
    },
  );
}

export type Usable =
  | { readonly kind: "as-it-is" }
  /** Another version than this one's serves on; `why` for people. */
  | { readonly kind: "other-version"; readonly why: string }
  /** Connect again: another daemon answers now. */
  | { readonly kind: "replaced"; readonly hello: Hello };

/** What a command does about the daemon it has connected to, before it uses it. Throws `version_conflict`. */
export async function makeUsable(
  ports: InstancePorts,
  home: Home,
  hello: Hello,
  options: { onWait?: (text: string) => void } = {},
): Promise<Usable> {
  const verdict = compareBuilds(ownBuild(ports), hello);
  if (verdict.kind === "refuse") throw refusal(ports.version, hello, verdict.why);
  // A run holds the home for as long as its task takes, and then it is gone.
  if (verdict.kind === "use" || hello.mode === "run") return { kind: "as-it-is" };
  const replaced = await withRestartLock(ports, home, {
    command: "replace the daemon",
    timeoutMs: READY_MS + LOCK_EXTRA_MS,
    onWait: options.onWait,
    async run() {
      using look = await observe(ports, home);
      const now = look.control?.hello;
      // Somebody else has done it, or ended it.
      if (!now || compareBuilds(ownBuild(ports), now).kind !== "replace") return now ?? hello;
      return await replaceHeld(ports, home, { timeoutMs: READY_MS });
    },
  });
  if (replaced) return { kind: "replaced", hello: replaced };
  if (!speaks(hello)) throw refusal(ports.version, hello, "protocol-differs");
  return {
    kind: "other-version",
    why:
      `the daemon is version ${hello.version}, this drover is ${ports.version}; it is replaced when it has nothing to do`,
  };
}

/**
 * Under the restart lock: the idle daemon's successor, or `undefined` where it stays for now: it is busy, or was replaced
 * only a moment ago. Never ends a task. Throws `version_conflict` when the successor is not of this version either.
 */
export async function replaceHeld(
  ports: InstancePorts,
  home: Home,
  { timeoutMs }: { timeoutMs: number },
): Promise<Hello | undefined> {
  using look = await observe(ports, home);
  const { control } = look;
  if (!control || (await control.runningTasks()).length > 0 || !await cooledDown(ports, home)) return undefined;
  const before = control.hello;
  await ports.preflight();
  const kept = await launchOf(ports, home);
  try {
    await stopForRestart(ports, home, { kept, stop: { mode: "drain", timeoutMs: DRAIN_MS }, reason: "new_version" });
  } catch (error) {
    if (error instanceof DroverError && error.code === "drain_deadline") return undefined;
    throw error;
  }
  const hello = await launchHeld(ports, home, {
    args: kept.args,
    env: kept.env,
    timeoutMs,
    reason: "new_version",
    replaced: before.version,
    by: "version",
  });
  if (compareBuilds(ownBuild(ports), hello).kind === "use") return hello;
  throw new DroverError(
    "version_conflict",
    `Cannot get a daemon of version ${ports.version}: it was ${before.version}, was started again, and is ${hello.version}`,
    {
      phase: "handshake",
      details: { before: before.version, daemon: hello.version, cli: ports.version, override: VERSION_OVERRIDE },
      hint: `unset ${VERSION_OVERRIDE} if it is set; if a service starts the daemon, run drover service install again`,
    },
  );
}

async function cooledDown(ports: InstancePorts, home: Home): Promise<boolean> {
  const now = ports.clock.now();
  const { state, verdict } = stepBreaker((await readLifecycle(ports.files, home)).breaker, {
    kind: "version-restart",
  }, now);
  await updateLifecycle(ports.files, home, () => ({ breaker: state }));
  return verdict.kind === "go";
}

function speaks({ protocol }: Hello): boolean {
  return protocol >= COMPATIBLE_PROTOCOLS.min && protocol <= COMPATIBLE_PROTOCOLS.max;
}

function ownBuild(ports: InstancePorts): { version: string; protocol: number } {
  return { version: ports.version, protocol: CONTROL_PROTOCOL };
}
