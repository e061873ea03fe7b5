/** Making a machine ready in one step that may be repeated: installation looked at, daemon and updater running. */
import { BUILD } from "../core/build_info.ts";
import { rowOf } from "../core/config.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { judgeInstallation, type Owner, releaseProgram } from "../core/installation.ts";
import { type Host, HostError } from "../core/ports.ts";
import { startDaemon } from "../lifecycle/instance.ts";
import { readConfigFile, setInConfigFile } from "./config_file.ts";
import { openHome } from "./home_dir.ts";
import { instancePorts } from "./instance.ts";
import { currentRelease, ownOwner } from "./own_installation.ts";
import { setRemote } from "./remote.ts";
import { settingViews, whoSays } from "./setting_view.ts";
import { readSettings } from "./settings.ts";
import { ensureUpdater, livingUpdater } from "./updater_record.ts";

const READY_MS = 30_000;
const DRAIN_MS = 60_000;
const UPDATER_MS = 10_000;
const POLL_MS = 100;

export interface Bootstrapped {
  readonly version: string;
  readonly installation: {
    readonly owner: Owner["kind"];
    readonly root: string | null;
    readonly release: string | null;
  };
  readonly daemon: { readonly status: string; readonly pid: number; readonly version: string };
  readonly updater: { readonly pid: number } | null;
  /** Why there is no updater; null where there is one, or none was asked for. */
  readonly updaterWhy: string | null;
  readonly remoteEnabled: boolean;
  readonly home: string;
}

/** Throws what a start throws, and `update_refused` for an installation that is broken. */
export async function bootstrapMachine(
  host: Host,
  home: Home,
  options: { remote: boolean; updater: boolean },
): Promise<Bootstrapped> {
  const owner = await ownOwner(host);
  const installation = await look(host, owner);
  await openHome(host, home);
  const ports = instancePorts(host, home);
  const started = await startDaemon(ports, home, { args: [], timeoutMs: READY_MS });
  let { hello } = started;
  if (options.remote) {
    const set = await setRemote(host, home, true, {
      start: { timeoutMs: READY_MS },
      stop: { mode: "drain", timeoutMs: DRAIN_MS },
    });
    hello = set.hello ?? hello;
  }
  const { updater, why } = options.updater ? await withUpdater(host, home, owner) : { updater: null, why: null };
  const { remoteEnabled } = await readSettings(host, home);
  return {
    version: BUILD.version,
    installation,
    daemon: { status: started.status, pid: hello.pid, version: hello.version },
    updater,
    updaterWhy: why,
    remoteEnabled,
    home: home.root,
  };
}

async function look(host: Host, owner: Owner): Promise<Bootstrapped["installation"]> {
  if (owner.kind !== "drover") return { owner: owner.kind, root: null, release: null };
  const { installation } = owner;
  const { files, fingerprints } = host;
  const name = await currentRelease(files, installation);
  const state = judgeInstallation({
    pointer: await files.readLink(installation.current),
    digest: name && await fingerprints.hashFile(releaseProgram(installation, name)).catch(unlessMissing),
    record: await files.readText(installation.record).catch(unlessMissing),
  });
  if (state.kind === "broken") {
    throw new DroverError("update_refused", `The installation in ${installation.root} is broken: ${state.why}`, {
      hint: "run the installer again, which mends it",
    });
  }
  return { owner: owner.kind, root: installation.root, release: name ?? null };
}

function unlessMissing(error: unknown): undefined {
  if (!(error instanceof HostError)) throw error;
}

async function withUpdater(
  host: Host,
  home: Home,
  owner: Owner,
): Promise<{ updater: Bootstrapped["updater"]; why: string | null }> {
  if (owner.kind !== "drover") return { updater: null, why: "this drover does not replace itself" };
  // Somebody who has said no does not want to be asked by each connection again.
  const { key } = rowOf("updateAuto");
  await setInConfigFile(host, home, { key, value: true, same: (held) => held !== undefined });
  const wanted = (await settingViews(host, await readConfigFile(host, home))).of("updateAuto");
  if (wanted.value !== true) {
    const instead = wanted.source === "file" ? "; drover update --enable takes that back" : "";
    return { updater: null, why: `${whoSays(wanted)} says no${instead}` };
  }
  await ensureUpdater(host, home, { wanted: true });
  const deadline = host.clock.monotonic() + UPDATER_MS;
  for (;;) {
    const record = await livingUpdater(host, home);
    if (record) return { updater: { pid: record.pid }, why: null };
    if (host.clock.monotonic() >= deadline) {
      return { updater: null, why: `it did not come up; look at ${home.updaterOut}` };
    }
    await host.clock.sleep(POLL_MS);
  }
}
