/** The service of a home: installs, removes and describes the definition that has systemd or launchd run its daemon. */
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { type Env, type Host, HostError } from "../core/ports.ts";
import {
  frozenEnv,
  installedEnv,
  serviceDefinition,
  serviceFile,
  serviceKind,
  serviceLabel,
  supervisedArgs,
} from "../core/service_unit.ts";
import { fitsDefinition, type ServiceKind } from "../core/service_unit_spec.ts";
import type { Supervisor } from "../lifecycle/supervisor.ts";
import { openHome } from "./home_dir.ts";
import { type ServiceManager, serviceManager } from "./service_manager.ts";
import type { Service, ServiceState } from "./service_state.ts";

/** A home's service, installed or not. */
export interface HomeService extends Service {
  readonly kind: ServiceKind;
  readonly manager: ServiceManager;
}

/** Throws `service_failed` where the environment has no place for services. */
export async function serviceOf(host: Host, home: Home): Promise<HomeService> {
  const { system, files, fingerprints } = host;
  const kind = serviceKind(system.os);
  // Two spellings of one home are one service.
  const root = await files.realPath(home.root).catch(() => home.root);
  const label = serviceLabel(kind, await fingerprints.hashText(root));
  const file = serviceFile(kind, label, system.env);
  if (!file) {
    throw new DroverError("service_failed", "Cannot tell where services are kept: HOME is not an absolute path", {
      hint: "set HOME",
    });
  }
  return { kind, label, file, manager: serviceManager(host, kind) };
}

export interface Installed {
  readonly status: "installed" | "updated" | "alreadyInstalled";
  readonly service: HomeService;
  /** Of the definition. */
  readonly argv: readonly string[];
  readonly env: Env;
  /** After what was asked for. */
  readonly state: ServiceState;
  readonly lingers: boolean | undefined;
}

/**
 * Writes the definition and, unless told otherwise, has the service manager take it up; it starts nothing by itself, but
 * launchd may. Idempotent. Throws `service_failed`, `home_unusable`.
 */
export async function installService(host: Host, home: Home, options: { enable: boolean }): Promise<Installed> {
  await openHome(host, home);
  const service = await serviceOf(host, home);
  const { manager, file, kind } = service;
  const { compiled, env: current } = host.system;
  const env = frozenEnv(current, { home: home.root, bin: home.bin, compiled });
  const argv = [...await programArgv(host), ...supervisedArgs(kind)];
  const text = definition(service, home, { argv, env });
  const before = await installedText(host, file);
  if (before !== text) {
    await asService(service, "write", async () => {
      await host.files.makeDirectory(file.slice(0, file.lastIndexOf("/")));
      await host.files.writeAtomic(file, text);
    });
  }
  const status = before === undefined ? "installed" : before === text ? "alreadyInstalled" : "updated";
  let state = await manager.inspect(service);
  if (options.enable && state.kind === "known" && (before !== text || !state.enabled)) {
    await manager.tell("enable", service);
    state = await manager.inspect(service);
  }
  return { status, service, argv, env, state, lingers: await manager.lingers() };
}

export interface Uninstalled {
  readonly status: "uninstalled" | "notInstalled";
  readonly service: HomeService;
  readonly state: ServiceState;
}

/** Ends the service, which lets running tasks finish for a minute, and removes its definition. Idempotent. */
export async function uninstallService(
  host: Host,
  home: Home,
  { onStopping }: { onStopping?: () => void } = {},
): Promise<Uninstalled> {
  const service = await serviceOf(host, home);
  const { manager, file } = service;
  const installed = await installedText(host, file) !== undefined;
  const state = await manager.inspect(service);
  const runs = state.kind === "known" && state.activity !== "inactive" && state.activity !== "failed";
  if (!installed && !runs) return { status: "notInstalled", service, state };
  if (state.kind === "known") {
    if (runs) {
      onStopping?.();
      await manager.tell("stop", service);
    }
    if (installed && state.enabled) await manager.tell("disable", service);
  }
  await asService(service, "remove", async () => {
    for (const path of [file, ...manager.commands.enabledBy(service)]) await host.files.remove(path);
  });
  if (state.kind === "known") await manager.tell("forget", service);
  return { status: "uninstalled", service, state: await manager.inspect(service) };
}

