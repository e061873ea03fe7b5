/** Where drover is installed: the layout that install.sh, the updater and uninstall share, and which program is ours to replace. */
import { type Checks, isInteger, isListOf, isName, isText, pick } from "./fields.ts";
import { isReleaseVersion, isSha256 } from "./release.ts";

export interface Installation {
  readonly root: string;
  /** A directory for each release, never changed once it has its name. */
  readonly releases: string;
  /** A link to one of them, replaced by a rename, never removed while drover is installed. */
  readonly current: string;
  /** 0700. Each who stages something makes a name of its own here; `install.*` is install.sh's. */
  readonly staging: string;
  /** The turns of those who change the installation (`install_lock.ts` of the app, and install.sh). Never deleted. */
  readonly lockDirectory: string;
  /** Who holds the turn among programs that can use flock. Never deleted. */
  readonly lockFile: string;
  /** Written last, so that an installation without it is half done. */
  readonly record: string;
  /** Trial, quarantine and schedule of updates. */
  readonly updates: string;
}

/** The name of the executable in a release, and of the link by which people call it. */
export const PROGRAM = "drover";

export function installationAt(root: string): Installation {
  const at = (name: string) => `${root}/${name}`;
  return {
    root,
    releases: at("releases"),
    current: at("current"),
    staging: at("staging"),
    lockDirectory: at("install.lock.d"),
    lockFile: at("install.lock"),
    record: at("install.json"),
    updates: at("update.json"),
  };
}

export interface ReleaseId {
  readonly version: string;
  /** The first twelve hex digits of the SHA-256 of the executable. */
  readonly digest: string;
}

const DIGEST_LENGTH = 12;

/** The directory of a release in `releases`. `sha256`: of the executable. */
export function releaseName(version: string, sha256: string): string {
  return `${version}-${sha256.slice(0, DIGEST_LENGTH)}`;
}

/** What a directory name in `releases` says; `undefined` for what is not a release. */
export function releaseOfName(name: string): ReleaseId | undefined {
  const [, version, digest] = /^(.+)-([0-9a-f]{12})$/.exec(name) ?? [];
  if (version === undefined || digest === undefined || !isReleaseVersion(version)) return undefined;
  return { version, digest };
}

/** The executable of a release. */
export function releaseProgram(installation: Installation, name: string): string {
  return `${installation.releases}/${name}/${PROGRAM}`;
}

/** By this path whatever is current is started. */
export function currentProgram(installation: Installation): string {
  return `${installation.current}/${PROGRAM}`;
}

/** What the pointer's link says for a release: relative, so that the whole installation may be moved. */
export function pointerTo(name: string): string {
  return `releases/${name}`;
}

/** The release that a pointer's text leads to; `undefined` for a link that drover would not have made. */
export function releaseOfPointer(text: string): string | undefined {
  const [, name] = /^releases\/([^/]+)$/.exec(text) ?? [];
  return name !== undefined && releaseOfName(name) ? name : undefined;
}

/** Who may replace a program. */
export type Owner =
  /** Ours: one of the releases of an installation. */
  | { readonly kind: "drover"; readonly installation: Installation; readonly name: string; readonly release: ReleaseId }
  | { readonly kind: "homebrew" }
  | { readonly kind: "source" }
  /** Built here, not released; or put where it is by a person or another package manager. */
  | { readonly kind: "development" }
  | { readonly kind: "other"; readonly path: string };

/**
 * `path`: of the executable with every link followed. `compiled`: false when run from source. `released`: false for a build
 * that is not for passing on.
 */
export function ownerOf(path: string, program: { readonly compiled: boolean; readonly released: boolean }): Owner {
  if (!program.compiled) return { kind: "source" };
  const [, root, name] = /^(\/.+)\/releases\/([^/]+)\/drover$/.exec(path) ?? [];
  const release = name === undefined ? undefined : releaseOfName(name);
  if (root !== undefined && name !== undefined && release) {
    return { kind: "drover", installation: installationAt(root), name, release };
  }
  if (path.includes("/Cellar/drover/")) return { kind: "homebrew" };
  return program.released ? { kind: "other", path } : { kind: "development" };
}

/** What install.json holds. */
export interface InstallRecord {
  readonly schema: number;
  /** Who installed: `install.sh` or `drover update`. */
  readonly by: string;
  readonly version: string;
  /** SHA-256 of the executable. */
  readonly digest: string;
  /** SHA-256 of the archive it came in; empty when that is not known. */
  readonly archive: string;
  /** ISO 8601. */
  readonly installed_at: string;
  /** The link by which people call it; empty when there is none. */
  readonly link: string;
  /** A shell's file to which a line was added; empty when there is none. */
  readonly shell_file: string;
  /** Ids of the keys whose signature was verified; empty when none was. */
  readonly keys: readonly string[];
}

