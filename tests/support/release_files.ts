/** Releases made for tests: small programs in archives, with the lists and signatures that real releases have. */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { dirname, join } from "@std/path";
import {
  ARCHIVE_ENTRY,
  archiveName,
  formatSignatures,
  formatSums,
  RELEASE_FILES,
  type SignedRelease,
  signedText,
  type Target,
  targetOfTriple,
} from "../../lib/core/release.ts";
import { keyIdOf } from "../../lib/core/release_signature.ts";

/** A signing key that lives as long as a test. */
export interface TestKey {
  readonly id: string;
  /** 32 raw bytes in base64. */
  readonly publicKey: string;
  sign(release: SignedRelease): Promise<string>;
}

export async function makeTestKey(): Promise<TestKey> {
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]) as CryptoKeyPair;
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)).toBase64();
  return {
    id: await keyIdOf(publicKey),
    publicKey,
    async sign(release) {
      const text = new TextEncoder().encode(signedText(release));
      return new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, text)).toBase64();
    },
  };
}

/** Of the machine that runs the tests. */
export function hostTarget(): Target {
  const target = targetOfTriple(Deno.build.target);
  if (!target) throw new Error(`Cannot make a release for ${Deno.build.target}`);
  return target;
}

/** A program that says its version as drover does and otherwise does what `body` says (a shell script, `$1` the verb). */
export function fakeProgram(version: string, body = ""): Uint8Array<ArrayBuffer> {
  const said = JSON.stringify({ schemaVersion: 1, ok: true, version, protocol: 1 });
  const script = `#!/bin/sh
case "$*" in
  "version --json" | "--json version") echo '${said}'; exit 0 ;;
  version) echo 'drover ${version} (fake)'; exit 0 ;;
esac
${body}
`;
  return new TextEncoder().encode(script);
}

export interface TarEntry {
  readonly name: string;
  readonly body?: Uint8Array;
  readonly mode?: number;
  /** POSIX type flag: `0` a file (default), `1` a hard link, `2` a symbolic link, `5` a directory. */
  readonly type?: "0" | "1" | "2" | "5";
  readonly target?: string;
}

/** Any tar archive, also such as no honest program makes. */
export function tarOf(entries: readonly TarEntry[]): Uint8Array<ArrayBuffer> {
  const blocks: Uint8Array[] = [];
  for (const { name, body = new Uint8Array(), mode = 0o755, type = "0", target = "" } of entries) {
    const header = new Uint8Array(512);
    const put = (at: number, text: string) => header.set(new TextEncoder().encode(text), at);
    const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
    put(0, name);
    put(100, octal(mode, 7));
    put(108, octal(0, 7));
    put(116, octal(0, 7));
    put(124, octal(body.length, 11));
    put(136, octal(0, 11));
    put(148, " ".repeat(8));
    put(156, type);
    put(157, target);
    put(257, "ustar\u000000");
    put(148, octal(header.reduce((sum, byte) => sum + byte, 0), 6) + "\u0000 ");
    blocks.push(header, body, new Uint8Array((512 - body.length % 512) % 512));
  }
  blocks.push(new Uint8Array(1024));
  return joined(blocks);
}

export async function gzipOf(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(
    await new Response(new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer(),
  );
}

/** An archive of a whole program. It is not made small: that takes seconds, and is not what is tried with it. */
export function archiveOfWhole(program: Uint8Array): Uint8Array {
  return gzipSync(tarOf([{ name: ARCHIVE_ENTRY, body: program }]), { level: 0 });
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export interface MadeRelease {
  readonly version: string;
  readonly target: Target;
  /** Name of the archive. */
  readonly archive: string;
  /** SHA-256 of the archive. */
  readonly sha256: string;
  /** SHA-256 of the program. */
  readonly binarySha256: string;
}

export interface ReleaseOptions {
  readonly version: string;
  /** Default: a fake program of that version. */
  readonly program?: Uint8Array<ArrayBuffer>;
  /** All that sign it. */
  readonly keys: readonly TestKey[];
  /** Default: of this machine. */
  readonly target?: Target;
  /** Another archive than the one with the program. */
  readonly archive?: Uint8Array;
  /** Whether it becomes the newest; default true. */
  readonly latest?: boolean;
  /** The oldest version that reads the state this one writes; default 0.1.0. */
  readonly readableBy?: string;
}

/** Adds a release to a directory that a release server serves. */
export async function addRelease(directory: string, options: ReleaseOptions): Promise<MadeRelease> {
  const { version, keys, target = hostTarget(), latest = true, readableBy = "0.1.0" } = options;
  const program = options.program ?? fakeProgram(version);
  const archive = options.archive ?? await gzipOf(tarOf([{ name: ARCHIVE_ENTRY, body: program }]));
  const name = archiveName(version, target);
  const sha256 = sha256Of(archive);
  const binarySha256 = sha256Of(program);
  const signatures = await Promise.all(keys.map(async (key) => ({
    key: key.id,
    signature: await key.sign({ version, target, sha256 }),
  })));
  const manifest = `${
    JSON.stringify(
      {
        schema: 1,
        name: "drover",
        version,
        commit: "0123456789ab",
        published_at: "2026-01-02T03:04:05Z",
        targets: {
          [target]: {
            archive: name,
            size: archive.length,
            sha256,
            binary_sha256: binarySha256,
            binary_size: program.length,
            signatures,
          },
        },
        left_out: {},
        state: { writes: 1, readable_by: readableBy },
      },
      null,
      2,
    )
  }\n`;
  const files: Readonly<Record<string, string | Uint8Array>> = {
    [name]: archive,
    [RELEASE_FILES.manifest]: manifest,
    [RELEASE_FILES.sums]: formatSums(
      new Map([[name, sha256], [RELEASE_FILES.manifest, sha256Of(new TextEncoder().encode(manifest))]]),
    ),
    [RELEASE_FILES.signatures]: formatSignatures(signatures.map((one) => ({ ...one, archive: name }))),
    [RELEASE_FILES.version]: `${version}\n`,
  };
  for (const [file, content] of Object.entries(files)) {
    await put(join(directory, "download", `v${version}`, file), content);
  }
  if (latest) {
    const newest = join(directory, "latest", "download");
    await put(join(newest, RELEASE_FILES.version), `${version}\n`);
    await put(join(newest, RELEASE_FILES.manifest), manifest);
  }
  return { version, target, archive: name, sha256, binarySha256 };
}

async function put(path: string, content: string | Uint8Array): Promise<void> {
  await Deno.mkdir(dirname(path), { recursive: true });
  // Not Deno.writeFile(), which takes several times as long for a whole program.
  if (typeof content === "string") await Deno.writeTextFile(path, content);
  else Deno.writeFileSync(path, content);
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