export interface ServiceStatus {
  readonly service: HomeService;
  readonly installed: boolean;
  readonly state: ServiceState;
  /** The definition is not what this drover would write for this home; it may have been edited, or drover has moved. */
  readonly unitOutdated: boolean;
  /** Of the installed definition. */
  readonly env: Env;
  readonly lingers: boolean | undefined;
}

/** Changes nothing. */
export async function serviceStatus(host: Host, home: Home): Promise<ServiceStatus> {
  const service = await serviceOf(host, home);
  const { manager, file, kind } = service;
  const [text, state, lingers] = await Promise.all([
    installedText(host, file),
    manager.inspect(service),
    manager.lingers(),
  ]);
  if (text === undefined) return { service, installed: false, state, unitOutdated: false, env: {}, lingers };
  const env = installedEnv(kind, text);
  const argv = [...await programArgv(host), ...supervisedArgs(kind)];
  // What was frozen is the service's own: another terminal's PATH does not make it outdated.
  const unitOutdated = text !== definition(service, home, { argv, env: { ...env, DROVER_HOME: home.root } });
  return { service, installed: true, state, unitOutdated, env, lingers };
}

/** The service manager, where a home's daemon is to be started by it: it is installed, taken up, and can be reached. */
export async function supervisorOf(host: Host, home: Home): Promise<Supervisor | undefined> {
  if (!host.system.env.HOME?.startsWith("/")) return undefined;
  const service = await serviceOf(host, home);
  const { kind, label, manager, file } = service;
  if (await installedText(host, file) === undefined) return undefined;
  const state = await manager.inspect(service);
  if (state.kind === "unreachable" || !state.enabled) return undefined;
  return {
    kind,
    label,
    async start() {
      try {
        await manager.tell("start", service);
      } catch (error) {
        if (!(error instanceof DroverError)) throw error;
        const now = await manager.inspect(service);
        const hint = kind === "systemd" ? `journalctl --user -u ${label} tells more` : `${home.launchLog} tells more`;
        throw new DroverError("daemon_failed", `${error.message}${now.why ? ` (${now.why})` : ""}`, {
          hint: `look at ${home.logFile}; ${hint}`,
          cause: error,
        });
      }
    },
  };
}

interface Content {
  readonly argv: readonly string[];
  readonly env: Env;
}

function definition({ kind, label }: HomeService, home: Home, { argv, env }: Content): string {
  const unfit = [home.root, ...argv].find((word) => !fitsDefinition(word));
  if (unfit !== undefined) {
    throw new DroverError(
      "service_failed",
      `Cannot write a service for ${JSON.stringify(unfit)}: it has a control character`,
      {
        hint: "rename that file or directory",
      },
    );
  }
  return serviceDefinition(kind, { label, home: home.root, argv, env, launchLog: home.launchLog });
}

/**
 * The argv that survives an update: where PATH leads to this very program through a link, the link is what a package
 * manager moves on. Throws `service_failed` when the program is not there any more.
 */
async function programArgv({ system, files }: Host): Promise<readonly string[]> {
  const [executable = "", ...args] = system.selfCommand;
  const real = await files.realPath(executable).catch(() => undefined);
  if (real === undefined) {
    throw new DroverError("service_failed", `Cannot make a service of ${executable}: that file is gone`, {
      hint: "install drover again, and call this one",
    });
  }
  if (!system.compiled) return system.selfCommand;
  for (const directory of (system.env.PATH ?? "").split(":")) {
    if (!directory.startsWith("/")) continue;
    const candidate = `${directory.replace(/\/+$/, "")}/drover`;
    if (await files.realPath(candidate).catch(() => undefined) === real) return [candidate, ...args];
  }
  return system.selfCommand;
}

async function installedText({ files }: Host, file: string): Promise<string | undefined> {
  try {
    return await files.readText(file);
  } catch (error) {
    if (error instanceof HostError && error.code === "not-found") return undefined;
    if (!(error instanceof HostError)) throw error;
    throw new DroverError("service_failed", error.message, { cause: error });
  }
}

async function asService({ label }: Service, verb: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    throw new DroverError("service_failed", `Cannot ${verb} the service ${label}: ${error.message}`, { cause: error });
  }
}