const RECORD: Checks<InstallRecord> = {
  schema: isInteger,
  by: isName,
  version: (value): value is string => isText(value) && isReleaseVersion(value),
  digest: (value): value is string => isText(value) && isSha256(value),
  archive: isText,
  installed_at: isText,
  link: isText,
  shell_file: isText,
  keys: isListOf(isText),
};

/** The record, or `undefined` for a text that is none: the installation is then to be repaired by installing again. */
export function readInstallRecord(text: string): InstallRecord | undefined {
  try {
    const picked = pick(JSON.parse(text), RECORD);
    return "value" in picked ? picked.value : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** One member a line: install.sh reads it with sed. */
export function formatInstallRecord(record: InstallRecord): string {
  const members = Object.entries(record).map(([name, value]) => `  ${JSON.stringify(name)}: ${JSON.stringify(value)}`);
  return `{\n${members.join(",\n")}\n}\n`;
}

/** The end of every line that install.sh adds to a shell's file, by which it is found again. */
export const SHELL_LINE_MARK = "# added by the drover installer";

export interface InstallationSight {
  /** Text of the pointer; `undefined` when there is none. */
  readonly pointer: string | undefined;
  /** SHA-256 of the executable the pointer leads to; `undefined` when there is none. */
  readonly digest: string | undefined;
  /** Text of install.json; `undefined` when there is none. */
  readonly record: string | undefined;
}

export type InstallationState =
  | { readonly kind: "none" }
  | { readonly kind: "whole"; readonly name: string; readonly release: ReleaseId; readonly record: InstallRecord }
  /** Something is there, but not all of it: installing again mends it. */
  | { readonly kind: "broken"; readonly why: string };

/** A damaged installation is another thing than none: somebody wants drover there. */
export function judgeInstallation({ pointer, digest, record }: InstallationSight): InstallationState {
  if (pointer === undefined && record === undefined) return { kind: "none" };
  if (pointer === undefined) return { kind: "broken", why: "there is no current release" };
  const name = releaseOfPointer(pointer);
  const release = name === undefined ? undefined : releaseOfName(name);
  if (name === undefined || !release) {
    return { kind: "broken", why: `current leads to ${pointer}, which is no release` };
  }
  if (digest === undefined) return { kind: "broken", why: `the program of ${name} is gone` };
  if (!digest.startsWith(release.digest)) return { kind: "broken", why: `the program of ${name} was changed` };
  const read = record === undefined ? undefined : readInstallRecord(record);
  if (!read) return { kind: "broken", why: record === undefined ? "install.json is gone" : "install.json is damaged" };
  return { kind: "whole", name, release, record: read };
}

/** Releases that nobody needs: not among `kept` (current, last good, and what processes run from). */
export function releasesToRemove(names: readonly string[], kept: readonly string[]): readonly string[] {
  return names.filter((name) => releaseOfName(name) !== undefined && !kept.includes(name));
}

/**
 * The turns of those who change an installation, as links in its lock directory: the name is a number, the text says who has
 * that turn, and a second link `<number>.done` that it is over. The highest number counts; the next may be made by anyone once
 * that turn is done or its owner dead. Making a link succeeds for one alone, and a turn that is over stays over, so that two
 * who find the same dead owner do not both come after it.
 */
export interface Turn {
  readonly number: number;
  readonly pid: number;
  /** What tells that process from others with its pid, as `ProcessIdentity.startTicks` on Linux; `0` where a shell cannot tell. */
  readonly ticks: string;
}

export function turnText(pid: number, ticks: string): string {
  return `${pid}-${ticks}`;
}

/** `undefined` for a text that no turn has: whoever made it is not waited for. */
export function readTurn(number: number, text: string): Turn | undefined {
  const [, pid, ticks] = /^([1-9]\d{0,9})-(\d+)$/.exec(text) ?? [];
  return pid === undefined || ticks === undefined ? undefined : { number, pid: Number(pid), ticks };
}

/** The highest turn that was ever taken, 0 for none, and whether it is marked as done. `names`: of the lock directory. */
export function latestTurn(names: readonly string[]): { readonly number: number; readonly done: boolean } {
  const numbers = names.filter((name) => /^[1-9]\d{0,8}$/.test(name)).map(Number);
  const number = Math.max(0, ...numbers);
  return { number, done: number === 0 || names.includes(`${number}.done`) };
}
