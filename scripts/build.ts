/** Compiles the program into one executable per target: `dist/drover` for this machine, `dist/TARGET/drover` where targets are named. */
import { createHash } from "node:crypto";
import { dirname, join } from "@std/path";
import { parseArgs } from "@std/cli/parse-args";
import type { BuildInfo } from "../lib/core/build_info.ts";
import { isTarget, type Target, TARGET_NAMES, targetOfTriple, TARGETS } from "../lib/core/release.ts";
import { bundleInto } from "./bundle.ts";
import { capture, runScript } from "./command.ts";
import { findToolchain, type Toolchain } from "./denort.ts";
import { targetOfExecutable } from "./executable.ts";
import { BINARY, listFiles, ROOT, sha256OfFile } from "./project.ts";
import { releaseKeys } from "./release_signing.ts";
import { readGit, readSourceTime, type SourceVersion, versionOf } from "./version.ts";

/** Beside the executable: what it was made from, so that the same sources are not compiled twice. */
interface Receipt {
  readonly inputs: string;
  readonly size: number;
}

/** What a build has in it besides the sources. */
export interface BuildOptions {
  /** Public keys whose releases the program accepts; those of the variable or of the sources otherwise. */
  readonly keys?: readonly string[];
  /** Address below which releases lie; that of `DROVER_RELEASES_URL` otherwise, or none. */
  readonly releases?: string;
}

export interface LeftOut {
  readonly target: Target;
  readonly reason: string;
}

/**
 * Kept low because a long-lived process otherwise grows to several times its live heap before it collects. The same for
 * what is young: talkative agents make much that lives for a moment, and 4 MB for it in place of 16 were not seen to cost
 * time (BENCHMARKS.md).
 */
const V8_FLAGS = "--max-old-space-size=256,--max-semi-space-size=4";

/** Makes `dist/drover` unless `ifChanged` is set and the one that is there comes from the same inputs; its path. */
export async function build(options: BuildOptions & { ifChanged?: boolean } = {}): Promise<string> {
  const contents = await contentsOf(options);
  const inputs = await fingerprintInputs(contents);
  if (options.ifChanged && await isCurrent(inputs)) return BINARY;
  await buildInto(BINARY, Deno.build.target, contents);
  const receipt: Receipt = { inputs, size: (await Deno.stat(BINARY)).size };
  await Deno.writeTextFile(receiptPath(), JSON.stringify(receipt));
  return BINARY;
}

/** Makes `FOLDER/TARGET/drover` for each target whose runtime can be had; says which could not, and why. */
export async function buildTargets(
  folder: string,
  targets: readonly Target[],
  options: BuildOptions = {},
): Promise<{ readonly built: readonly Target[]; readonly leftOut: readonly LeftOut[] }> {
  const contents = await contentsOf(options);
  const built: Target[] = [];
  const leftOut: LeftOut[] = [];
  for (const target of targets) {
    const toolchain = await findToolchain(TARGETS[target]).catch((error: unknown) => error);
    if (toolchain instanceof Error) {
      leftOut.push({ target, reason: toolchain.message });
      console.error(`left out ${target}: ${toolchain.message}`);
      continue;
    }
    const path = join(folder, target, "drover");
    await buildInto(path, TARGETS[target], contents, toolchain as Toolchain);
    built.push(target);
  }
  return { built, leftOut };
}

export async function readSource(): Promise<SourceVersion> {
  const config = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json")));
  return versionOf(config.version, await readGit());
}

/** What goes into an executable of any target. */
interface Contents {
  readonly source: SourceVersion;
  readonly keys: readonly string[];
  readonly releases: string;
}

async function contentsOf(options: BuildOptions): Promise<Contents> {
  return {
    source: await readSource(),
    keys: options.keys ?? await releaseKeys(),
    releases: options.releases ?? Deno.env.get("DROVER_RELEASES_URL") ?? "",
  };
}

