/** Which files are what really runs for a command: links, scripts, packages and shims followed to the code behind them. */
import { basename } from "@std/path";
import type { Place, ProgramFile, Script, Surroundings } from "./what_runs_look.ts";
import { packageFiles } from "./what_runs_npm.ts";
import { pythonFiles, type ShellTarget, shellTargets } from "./what_runs_script.ts";
import { MANAGERS } from "./what_runs_shims.ts";

export interface WhatRuns {
  /** The command itself first, by the path it was asked for, so that a link with another target shows. */
  readonly files: readonly ProgramFile[];
  /** False: something else may run with these files as they are, so the version has to be asked for now and then. */
  readonly whole: boolean;
  /** What was followed, outermost first; for the log. */
  readonly via: readonly string[];
}

/** A script that is read further than this is no launcher. */
const SCRIPT_BYTES = 256 * 1024;
/** Launchers that start launchers; real ones are two deep. */
const MAX_DEPTH = 5;

/**
 * `hints`: places from which the CLI may run newer code than is installed, from its row of the table. To be asked again
 * whenever a file of the answer moved.
 */
export async function whatRuns(
  command: string,
  around: Surroundings,
  { hints = [] }: { hints?: readonly string[] } = {},
): Promise<WhatRuns> {
  const found = await trace(command, basename(command), around, MAX_DEPTH);
  const files = [...found.files, ...hints.map((path): ProgramFile => ({ path, role: "hint" }))];
  const unique = files.filter(({ path }, i) => files.findIndex((file) => file.path === path) === i);
  return { ...found, files: unique, whole: found.whole && hints.length === 0 };
}

/** `read`: by an interpreter, which asks for no permission to execute. */
async function trace(
  path: string,
  name: string,
  around: Surroundings,
  depth: number,
  { read = false } = {},
): Promise<WhatRuns> {
  const itself: ProgramFile = { path, role: read ? "code" : "program" };
  const look = await around.fingerprints.look(path);
  if (!("mark" in look) || depth === 0) return { files: [itself], whole: false, via: [] };
  const place: Place = {
    name,
    path,
    realPath: look.mark.realPath,
    links: await around.fingerprints.follow(path),
    script: await readScript(look.mark.realPath, around),
  };
  for (const manager of MANAGERS) {
    const choice = await manager.choose(place, around);
    if (!choice) continue;
    const candidates = choice.candidates.map((path) => ({ path, read: false }));
    const behind = await traceAll(candidates, name, around, depth);
    const hints = choice.hints.map((path): ProgramFile => ({ path, role: "hint" }));
    // Another directory may have another choice, so these files are never all there is to know.
    return {
      files: [{ path, role: "shim" }, ...hints, ...behind.files],
      whole: false,
      via: [manager.name, ...behind.via],
    };
  }
  if (!place.script) return { files: [itself], whole: true, via: [] };
  const behind = await behindScript({ ...place, script: place.script }, around, depth);
  return { ...behind, files: [itself, ...behind.files] };
}

async function behindScript(
  place: Place & { readonly script: Script },
  around: Surroundings,
  depth: number,
): Promise<WhatRuns> {
  const { script } = place;
  if (/^(ba|da|z|k|a)?sh$/.test(script.interpreter)) {
    const targets = shellTargets(script.text, place, around.env);
    const behind = await traceAll(targets, place.name, around, depth);
    return { ...behind, via: ["shell script", ...behind.via] };
  }
  if (/^python[\d.]*$/.test(script.interpreter)) {
    const files = await pythonFiles(place, around);
    return { files, whole: files.length > 0, via: ["python script"] };
  }
  const files = await packageFiles(place.realPath, around);
  return { files, whole: files.length > 0, via: files.length > 0 ? ["npm package"] : ["script"] };
}

async function traceAll(
  targets: readonly ShellTarget[],
  name: string,
  around: Surroundings,
  depth: number,
): Promise<WhatRuns> {
  const found: WhatRuns[] = [];
  for (const { path, read } of targets) {
    const look = await around.fingerprints.look(path);
    if ("mark" in look) found.push(await trace(path, name, around, depth - 1, { read }));
  }
  return {
    files: found.flatMap(({ files }) => files),
    whole: found.length > 0 && found.every(({ whole }) => whole),
    via: found.flatMap(({ via }) => via),
  };
}

async function readScript(realPath: string, { fingerprints }: Surroundings): Promise<Script | undefined> {
  const head = await fingerprints.readStart(realPath, 2);
  if (!head || new TextDecoder().decode(head) !== "#!") return undefined;
  const bytes = await fingerprints.readStart(realPath, SCRIPT_BYTES);
  const text = new TextDecoder().decode(bytes);
  const words = text.slice(2, text.indexOf("\n") + 1 || undefined).trim().split(/\s+/);
  // `env -S node --flag` and `env VAR=x node`: the first word that is neither an option nor a variable.
  const behindEnv = words.slice(1).find((word) => !word.startsWith("-") && !word.includes("="));
  const interpreterPath = (basename(words[0] ?? "") === "env" ? behindEnv : words[0]) ?? "";
  return { text, interpreter: basename(interpreterPath), interpreterPath };
}
