/** The program as a few JavaScript files, the same bytes for the same sources wherever and whenever they are bundled. */
import { createHash } from "node:crypto";
import { dirname, join } from "@std/path";
import type { BuildInfo } from "../lib/core/build_info.ts";
import { capture } from "./command.ts";
import { listFiles, ROOT } from "./project.ts";

export interface BundleOptions {
  readonly info: BuildInfo;
  /** Public keys whose releases the program accepts, in base64. */
  readonly keys: readonly string[];
  /** Seconds since 1970; every file gets it, because the compiler keeps it. */
  readonly time: number;
}

/**
 * The path of the main file, below `folder`. Bundled before compiling, because that embeds only
 * what is used of the npm packages, starts in half the time and needs a quarter less memory (BENCHMARKS.md). Split where the
 * program imports dynamically: in one file all of it would be read at every start, which costs some 15 ms. Not
 * minified: the minifier drops the declaration in `using lock = await take(); if (lock) …`, so that nothing is released; and
 * a logged stack trace still says which functions it went through. No source map inside, which would cost some 20 ms of start.
 */
export async function bundleInto(folder: string, options: BundleOptions): Promise<string> {
  const sources = join(folder, "sources");
  await copySources(sources);
  await replace(sources, "lib/core/build_info.ts", `export const BUILD = ${JSON.stringify(options.info)};\n`);
  await replace(sources, "lib/core/release_keys.ts", `export const RELEASE_KEYS = ${JSON.stringify(options.keys)};\n`);
  const output = join(folder, "bundle");
  await capture([
    ...[Deno.execPath(), "bundle", "--quiet", "--platform=deno"] as const,
    ...["--code-splitting", `--outdir=${output}`, join(sources, "main.ts")],
  ], { cwd: sources, timeoutMs: 120_000 });
  const files = canonical(await readAll(output));
  // A replacement that silently missed would ship a program that calls itself a development version for ever.
  for (const text of [JSON.stringify(options.info.version), ...options.keys]) {
    if (![...files.values()].some((content) => content.includes(text))) {
      throw new Error(`Cannot put ${text} into the bundle: the module that holds it is not part of the program`);
    }
  }
  await Deno.remove(output, { recursive: true });
  await Deno.mkdir(output);
  for (const [name, content] of files) {
    const path = join(output, name);
    await Deno.writeTextFile(path, content);
    await Deno.utime(path, options.time, options.time);
  }
  return join(output, "main.js");
}

/** What is bundled is a copy: paths relative to it are the same everywhere, and an edit meanwhile does not get half in. */
async function copySources(folder: string): Promise<void> {
  for (const path of ["main.ts", "deno.json", "deno.lock", ...await listFiles("lib", [".ts"])]) {
    await Deno.mkdir(dirname(join(folder, path)), { recursive: true });
    await Deno.copyFile(join(ROOT, path), join(folder, path));
  }
}

async function replace(folder: string, path: string, text: string): Promise<void> {
  await Deno.writeTextFile(join(folder, path), text, { create: false });
}

async function readAll(folder: string): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for await (const { name } of Deno.readDir(folder)) files.set(name, await Deno.readTextFile(join(folder, name)));
  return files;
}

/**
 * The bundler names packages by where they lie on the machine, and chunks by a hash over such names. Both are replaced:
 * packages are named as in the registry, and chunks after what is in them and in those they import.
 */
export function canonical(files: ReadonlyMap<string, string>): Map<string, string> {
  const texts = new Map([...files].map(([name, text]) => [name, text.replace(PACKAGE_PATH, "// npm/")]));
  // Only names with a hash are in question; the main file has none.
  const chunks = [...texts.keys()].filter((name) => CHUNK.test(name));
  if (chunks.length === 0) return texts;
  const anyChunk = new RegExp(chunks.map((name) => RegExp.escape(name)).join("|"), "g");

  // Chunks that are alike but for what they import differ from the second round on, and so forth.
  let labels = new Map(chunks.map((name) => [name, name.replace(CHUNK, "")]));
  for (let round = 0; round < chunks.length; round++) {
    labels = new Map(chunks.map((name) => {
      const text = texts.get(name)!.replace(anyChunk, (other) => labels.get(other)!);
      const digest = createHash("sha256").update(`${name.replace(CHUNK, "")}\n${text}`).digest("hex");
      return [name, `${name.replace(CHUNK, "")}-${digest.slice(0, 12)}.js`];
    }));
    // The bundler also makes empty chunks; of these one is enough.
    const full = chunks.filter((name) => texts.get(name) !== "");
    if (new Set(full.map((name) => labels.get(name))).size !== full.length) continue;
    const rename = (text: string) => text.replace(anyChunk, (other) => labels.get(other)!);
    const renamed = [...texts].map(([name, text]) => [labels.get(name) ?? name, rename(text)] as const);
    return new Map(renamed.toSorted(([a], [b]) => a < b ? -1 : 1));
  }
  throw new Error("Cannot name the files of the bundle: two of them have the same content and import the same");
}

const CHUNK = /-[0-9A-Z]{8}\.js$/;
const PACKAGE_PATH = /^\/\/ (?:\.\.\/)+.*?\/npm\/[^/]+\//gm;
