/** Makes a release of the commit that is checked out and publishes it; `--dry-run` makes all of it and publishes nothing. */
import { dirname, join, resolve } from "@std/path";
import { parseArgs } from "@std/cli/parse-args";
import { isReleaseVersion, type Target, TARGET_NAMES, targetOfTriple } from "../lib/core/release.ts";
import { buildTargets, readSource } from "./build.ts";
import { capture, runScript } from "./command.ts";
import { targetOfExecutable } from "./executable.ts";
import { BINARY, ROOT } from "./project.ts";
import { dependencyList } from "./release_dependencies.ts";
import { type MadeRelease, makeRelease } from "./release_files.ts";
import { publish, publishCommands } from "./release_publish.ts";
import { newKey, releaseKeys, type SigningKey, signingKeys } from "./release_signing.ts";
import { readSourceTime } from "./version.ts";

const USAGE = "Use: release.ts [--dry-run] [--out DIR] [--binaries DIR] [--key FILE …] [--base URL]";
/** Of a dry run that is given none: where a server of `dist/release` could be. */
const TRIAL_BASE = "http://127.0.0.1:8080";

export interface ReleaseOptions {
  readonly dryRun: boolean;
  /** Where the files go; `dist/release` unless told otherwise. */
  readonly out?: string | undefined;
  /** Executables made elsewhere, as `DIR/TARGET/drover`; those that are missing are left out. Built here without it. */
  readonly binaries?: string | undefined;
  /** Files with private keys; those of `DROVER_RELEASE_KEY` otherwise. */
  readonly keyFiles: readonly string[];
  /** Address below which releases lie; that of `DROVER_RELEASES_URL` otherwise. */
  readonly base?: string | undefined;
}

/** Everything but publishing. Throws, unless it is a dry run, for what must not go to people. */
export async function prepare(options: ReleaseOptions): Promise<MadeRelease> {
  const { dryRun } = options;
  const out = options.out ?? join(dirname(BINARY), "release");
  const base = options.base || Deno.env.get("DROVER_RELEASES_URL") || (dryRun ? TRIAL_BASE : "");
  const { version, commit } = await readSource();
  if (!dryRun && !isTagged(version)) {
    throw new Error(`Cannot release ${version}: check out a tag vX.Y.Z without changes, or try it with --dry-run`);
  }
  if (!base) throw new Error("Cannot release without the address of the releases: give --base or DROVER_RELEASES_URL");

  const { signers, keys, ofThisRun } = await chooseKeys(options);
  const { programs, leftOut, cleanUp } = options.binaries
    ? await given(resolve(options.binaries))
    : await builtHere(out, { keys, releases: base });
  try {
    if (!dryRun && leftOut.size > 0) {
      throw new Error(
        `Cannot release without ${[...leftOut.keys()].join(" and ")}: ${[...leftOut.values()].join("; ")}`,
      );
    }
    if (programs.size === 0) throw new Error(`Cannot release without any executable: ${[...leftOut.values()][0]}`);
    // What was made elsewhere knows nothing of a key that is made here.
    const known = ofThisRun && options.binaries ? [] : keys;
    for (const [target, path] of programs) await check(target, path, { version, keys: known, dryRun });
    const time = await readSourceTime();
    return await makeRelease(out, {
      ...{ version, commit, time, programs, leftOut, signers, keys, base },
      installer: await Deno.readTextFile(join(ROOT, "install.sh")),
      formula: await Deno.readTextFile(join(ROOT, "packaging", "drover.rb.template")),
      dependencies: await dependencyList({ version, time, runtime: await runtimeOf(programs) }),
    });
  } finally {
    await cleanUp();
  }
}

function isTagged(version: string): boolean {
  return isReleaseVersion(version) && !version.includes("+") && !version.endsWith("-dev");
}

/** A dry run without a key signs with one that nobody keeps, so that the rest can be seen. */
async function chooseKeys(
  { dryRun, keyFiles }: ReleaseOptions,
): Promise<{ signers: readonly SigningKey[]; keys: readonly string[]; ofThisRun?: boolean }> {
  const accepted = await releaseKeys();
  const signers = await signingKeys(keyFiles);
  // No program that is run from here on has a use for it.
  Deno.env.delete("DROVER_RELEASE_KEY");
  if (signers.length === 0) {
    if (!dryRun) throw new Error("Cannot release without a private key: give --key FILE or DROVER_RELEASE_KEY");
    const made = await newKey();
    console.error(`no private key given: signing with key ${made.id}, which is made for this run and thrown away`);
    return { signers: [made], keys: [made.publicKey], ofThisRun: true };
  }
  if (accepted.length > 0) return { signers, keys: accepted };
  if (!dryRun) {
    throw new Error(
      "Cannot release a program that accepts no key: fill lib/core/release_keys.ts or DROVER_RELEASE_KEYS",
    );
  }
  return { signers, keys: signers.map(({ publicKey }) => publicKey) };
}