async function buildInto(
  path: string,
  target: string,
  { source, keys, releases }: Contents,
  toolchain?: Toolchain,
): Promise<void> {
  const chosen = toolchain ?? await findToolchain(target);
  const info: BuildInfo = { ...source, target, local: chosen.kind === "local", releases };
  await Deno.mkdir(dirname(path), { recursive: true });
  const work = await Deno.makeTempDir({ dir: dirname(path), prefix: ".build-" });
  try {
    const bundle = await bundleInto(work, { info, keys, time: await readSourceTime() });
    const executable = join(work, "drover");
    await compile(chosen, bundle, executable, target);
    if (target === Deno.build.target) await proveItRuns(executable, chosen);
    else await proveItIsFor(executable, target);
    await Deno.rename(executable, path);
    const size = ((await Deno.stat(path)).size / 1e6).toFixed(1);
    const unsigned = keys.length === 0 ? "; unsigned build: it accepts no key for its updates" : "";
    console.error(`built ${shown(path)} ${info.version} for ${target}, ${size} MB${unsigned}`);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

function shown(path: string): string {
  return path.startsWith(`${ROOT}/`) ? path.slice(ROOT.length + 1) : path;
}

function receiptPath(): string {
  return `${BINARY}.build.json`;
}

async function fingerprintInputs({ source, keys, releases }: Contents): Promise<string> {
  const sources = await listFiles("lib", [".ts"]);
  const scripts = ["build", "bundle", "denort", "version"].map((name) => `scripts/${name}.ts`);
  const hash = createHash("sha256");
  const variables = ["DENORT_BIN", "SOURCE_DATE_EPOCH"].map((name) => Deno.env.get(name) ?? "");
  const machine = [Deno.version.deno, Deno.build.target];
  for (const part of [source.version, ...machine, ...variables, releases, ...keys]) hash.update(`${part}\n`);
  for (const path of ["main.ts", "deno.json", "deno.lock", ...scripts, ...sources]) {
    hash.update(`${path} ${await sha256OfFile(join(ROOT, path))}\n`);
  }
  return hash.digest("hex");
}

async function isCurrent(inputs: string): Promise<boolean> {
  try {
    const receipt = JSON.parse(await Deno.readTextFile(receiptPath())) as Receipt;
    return receipt.inputs === inputs && receipt.size === (await Deno.stat(BINARY)).size;
  } catch {
    return false;
  }
}

/** One script and what it imports as an executable, with the program's own flags. */
export async function compile(
  toolchain: Toolchain,
  bundle: string,
  executable: string,
  target: string = Deno.build.target,
): Promise<void> {
  const denort = toolchain.kind === "own" ? undefined : toolchain.denort;
  const cross = target === Deno.build.target ? [] : [`--target=${target}`];
  // No code cache: it would be a file with a predictable name in /tmp, which any user of the machine could plant.
  await capture([
    ...[toolchain.deno, "compile", "--quiet", "--allow-all", "--no-check", "--no-config", "--no-lock"] as const,
    ...["--no-code-cache", `--v8-flags=${V8_FLAGS}`, `--output=${executable}`, ...cross, bundle],
  ], { cwd: dirname(bundle), env: denort ? { DENORT_BIN: denort } : {}, timeoutMs: 300_000 });
}

/** Compiling succeeds even where compiler and runtime do not fit; only running it tells. */
async function proveItRuns(executable: string, toolchain: Toolchain): Promise<void> {
  try {
    await capture([executable, "version"], { timeoutMs: 30_000 });
  } catch (cause) {
    const runtime = toolchain.kind === "own" ? "Deno's own runtime" : toolchain.denort;
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`Compiled an executable that does not run, over ${runtime}. ${said}`, { cause });
  }
}

/** As much as can be told of one that does not run here. */
async function proveItIsFor(executable: string, target: string): Promise<void> {
  const found = await targetOfExecutable(executable);
  if (!found || TARGETS[found] !== target) {
    throw new Error(`Compiled an executable for ${found ?? "an unknown machine"}, not for ${target}`);
  }
}

/** By our own names or by Deno's triples; throws for anything else. */
function readTargets(names: readonly string[]): readonly Target[] {
  return names.map((name) => {
    const target = isTarget(name) ? name : targetOfTriple(name);
    if (target) return target;
    throw new Error(`Cannot build for "${name}": the targets are ${TARGET_NAMES.join(", ")}`);
  });
}

if (import.meta.main) {
  await runScript(async () => {
    const args = parseArgs(Deno.args, {
      boolean: ["if-changed", "all"],
      string: ["target", "keys"],
      collect: ["target"],
      unknown: (arg) => {
        throw new Error(
          `Cannot understand "${arg}". Use: build.ts [--if-changed] [--keys FILE] [--all | --target NAME …]`,
        );
      },
    });
    const options: BuildOptions = args.keys ? { keys: await releaseKeys(String(args.keys)) } : {};
    const targets = args.all ? TARGET_NAMES : readTargets([args.target ?? []].flat().map(String));
    if (targets.length === 0) {
      await build({ ...options, ifChanged: args["if-changed"] === true });
      return 0;
    }
    const { built, leftOut } = await buildTargets(dirname(BINARY), targets, options);
    // Whoever names a target wants that one; all means all that can be had.
    return built.length > 0 && (args.all || leftOut.length === 0) ? 0 : 1;
  });
}
