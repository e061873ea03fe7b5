/** Makes all files of a release from its executables: archives, digests, signatures, lists, and their texts, laid out as served. */
import { createHash } from "node:crypto";
import { join } from "@std/path";
import {
  archiveName,
  type ArchiveSignature,
  formatSignatures,
  formatSums,
  isReleaseVersion,
  RELEASE_FILES,
  RELEASE_LIMITS,
  STATE_FORMAT,
  type Target,
} from "../lib/core/release.ts";
import { signerOf } from "../lib/core/release_signature.ts";
import { readReleaseManifest, type ReleaseBuild, type ReleaseManifest } from "../lib/wire/release_manifest.ts";
import { archiveOf } from "./release_archive.ts";
import type { SigningKey } from "./release_signing.ts";
import { formulaOf, installerWith } from "./release_texts.ts";

export interface ReleaseParts {
  readonly version: string;
  readonly commit: string;
  /** Seconds since 1970; stands wherever a time is wanted. */
  readonly time: number;
  /** The executables. */
  readonly programs: ReadonlyMap<Target, string>;
  readonly leftOut: ReadonlyMap<Target, string>;
  /** Each signs every archive. */
  readonly signers: readonly SigningKey[];
  /** Public keys that installer and program accept. */
  readonly keys: readonly string[];
  /** Address below which releases lie. */
  readonly base: string;
  /** install.sh before its keys and address are filled in. */
  readonly installer: string;
  readonly formula: string;
  readonly dependencies: string;
}

export interface ReleaseFile {
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
}

export interface MadeRelease {
  /** Where the files are, `ROOT/download/vVERSION`. */
  readonly folder: string;
  readonly files: readonly ReleaseFile[];
  readonly manifest: ReleaseManifest;
}

/**
 * Below `root`, which can be served as it is. An earlier try of the same version is replaced; the file that names the newest
 * version is written last. Throws before it writes when a signature would not be accepted.
 */
export async function makeRelease(root: string, parts: ReleaseParts): Promise<MadeRelease> {
  const { version } = parts;
  if (!isReleaseVersion(version)) throw new Error(`Cannot release "${version}": it is no version`);
  const archives = new Map<string, Uint8Array>();
  const signatures: ArchiveSignature[] = [];
  const targets: Partial<Record<Target, ReleaseBuild>> = {};
  for (const [target, path] of parts.programs) {
    const program = await Deno.readFile(path);
    const archive = archiveOf(program, parts.time);
    const name = archiveName(version, target);
    const build = await signed(parts, { target, archive, program });
    archives.set(name, archive);
    targets[target] = build;
    signatures.push(...build.signatures.map((one) => ({ ...one, archive: name })));
  }
  // Read back as everybody else will, so that no release goes out that its own readers refuse.
  const manifest = readReleaseManifest({
    schema: 1,
    name: "drover",
    version,
    commit: parts.commit,
    published_at: new Date(parts.time * 1_000).toISOString(),
    targets,
    left_out: Object.fromEntries(parts.leftOut),
    state: { writes: STATE_FORMAT.writes, readable_by: STATE_FORMAT.readableBy },
  });

  const utf8 = new TextEncoder();
  const files = new Map<string, Uint8Array>(archives);
  files.set(RELEASE_FILES.manifest, utf8.encode(JSON.stringify(manifest, null, 2) + "\n"));
  files.set(RELEASE_FILES.installer, utf8.encode(installerWith(parts.installer, parts)));
  const sums = new Map([...files].map(([name, content]) => [name, sha256(content)]));
  files.set(RELEASE_FILES.sums, utf8.encode(formatSums(sums)));
  files.set(RELEASE_FILES.signatures, utf8.encode(formatSignatures(signatures)));
  files.set(RELEASE_FILES.dependencies, utf8.encode(parts.dependencies));
  files.set(RELEASE_FILES.formula, utf8.encode(formulaOf(parts.formula, { manifest, base: parts.base })));
  files.set(RELEASE_FILES.version, utf8.encode(`${version}\n`));

  const folder = join(root, "download", `v${version}`);
  await Deno.remove(folder, { recursive: true }).catch(ignoreMissing);
  await writeAll(folder, files);
  const newest = [RELEASE_FILES.installer, RELEASE_FILES.manifest, RELEASE_FILES.version];
  await writeAll(join(root, "latest", "download"), new Map(newest.map((name) => [name, files.get(name)!])));
  const listed = [...files].map(([name, content]) => ({ name, size: content.length, sha256: sha256(content) }));
  return { folder, files: listed, manifest };
}

async function signed(
  { version, signers, keys }: ReleaseParts,
  { target, archive, program }: { target: Target; archive: Uint8Array; program: Uint8Array },
): Promise<ReleaseBuild> {
  const name = archiveName(version, target);
  if (archive.length > RELEASE_LIMITS.archive || program.length > RELEASE_LIMITS.binary) {
    throw new Error(`Cannot release ${name}: it is larger than installers and updaters accept`);
  }
  const release = { version, target, sha256: sha256(archive) };
  const signatures = signers.map((signer) => ({ key: signer.id, signature: signer.sign(release) }));
  // By each of them alone: either may be the only one that an older installation knows.
  for (const [i, { id }] of signers.entries()) {
    if (await signerOf(release, [signatures[i]!], keys) !== id) {
      throw new Error(`Cannot sign ${name} with key ${id}: it is not among the keys that the program accepts`);
    }
  }
  return {
    archive: name,
    size: archive.length,
    sha256: release.sha256,
    binary_sha256: sha256(program),
    binary_size: program.length,
    signatures,
  };
}

async function writeAll(folder: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  for (const [name, content] of files) await Deno.writeFile(join(folder, name), content);
}

function sha256(content: Uint8Array): string {
  return createHash("sha256").update(content).digest("hex");
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