interface Programs {
  readonly programs: ReadonlyMap<Target, string>;
  readonly leftOut: ReadonlyMap<Target, string>;
  readonly cleanUp: () => Promise<void>;
}

async function given(folder: string): Promise<Programs> {
  const programs = new Map<Target, string>();
  const leftOut = new Map<Target, string>();
  for (const target of TARGET_NAMES) {
    const path = join(folder, target, "drover");
    const there = await Deno.stat(path).then(({ isFile }) => isFile, () => false);
    if (there) programs.set(target, path);
    else leftOut.set(target, "its executable was not given");
  }
  return { programs, leftOut, cleanUp: () => Promise.resolve() };
}

async function builtHere(
  out: string,
  options: { readonly keys: readonly string[]; readonly releases: string },
): Promise<Programs> {
  await Deno.mkdir(out, { recursive: true });
  const work = await Deno.makeTempDir({ dir: out, prefix: ".programs-" });
  const cleanUp = () => Deno.remove(work, { recursive: true });
  try {
    const { built, leftOut } = await buildTargets(work, TARGET_NAMES, options);
    return {
      programs: new Map(built.map((target) => [target, join(work, target, "drover")])),
      leftOut: new Map(leftOut.map(({ target, reason }) => [target, reason])),
      cleanUp,
    };
  } catch (error) {
    await cleanUp();
    throw error;
  }
}

/** An executable made elsewhere may be of another commit, for another machine, or know other keys. */
async function check(
  target: Target,
  path: string,
  { version, keys, dryRun }: { version: string; keys: readonly string[]; dryRun: boolean },
): Promise<void> {
  const found = await targetOfExecutable(path);
  if (found !== target) throw new Error(`Cannot release ${path} for ${target}: it is for ${found ?? "no target"}`);
  const content = new TextDecoder("latin1").decode(await Deno.readFile(path));
  for (const text of [version, ...keys]) {
    if (content.includes(JSON.stringify(text))) continue;
    throw new Error(`Cannot release ${path}: ${text} is not in it, so it comes from another build`);
  }
  if (target !== targetOfTriple(Deno.build.target)) return;
  const told = await toldBy(path);
  if (told.version !== version) throw new Error(`Cannot release ${path}: it calls itself ${told.version}`);
  if (told.localBuild && !dryRun) {
    throw new Error(`Cannot release ${path}: it is a local build, over a runtime that is not Deno's own`);
  }
}

/** What a program says of itself, without a home. */
async function toldBy(program: string) {
  return JSON.parse(await capture([program, "version", "--json"], { env: { DROVER_HOME: "/nonexistent" } }));
}

/** As one of them tells that runs here; the running Deno's otherwise. */
async function runtimeOf(programs: ReadonlyMap<Target, string>): Promise<string> {
  const host = targetOfTriple(Deno.build.target);
  const path = host && programs.get(host);
  if (!path) return Deno.version.deno;
  const told = await toldBy(path);
  return String(told.runtime).replace(/^deno /, "");
}

function describe(release: MadeRelease): string {
  const { manifest, files, folder } = release;
  const lines = [`drover ${manifest.version}, commit ${manifest.commit || "unknown"}, in ${folder}`];
  for (const { name, size, sha256 } of files) {
    lines.push(`  ${sha256.slice(0, 16)}  ${size.toLocaleString("en").padStart(12)}  ${name}`);
  }
  const signedBy = new Set(Object.values(manifest.targets).flatMap((build) => build.signatures.map(({ key }) => key)));
  lines.push(`signed by ${[...signedBy].join(" and ")}`);
  for (const [target, reason] of Object.entries(manifest.left_out)) lines.push(`left out ${target}: ${reason}`);
  return lines.join("\n");
}

if (import.meta.main) {
  await runScript(async () => {
    const args = parseArgs(Deno.args, {
      boolean: ["dry-run"],
      string: ["out", "binaries", "key", "base"],
      collect: ["key"],
      unknown: (arg) => {
        throw new Error(`Cannot understand "${arg}". ${USAGE}`);
      },
    });
    const text = (value: unknown) => typeof value === "string" && value !== "" ? value : undefined;
    const options: ReleaseOptions = {
      dryRun: args["dry-run"] === true,
      out: text(args.out) && resolve(String(args.out)),
      binaries: text(args.binaries),
      keyFiles: [args.key ?? []].flat().map(String),
      base: text(args.base),
    };
    const release = await prepare(options);
    console.log(describe(release));
    if (options.dryRun) {
      const shown = publishCommands(release).map((command) =>
        command.map((word) => word.startsWith(release.folder) ? word.slice(release.folder.length + 1) : word).join(" ")
      );
      console.log(`dry run: nothing is published. In the folder this would run:\n  ${shown.join("\n  ")}`);
      return 0;
    }
    await publish(release);
    console.log(`published v${release.manifest.version}`);
    return 0;
  });
}
