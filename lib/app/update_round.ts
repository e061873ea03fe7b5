/** One round of updating, from the question which release there is to the moved pointer; every round leaves its record. */
import { BUILD } from "../core/build_info.ts";
import type { Settings } from "../core/config.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { type Installation, releaseName, releaseOfName } from "../core/installation.ts";
import { type Host, HostError } from "../core/ports.ts";
import { isTarget, STATE_FORMAT } from "../core/release.ts";
import { RELEASE_KEYS } from "../core/release_keys.ts";
import {
  afterRound,
  beginTrial,
  type Plan,
  planUpdate,
  type Round,
  settled,
  type UpdateState,
  withRound,
} from "../core/update.ts";
import { UpdateError } from "../core/update_error.ts";
import { createFaultPoints } from "./fault_points.ts";
import { type InstallLock, tryInstallLock } from "./install_lock.ts";
import { machinePolicy } from "./machine_policy.ts";
import { currentRelease, demandOwn, installRecord, ownOwner } from "./own_installation.ts";
import { readUpdates, writeUpdates } from "./update_file.ts";
import {
  clearPointers,
  type InstallPorts,
  noteInstalled,
  pointTo,
  removeOldReleases,
  stageRelease,
} from "./update_install.ts";
import { demandSignature, findOffer, type Offer, type Source } from "./update_source.ts";

/** Long enough for another installer's last steps. */
const LOCK_MS = 5_000;

export interface RoundOptions {
  readonly by: Round["by"];
  readonly settings: Settings;
  readonly signal: AbortSignal;
  /** That one; the newest when absent. */
  readonly version?: string;
  /** An older or quarantined release is wanted. */
  readonly force?: boolean;
  /** A person goes by the sums alone, in a build that knows no key. */
  readonly checksumOnly?: boolean;
  /** Accepted keys; those of this build when absent. */
  readonly keys?: readonly string[];
  readonly onProgress?: (done: number, total: number) => void;
  /** It is one that will be taken. */
  readonly onOffer?: (offer: Offer) => void;
}

export type RoundOutcome =
  | { readonly kind: "current"; readonly version: string; readonly offered: string }
  /** The pointer leads to `version` now, which is on trial. */
  | { readonly kind: "switched"; readonly version: string; readonly before: string; readonly name: string };

/** Throws `UpdateError` for all that may come between, and leaves what was installed as it was. */
export async function runRound(host: Host, home: Home, options: RoundOptions): Promise<RoundOutcome> {
  const { installation, name: running } = demandOwn(await ownOwner(host));
  let version = options.version ?? "";
  const { by, settings } = options;
  const recorded = (round: Pick<Round, "result" | "code" | "detail">) => {
    const whole = { ...round, at: host.clock.now(), by, version };
    const next = { intervalMs: settings.updateIntervalMs, fraction: host.random.fraction() };
    return changeUpdates(
      host,
      installation,
      (state) => by === "loop" ? afterRound(state, whole, next) : withRound(state, whole),
    ).catch((error) => host.logs.getLogger("update").warn("the round is not recorded", { error: String(error) }));
  };
  // Whoever has it records rounds of their own.
  await using lock = await takeLock(host, installation);
  try {
    const done = await round(host, home, {
      ...options,
      installation,
      running,
      lock,
      onVersion: (one) => version = one,
    });
    if (done.kind === "current") await recorded({ result: "current", code: "", detail: "nothing newer" });
    else await recorded({ result: "on-trial", code: "", detail: `in place of ${done.before}` });
    return done;
  } catch (error) {
    options.signal.throwIfAborted();
    const fault = asUpdateError(error);
    const result = fault.code === "update_refused" ? "refused" : "failed";
    await recorded({ result, code: fault.fault, detail: fault.message });
    throw fault;
  }
}

