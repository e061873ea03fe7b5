/** Which agent CLIs of the table work on this machine, and for every other row why it is skipped and what would help. */
import { isAbsolute, join } from "@std/path";
import type { Runtime, SkippedProvider, SkipReason } from "../core/model.ts";
import { type CommandResult, type Env, type Files, HostError, type Processes } from "../core/ports.ts";
import type { RuntimeProfile } from "../core/runtime_profile.ts";
import { withoutSecrets } from "../core/secret_variables.ts";
import { compareVersions, findVersion, formatVersion } from "../core/version.ts";
import type { Launch, ProviderRow } from "./provider_row.ts";
import { PROVIDERS } from "./registry.ts";

const PROBE_LIMIT_MS = 10_000;

export interface DiscoverOptions {
  readonly processes: Processes;
  readonly files: Files;
  /** What agents will inherit; its PATH is searched. */
  readonly env: Env;
  /** The argv that runs this program. */
  readonly selfCommand: readonly string[];
  /** Of this process: some CLIs need to be told that root means it. */
  readonly uid?: number;
  /** Variables with secrets that agents may see besides those of their rows. */
  readonly variables?: readonly string[];
  /** Providers that are not to be looked for. */
  readonly except?: ReadonlySet<string>;
  readonly signal?: AbortSignal;
}

export interface Discovered {
  /** In the order of the table, best first. */
  readonly found: Runtime[];
  readonly skipped: SkippedProvider[];
}

type CommandLaunch = Extract<Launch, { kind: "command" }>;

/** Probes all rows at once. Rejects only with the signal's reason. */
export async function discover(options: DiscoverOptions): Promise<Discovered> {
  // All of them to their end, also when one rejects: nothing of a probe goes on after its caller has left.
  const rows = PROVIDERS.filter(({ provider }) => !options.except?.has(provider));
  const settled = await Promise.allSettled(rows.map((row) => discoverRow(row, options)));
  const results = settled.map((one) => {
    if (one.status === "rejected") throw one.reason;
    return one.value;
  });
  return {
    found: results.filter((result) => "executable" in result),
    skipped: results.filter((result) => "why" in result),
  };
}

/** Best first; what stands in no row comes before all others. */
export function inTableOrder(runtimes: readonly Runtime[]): readonly Runtime[] {
  const rank = ({ provider }: Runtime) => PROVIDERS.findIndex((row) => row.provider === provider);
  return runtimes.toSorted((a, b) => rank(a) - rank(b));
}

/** No model behind it: who has only such has no agent. */
export function isDemo({ provider }: Pick<Runtime, "provider">): boolean {
  return PROVIDERS.some((row) => row.provider === provider && row.demo);
}

/** What can be installed. */
export function wantedNames(): readonly string[] {
  return PROVIDERS.filter(({ demo }) => !demo).map(({ provider }) => provider);
}

/** Not a program of its own but this one, which is watched as that. */
export function isOurselves({ provider }: Runtime): boolean {
  return PROVIDERS.some((row) => row.provider === provider && row.launch.kind === "self");
}

/**
 * One row again, after its files changed. `at`: the file to ask, which need not be what PATH leads to any more. `like`:
 * as it was found before, which for a custom runtime says how it is launched.
 */
export async function discoverProvider(
  provider: string,
  options: DiscoverOptions & { readonly at?: string; readonly like?: Runtime },
): Promise<Runtime | SkippedProvider> {
  const { at, like } = options;
  const row = PROVIDERS.find((row) => row.provider === provider);
  if (row && like?.profile) return await discoverCustom(row, { ...like, executable: at ?? like.executable }, options);
  return row ? await discoverRow(row, options) : {
    provider,
    why: "not-supported",
    detail: `drover does not know ${provider}; drover agents --all lists what it knows`,
  };
}

