/** Compiles the program into one executable, `dist/drover`, and runs it once to see that it works. */
import { createHash } from "node:crypto";
import { dirname, join, toFileUrl } from "@std/path";
import { parseArgs } from "@std/cli/parse-args";
import type { BuildInfo } from "../lib/core/build_info.ts";
import { capture, runScript } from "./command.ts";
import { findToolchain, type Toolchain } from "./denort.ts";
import { BINARY, listFiles, ROOT, sha256OfFile } from "./project.ts";
import { readGit, versionOf } from "./version.ts";

/** Beside the executable: what it was made from, so that the same sources are not compiled twice. */
interface Receipt {
  readonly inputs: string;
  readonly size: number;
}

/**
 * Kept low because a long-lived process otherwise grows to several times its live heap before it collects. The same for
 * what is young: talkative agents make much that lives for a moment, and 4 MB for it in place of 16 were not seen to cost
 * time (BENCHMARKS.md).
 */
const V8_FLAGS = "--max-old-space-size=256,--max-semi-space-size=4";

/** Makes `dist/drover` unless `ifChanged` is set and the one that is there comes from the same inputs; its path. */
export async function build(options: { ifChanged?: boolean } = {}): Promise<string> {
  const config = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json")));
  const source = versionOf(config.version, await readGit());
  const inputs = await fingerprintInputs(source.version);
  if (options.ifChanged && await isCurrent(inputs)) return BINARY;

  const toolchain = await findToolchain();
  const info: BuildInfo = { ...source, target: Deno.build.target, local: toolchain.kind === "local" };
  await Deno.mkdir(dirname(BINARY), { recursive: true });
  const work = await Deno.makeTempDir({ dir: dirname(BINARY), prefix: ".build-" });
  try {
    const bundle = await bundleInto(work, config.imports, info);
    const executable = join(work, "drover");
    await compile(toolchain, bundle, executable);
    await proveItRuns(executable, toolchain);
    await Deno.rename(executable, BINARY);
    const receipt: Receipt = { inputs, size: (await Deno.stat(BINARY)).size };
    await Deno.writeTextFile(receiptPath(), JSON.stringify(receipt));
    console.error(`built dist/drover ${info.version} for ${info.target}, ${(receipt.size / 1e6).toFixed(1)} MB`);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return BINARY;
}

function receiptPath(): string {
  return `${BINARY}.build.json`;
}

async function fingerprintInputs(version: string): Promise<string> {
  const sources = await listFiles("lib", [".ts"]);
  const scripts = ["scripts/build.ts", "scripts/denort.ts", "scripts/version.ts"];
  const hash = createHash("sha256");
  for (const part of [version, Deno.version.deno, Deno.build.target, Deno.env.get("DENORT_BIN") ?? ""]) {
    hash.update(`${part}\n`);
  }
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

/**
 * The whole program as a few JavaScript files; the path of the main one. Bundled before compiling, because that embeds only
 * what is used of the npm packages, starts in half the time and needs a quarter less memory (BENCHMARKS.md). Split where the
 * program imports dynamically: in one file all of it would be read at every start, which costs some 15 ms. Not
 * minified: the minifier drops the declaration in `using lock = await take(); if (lock) …`, so that nothing is released; and
 * a logged stack trace still says which functions it went through. No source map inside, which would cost some 20 ms of start.
 */
async function bundleInto(folder: string, imports: Record<string, string>, info: BuildInfo): Promise<string> {
  const replacement = join(folder, "build_info.ts");
  await Deno.writeTextFile(replacement, `export const BUILD = ${JSON.stringify(info)};\n`);
  const importMap = join(folder, "import_map.json");
  const replaced = toFileUrl(join(ROOT, "lib", "core", "build_info.ts")).href;
  await Deno.writeTextFile(
    importMap,
    JSON.stringify({ imports: { ...imports, [replaced]: toFileUrl(replacement).href } }),
  );
  const output = join(folder, "bundle");
  await capture([
    ...[Deno.execPath(), "bundle", "--quiet", "--platform=deno"] as const,
    ...["--code-splitting", `--outdir=${output}`, `--import-map=${importMap}`, join(ROOT, "main.ts")],
  ], { cwd: ROOT, timeoutMs: 120_000 });
  // A replacement that silently missed would ship a program that calls itself a development version for ever.
  if (!await anyIncludes(output, JSON.stringify(info.version))) {
    throw new Error("Cannot put the version into the bundle: lib/core/build_info.ts is not part of the program");
  }
  return join(output, "main.js");
}

async function anyIncludes(folder: string, text: string): Promise<boolean> {
  for await (const { name } of Deno.readDir(folder)) {
    if ((await Deno.readTextFile(join(folder, name))).includes(text)) return true;
  }
  return false;
}

/** One script and what it imports as an executable, with the program's own flags. */
export async function compile(toolchain: Toolchain, bundle: string, executable: string): Promise<void> {
  const denort = toolchain.kind === "own" ? undefined : toolchain.denort;
  // No code cache: it would be a file with a predictable name in /tmp, which any user of the machine could plant.
  await capture([
    ...[toolchain.deno, "compile", "--quiet", "--allow-all", "--no-check", "--no-config", "--no-lock"] as const,
    ...["--no-code-cache", `--v8-flags=${V8_FLAGS}`, `--output=${executable}`, bundle],
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

if (import.meta.main) {
  await runScript(async () => {
    const args = parseArgs(Deno.args, { boolean: ["if-changed"] });
    await build({ ifChanged: args["if-changed"] === true });
    return 0;
  });
}