/** Looks only: what there is, and what would be done. Throws `UpdateError`. */
export async function checkRelease(
  host: Host,
  options: Omit<RoundOptions, "by" | "onProgress">,
): Promise<{ readonly current: string; readonly offer: Offer; readonly plan: Plan }> {
  const { installation } = demandOwn(await ownOwner(host));
  const current = await demandCurrent(host, installation);
  const { offer, plan, client } = await look(host, { ...options, installation, current });
  client[Symbol.dispose]();
  const { keys = RELEASE_KEYS, checksumOnly = false } = options;
  if (plan.kind === "take") demandSignature(offer, { keys, checksumOnly });
  return { current: releaseOfName(current)?.version ?? current, offer, plan };
}

interface OneRound extends RoundOptions {
  readonly installation: Installation;
  /** The release that this process runs from. */
  readonly running: string;
  readonly lock: InstallLock;
  readonly onVersion: (version: string) => void;
}

async function round(host: Host, home: Home, options: OneRound): Promise<RoundOutcome> {
  const { installation, running, signal } = options;
  const { files, clock } = host;
  await repair(host, installation);
  const current = await demandCurrent(host, installation);
  const { offer, plan, client } = await look(host, { ...options, current });
  using _client = client;
  options.onVersion(offer.version);
  const before = releaseOfName(current)?.version ?? current;
  if (plan.kind === "current") return { kind: "current", version: before, offered: offer.version };
  if (plan.kind === "refuse") {
    throw new UpdateError(plan.code, `Updating to ${offer.version} was refused: ${plan.why}`, hintFor(plan.code));
  }
  const { keys = RELEASE_KEYS } = options;
  demandSignature(offer, { keys, checksumOnly: options.checksumOnly ?? false });
  options.onOffer?.(offer);
  const point = createFaultPoints(host, home);
  const ports: InstallPorts = {
    host,
    installation,
    clock,
    fetch: client.fetch,
    signal,
    step: (step) => point(`update.${step}`),
  };
  const name = releaseName(offer.version, offer.build.binary_sha256);
  await stageRelease(ports, offer, name, options.onProgress);
  // Somebody may have chosen another one meanwhile by hand: then that is what they want.
  if (await currentRelease(files, installation) !== current) {
    throw new UpdateError("busy", "Updating was given up: somebody changed the installation meanwhile");
  }
  const { force } = options;
  const state = beginTrial(
    await readUpdates(files, installation),
    { name, before: current, home: home.root, force },
    clock.now(),
  );
  await writeUpdates(files, installation, state);
  await ports.step("noted");
  await pointTo(host, installation, name);
  await ports.step("switched");
  await noteInstalled(host, installation, { version: offer.version, archive: offer.build.sha256 });
  await removeOldReleases(ports, state, running);
  await ports.step("recorded");
  return { kind: "switched", version: offer.version, before, name };
}

/** Under the install lock: what a kill between two steps has left, and a pointer that is to go back. */
export async function repair(host: Host, installation: Installation): Promise<void> {
  const { files } = host;
  await clearPointers(host, installation);
  const current = await currentRelease(files, installation);
  if (current === undefined) return;
  const before = await readUpdates(files, installation);
  const { state, goTo } = settled(before, current, { byHand: await isInstalledByHand(host, installation, current) });
  if (JSON.stringify(state) !== JSON.stringify(before)) await writeUpdates(files, installation, state);
  if (state.quarantined.length < before.quarantined.length) {
    host.logs.getLogger("update").info("a release in quarantine was installed by hand: it stays", { current });
  }
  if (goTo !== undefined) await pointBack(host, installation, goTo);
  else await mendRecord(host, installation, current);
}

/** The installer writes its record last: one that was cut off has not installed the release yet. */
async function isInstalledByHand({ files }: Host, installation: Installation, current: string): Promise<boolean> {
  const record = await installRecord(files, installation);
  const digest = releaseOfName(current)?.digest;
  return record?.by === "install.sh" && digest !== undefined && record.digest.startsWith(digest);
}

/** The record is written after the pointer has moved. */
async function mendRecord(host: Host, installation: Installation, current: string): Promise<void> {
  const release = releaseOfName(current);
  const record = await installRecord(host.files, installation);
  if (!release || record?.digest.startsWith(release.digest)) return;
  await noteInstalled(host, installation, { version: release.version, archive: "" });
}