/** A custom way to launch a CLI of the table. */
export async function discoverProfile(
  profile: RuntimeProfile,
  options: DiscoverOptions,
): Promise<Runtime | SkippedProvider> {
  const { provider, command, fixedArgs } = profile;
  const row = PROVIDERS.find((row) => row.provider === provider);
  if (!row || row.launch.kind !== "command") return await discoverProvider(provider, options);
  const launch = { ...row.launch, names: [command] };
  const place = isAbsolute(command)
    ? await placeAt(command, options.files)
    : await findExecutable({ ...row, launch }, launch, { ...options, override: false });
  if (place.kind === "skip") return { provider, why: place.why, detail: place.detail };
  const env = { ...row.env, ...(options.uid === 0 ? row.rootEnv : {}), ...profile.env };
  const known = { profile: { id: profile.id, name: profile.displayName }, fixedArgs, env };
  return await discoverCustom(
    row,
    { provider, family: row.family, executable: place.path, version: "", ...known },
    options,
  );
}

/** Asks it for its version, any of which will do. */
async function discoverCustom(
  row: ProviderRow,
  runtime: Runtime,
  options: DiscoverOptions,
): Promise<Runtime | SkippedProvider> {
  const { launch } = row;
  if (launch.kind !== "command") return runtime;
  const { minimum: _, ...anyVersion } = launch;
  const versionArgs = [...runtime.fixedArgs, ...launch.versionArgs];
  const custom: ProviderRow = { ...row, launch: { ...anyVersion, versionArgs }, env: runtime.env };
  const found = await discoverRow(custom, { ...options, at: runtime.executable });
  if ("executable" in found) return { ...runtime, version: found.version };
  // A wrapper need not answer to --version; that it can be started is all that must be known of it.
  return found.why === "not-executable" || found.why === "not-found" ? found : { ...runtime, version: "" };
}

async function placeAt(path: string, files: Files): Promise<Place> {
  const problem = await problemWith(path, files);
  if (!problem) return { kind: "found", path };
  return { kind: "skip", why: problem === MISSING ? "not-found" : "not-executable", detail: `${path} ${problem}` };
}

async function discoverRow(
  row: ProviderRow,
  options: DiscoverOptions & { readonly at?: string },
): Promise<Runtime | SkippedProvider> {
  const { provider, family, launch } = row;
  const env = { ...row.env, ...(options.uid === 0 ? row.rootEnv : {}) };
  const base = { provider, family, ...(Object.keys(env).length > 0 ? { env } : {}) };
  if (launch.kind === "self") {
    const [executable = "", ...args] = options.selfCommand;
    return { ...base, executable, fixedArgs: [...args, ...launch.args], version: "" };
  }
  const skip = (why: SkipReason, detail: string): SkippedProvider => ({ provider, why, detail });
  const place = options.at === undefined
    ? await findExecutable(row, launch, options)
    : { kind: "found", path: options.at } as const;
  if (place.kind === "skip") return skip(place.why, place.detail);
  // As in a run: what a probe starts is the same program.
  const seen = withoutSecrets(options.env, [...(row.secrets ?? []), ...(options.variables ?? [])]);
  const probed = await probe(place.path, launch, { ...options, env: { ...seen, ...env } });
  if (probed.kind === "skip") return skip(probed.why, probed.detail);
  return { ...base, executable: place.path, fixedArgs: [], version: probed.version };
}

type Skip = { readonly kind: "skip"; readonly why: SkipReason; readonly detail: string };
type Place = { readonly kind: "found"; readonly path: string } | Skip;

/** `DROVER_CLAUDE_PATH` for `claude`: the file to use instead of what PATH leads to. */
function overrideName(provider: string): string {
  return `DROVER_${provider.toUpperCase().replaceAll("-", "_")}_PATH`;
}

