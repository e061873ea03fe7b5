/** What a release is made of: targets, file names, addresses, the text that is signed, and the lists beside the archives. */

/** Name of a target in file names, and the triple by which Deno knows it. */
export const TARGETS = {
  "linux-x86_64": "x86_64-unknown-linux-gnu",
  "linux-aarch64": "aarch64-unknown-linux-gnu",
  "macos-x86_64": "x86_64-apple-darwin",
  "macos-aarch64": "aarch64-apple-darwin",
} as const;

export type Target = keyof typeof TARGETS;

export const TARGET_NAMES: readonly Target[] = Object.keys(TARGETS) as Target[];

export function isTarget(name: string): name is Target {
  return Object.hasOwn(TARGETS, name);
}

/** `undefined` for a triple that no release is made for, and for the empty one of a program run from source. */
export function targetOfTriple(triple: string): Target | undefined {
  return TARGET_NAMES.find((name) => TARGETS[name] === triple);
}

/** The files of a release besides its archives. */
export const RELEASE_FILES = {
  sums: "SHA256SUMS",
  signatures: "SIGNATURES",
  manifest: "manifest.json",
  dependencies: "dependencies.json",
  installer: "install.sh",
  version: "VERSION",
  formula: "drover.rb",
} as const;

/** The one entry of an archive. */
export const ARCHIVE_ENTRY = "drover";

/** Bytes beyond which something that calls itself part of a release is refused unread. */
export const RELEASE_LIMITS = {
  archive: 256 * 1024 * 1024,
  binary: 512 * 1024 * 1024,
  manifest: 1024 * 1024,
  list: 64 * 1024,
  version: 256,
} as const;

/**
 * What releases from these sources write to disk: `writes` goes up when its form changes, and `readableBy` is the oldest
 * version that can still use it, so that going back further is refused before it is tried.
 */
export const STATE_FORMAT = { writes: 1, readableBy: "0.1.0" } as const;

const VERSION =
  /^(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})(-[0-9A-Za-z]+([.-][0-9A-Za-z]+)*)?(\+[0-9A-Za-z]+([.-][0-9A-Za-z]+)*)?$/;

/** A bare version without a `v`, safe as part of a file name and of an address. */
export function isReleaseVersion(text: string): boolean {
  return text.length <= 64 && VERSION.test(text);
}

export function archiveName(version: string, target: Target): string {
  return `drover-${version}-${target}.tar.gz`;
}

/** Of the file that says which version is the newest; `base` may end in a slash. */
export function latestVersionUrl(base: string): string {
  return `${withoutSlash(base)}/latest/download/${RELEASE_FILES.version}`;
}

export function releaseFileUrl(base: string, version: string, file: string): string {
  return `${withoutSlash(base)}/download/v${version}/${file}`;
}

function withoutSlash(base: string): string {
  return base.replace(/\/+$/, "");
}

export interface SignedRelease {
  readonly version: string;
  readonly target: Target;
  /** Of the archive, 64 lower-case hex digits. */
  readonly sha256: string;
}

/** Exactly what a signature is over; all three, so that an old archive or that of another machine passes for no other. */
export function signedText({ version, target, sha256 }: SignedRelease): string {
  return `drover-release-v1\n${version}\n${target}\n${sha256}\n`;
}

export function isSha256(text: string): boolean {
  return /^[0-9a-f]{64}$/.test(text);
}

/** A file name that leads nowhere else. */
function isPlainName(text: string): boolean {
  return text.length <= 128 && /^[0-9A-Za-z][0-9A-Za-z._+-]*$/.test(text);
}

/** SHA-256 by file name, as the tool `sha256sum` writes and reads it. */
export type Sums = ReadonlyMap<string, string>;

export function formatSums(sums: Sums): string {
  return [...sums].map(([name, sha256]) => `${sha256}  ${name}\n`).join("");
}

/** `undefined` unless every line is a sum and a plain name, no name twice: a list that is damaged anywhere is no list. */
export function readSums(text: string): Sums | undefined {
  const sums = new Map<string, string>();
  const lines = text.split("\n").map((line) => line.replace(/\r$/, "")).filter((line) => line !== "");
  for (const line of lines) {
    const found = /^([0-9a-f]{64}) [ *](\S+)$/.exec(line);
    if (!found?.[1] || !found[2] || !isPlainName(found[2]) || sums.has(found[2])) return undefined;
    sums.set(found[2], found[1]);
  }
  return sums;
}

export interface ArchiveSignature {
  /** Key id: 16 lower-case hex digits. */
  readonly key: string;
  /** 64 bytes in base64. */
  readonly signature: string;
  readonly archive: string;
}

/** For install.sh, which reads it with `read`: programs have the signatures from the manifest. */
export function formatSignatures(signatures: readonly ArchiveSignature[]): string {
  return signatures.map(({ key, signature, archive }) => `${key}  ${signature}  ${archive}\n`).join("");
}

export function isKeyId(text: string): boolean {
  return /^[0-9a-f]{16}$/.test(text);
}

/** 64 bytes in base64 by form. */
export function isSignature(text: string): boolean {
  return /^[0-9A-Za-z+/]{86}==$/.test(text);
}

/** 32 bytes in base64 by form. */
export function isPublicKey(text: string): boolean {
  return /^[0-9A-Za-z+/]{43}=$/.test(text);
}