/** Under the install lock. A release that is gone cannot be gone back to. */
export async function pointBack(host: Host, installation: Installation, name: string): Promise<void> {
  if (!await host.files.stat(`${installation.releases}/${name}/drover`)) {
    throw new UpdateError("internal", `Going back to ${name} failed: it is not there any more`, {
      hint: "run the installer again",
    });
  }
  await pointTo(host, installation, name);
  const version = releaseOfName(name)?.version ?? name;
  await noteInstalled(host, installation, { version, archive: "" });
}

/** One change of the record, under the install lock. Throws `HostError`. */
async function changeUpdates(
  host: Host,
  installation: Installation,
  change: (state: UpdateState) => UpdateState,
): Promise<void> {
  await writeUpdates(host.files, installation, change(await readUpdates(host.files, installation)));
}

export async function takeLock(host: Host, installation: Installation): Promise<InstallLock> {
  const lock = await tryInstallLock(host, installation, { timeoutMs: LOCK_MS }).catch((error) => {
    throw asUpdateError(error);
  });
  if (lock) return lock;
  throw new UpdateError("busy", "Updating was put off: somebody else is changing the installation", {
    hint: "try again when that is done",
  });
}

async function demandCurrent({ files }: Host, installation: Installation): Promise<string> {
  const current = await currentRelease(files, installation);
  if (current !== undefined) return current;
  throw new UpdateError("not-ours", `Updating was refused: ${installation.current} leads to no release`, {
    hint: "run the installer again, which mends it",
  });
}

async function look(
  host: Host,
  options: Pick<RoundOptions, "settings" | "signal" | "version" | "force" | "keys"> & {
    installation: Installation;
    current: string;
  },
): Promise<{ offer: Offer; plan: Plan; client: ReturnType<Host["network"]["outward"]> }> {
  const { installation, current, settings, signal, version, force = false } = options;
  const source = sourceOf(host, { settings, signal, keys: options.keys ?? RELEASE_KEYS });
  const client = host.network.outward(host.system.env);
  try {
    const { updatePin: pin = "" } = await machinePolicy(host);
    const offer = await findOffer({ clock: host.clock, fetch: client.fetch }, source, version ?? (pin || undefined));
    const plan = planUpdate(await readUpdates(host.files, installation), {
      current: { version: releaseOfName(current)?.version ?? current, name: current },
      offered: { version: offer.version, name: releaseName(offer.version, offer.build.binary_sha256) },
      asked: version !== undefined,
      force,
      readableBy: STATE_FORMAT.readableBy,
      pin,
    });
    return { offer, plan, client };
  } catch (error) {
    client[Symbol.dispose]();
    throw error;
  }
}

function sourceOf(
  { system }: Host,
  { settings, signal, keys }: { settings: Settings; signal: AbortSignal; keys: readonly string[] },
): Source {
  const base = settings.updateUrl || BUILD.releases;
  if (base === "") {
    throw new UpdateError("no-server", "Updating was refused: this build names no server of releases", {
      hint: "drover config set update.url URL names one",
    });
  }
  const target = `${system.os === "darwin" ? "macos" : system.os}-${system.arch}`;
  if (!isTarget(target)) {
    throw new UpdateError("no-target", `Updating was refused: there are no releases for ${target}`);
  }
  return { base, target, keys, signal };
}

function hintFor(code: Extract<Plan, { kind: "refuse" }>["code"]): { hint: string } {
  if (code === "pinned") return { hint: "whoever administrates this machine decides that" };
  if (code === "unreadable") return { hint: "a fresh home (DROVER_HOME) can be used with it" };
  return { hint: "--force takes it all the same" };
}

function asUpdateError(error: unknown): UpdateError {
  if (error instanceof UpdateError) return error;
  if (error instanceof HostError) {
    return new UpdateError("disk", `Updating failed: ${error.message}`, { cause: error });
  }
  if (error instanceof DroverError) return new UpdateError("internal", error.message, { cause: error });
  throw error;
}