async function findExecutable(
  row: ProviderRow,
  launch: CommandLaunch,
  options: DiscoverOptions & { override?: false },
): Promise<Place> {
  const { files, env } = options;
  const variable = overrideName(row.provider);
  const override = options.override === false ? undefined : env[variable];
  if (override) {
    const problem = isAbsolute(override) ? await problemWith(override, files) : "is not an absolute path";
    if (!problem) return { kind: "found", path: override };
    const why = problem === MISSING ? "not-found" : "not-executable";
    return { kind: "skip", why, detail: `${variable}=${override} ${problem}; correct it or unset it` };
  }
  // An empty or relative entry means the current directory: whoever can write there would be started.
  const directories = (env.PATH ?? "").split(":").filter(isAbsolute);
  let unusable: string | undefined;
  for (const name of launch.names) {
    for (const directory of directories) {
      const path = join(directory, name);
      const problem = await problemWith(path, files);
      if (!problem) return { kind: "found", path };
      if (problem !== MISSING) unusable ??= `${path} ${problem}`;
    }
  }
  if (unusable) {
    return { kind: "skip", why: "not-executable", detail: `${unusable}; correct it or remove it from PATH` };
  }
  const names = launch.names.join(" or ");
  return {
    kind: "skip",
    why: "not-found",
    detail: `${names} is not in any directory of PATH; install it (${launch.install}) or set ${variable} to its path`,
  };
}

const MISSING = "does not exist";

/** Why a path cannot be started; `undefined` when it can. */
async function problemWith(path: string, files: Files): Promise<string | undefined> {
  try {
    const info = await files.stat(path);
    if (!info) return await files.stat(path, { link: true }) ? "is a link to something that is gone" : MISSING;
    if (info.isDirectory) return "is a directory";
    if (!info.isFile) return "is not a file";
    return (info.mode & 0o111) === 0 ? "is not executable (chmod +x)" : undefined;
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    // What we may not even look at is not there for us.
    return MISSING;
  }
}

type Probed = { readonly kind: "works"; readonly version: string } | Skip;

async function probe(path: string, launch: CommandLaunch, options: DiscoverOptions): Promise<Probed> {
  const command = [path, ...launch.versionArgs].join(" ");
  const fail = (why: SkipReason, detail: string): Skip => ({ kind: "skip", why, detail });
  let result: CommandResult;
  try {
    result = await options.processes.run(
      // Not our own directory, which may be gone; version managers look for their files in the home directory.
      { executable: path, args: launch.versionArgs, cwd: options.env.HOME || "/", env: options.env },
      { timeoutMs: PROBE_LIMIT_MS, signal: options.signal },
    );
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return fail(error.code === "not-executable" ? "not-executable" : "version-probe-failed", error.message);
  }
  if (result.timedOut) {
    return fail("version-probe-failed", `${command} did not end within ${PROBE_LIMIT_MS / 1000} s; run it by hand`);
  }
  if (result.exit.code !== 0) {
    const said = firstLine(result.stderr) || firstLine(result.stdout) || "it printed nothing";
    return fail(
      "version-probe-failed",
      `${command} ended with code ${result.exit.code}: ${said}; reinstall it or run it by hand`,
    );
  }
  return judgeVersion(command, result, launch);
}

/** The first line with a version in it, of stdout and then of stderr: wrappers print notices before it. */
function judgeVersion(command: string, { stdout, stderr }: CommandResult, launch: CommandLaunch): Probed {
  const lines = [...stdout.split("\n"), ...stderr.split("\n")];
  const version = lines.map(findVersion).find((found) => found !== undefined);
  const minimum = launch.minimum === undefined ? undefined : findVersion(launch.minimum);
  if (version && (!minimum || compareVersions(version, minimum) >= 0)) {
    return { kind: "works", version: formatVersion(version) };
  }
  if (version) {
    return {
      kind: "skip",
      why: "version-too-old",
      detail: `${command} says ${
        formatVersion(version)
      }, drover needs ${launch.minimum} or newer; update it (${launch.install})`,
    };
  }
  // Two numbers are not enough to be compared, but enough where any version will do.
  const loose = lines.map((line) => /\d+(?:\.\d+)+/.exec(line)?.[0]).find(Boolean);
  if (loose && !minimum) return { kind: "works", version: loose };
  if (launch.unversioned) return { kind: "works", version: "" };
  const said = firstLine(stdout) || firstLine(stderr) || "nothing";
  return {
    kind: "skip",
    why: "version-unreadable",
    detail: `${command} printed no version number, but: ${said}; run it by hand`,
  };
}

function firstLine(text: string): string {
  return text.split("\n").map((line) => line.trim()).find((line) => line !== "")?.slice(0, 200) ?? "";
}
