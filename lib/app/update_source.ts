/** The server of releases: which version is the newest, and what a release promises, believed once signature and sums agree. */
import { BUILD } from "../core/build_info.ts";
import type { Fetch } from "../core/ports.ts";
import {
  isReleaseVersion,
  latestVersionUrl,
  readSums,
  RELEASE_FILES,
  RELEASE_LIMITS,
  releaseFileUrl,
  type Target,
} from "../core/release.ts";
import { signerOf } from "../core/release_signature.ts";
import { UpdateError } from "../core/update_error.ts";
import { readReleaseManifest, type ReleaseBuild } from "../wire/release_manifest.ts";
import type { Host } from "../core/ports.ts";

const TEXT_MS = 30_000;

export interface SourcePorts {
  readonly clock: Host["clock"];
  readonly fetch: Fetch;
}

/** One release for this machine, as promised; its bytes have not been seen yet. */
export interface Offer {
  readonly version: string;
  readonly build: ReleaseBuild;
  readonly archiveUrl: string;
  /** Id of the key that signed it; `undefined` where none did that we accept. */
  readonly signer: string | undefined;
  readonly readableBy: string;
}

export interface Source {
  readonly base: string;
  readonly target: Target;
  readonly keys: readonly string[];
  readonly signal: AbortSignal;
}

/** `version`: that one; the newest when absent. Throws `UpdateError`. */
export async function findOffer(ports: SourcePorts, source: Source, version?: string): Promise<Offer> {
  const wanted = version ?? (await text(ports, source, latestVersionUrl(source.base), RELEASE_LIMITS.version)).trim();
  if (!isReleaseVersion(wanted)) {
    throw new UpdateError(
      "bad-release",
      `Looking for a release failed: ${JSON.stringify(wanted.slice(0, 40))} is no version`,
    );
  }
  const file = (name: string) => releaseFileUrl(source.base, wanted, name);
  const manifestText = await text(ports, source, file(RELEASE_FILES.manifest), RELEASE_LIMITS.manifest);
  const manifest = parse(manifestText);
  if (manifest.version !== wanted) {
    throw new UpdateError("bad-release", `Reading release ${wanted} failed: its manifest is of ${manifest.version}`);
  }
  const build = manifest.targets[source.target];
  if (!build) {
    const why = manifest.left_out[source.target] ?? "the release does not say why";
    throw new UpdateError("no-target", `Release ${wanted} has no drover for ${source.target}: ${why}`);
  }
  await compareSums(ports, source, { manifestText, build, url: file(RELEASE_FILES.sums) });
  const { signatures, sha256 } = build;
  return {
    version: wanted,
    build,
    archiveUrl: file(build.archive),
    signer: await signerOf({ version: wanted, target: source.target, sha256 }, signatures, source.keys),
    readableBy: manifest.state.readable_by,
  };
}

/** Throws `no-keys` or `signature` unless somebody we trust signed it, or a person goes by the sums alone. */
export function demandSignature(
  offer: Offer,
  { keys, checksumOnly }: { keys: readonly string[]; checksumOnly: boolean },
) {
  if (offer.signer !== undefined || (checksumOnly && keys.length === 0)) return;
  if (keys.length === 0) {
    throw new UpdateError(
      "no-keys",
      "Updating was refused: this build of drover knows no key to verify releases with",
      {
        hint: "drover update --checksum-only trusts the server of releases instead",
      },
    );
  }
  throw new UpdateError("signature", `Verifying release ${offer.version} failed: none of the accepted keys signed it`);
}

function parse(manifestText: string): ReturnType<typeof readReleaseManifest> {
  try {
    return readReleaseManifest(JSON.parse(manifestText));
  } catch (cause) {
    throw new UpdateError("bad-release", (cause as Error).message, { cause });
  }
}

async function compareSums(
  ports: SourcePorts,
  source: Source,
  { manifestText, build, url }: { manifestText: string; build: ReleaseBuild; url: string },
): Promise<void> {
  const sums = readSums(await text(ports, source, url, RELEASE_LIMITS.list));
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(manifestText));
  const manifest = new Uint8Array(digest).toHex();
  if (!sums || sums.get(RELEASE_FILES.manifest) !== manifest || sums.get(build.archive) !== build.sha256) {
    throw new UpdateError("integrity", `Verifying the release failed: ${RELEASE_FILES.sums} and the manifest differ`);
  }
}

async function text(ports: SourcePorts, source: Source, url: string, limit: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bodyOf(ports, url, { signal: source.signal, silenceMs: TEXT_MS })) {
    size += chunk.length;
    if (size > limit) throw new UpdateError("too-large", `Reading ${url} failed: it is larger than ${limit} bytes`);
    chunks.push(chunk);
  }
  return await new Blob(chunks as Uint8Array<ArrayBuffer>[]).text();
}

/**
 * The body of a file, from `offset` on where the server can do that, else from its beginning: `onStart` says which, before
 * the first chunk. Throws `network`, also when nothing comes for `silenceMs`.
 */
export async function* bodyOf(
  { clock, fetch }: SourcePorts,
  url: string,
  { signal, silenceMs, offset = 0, onStart }: {
    signal: AbortSignal;
    silenceMs: number;
    offset?: number;
    onStart?: (offset: number) => Promise<void>;
  },
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const cut = new AbortController();
  const leave = () => cut.abort(signal.reason);
  signal.addEventListener("abort", leave, { once: true });
  let quiet: Disposable | undefined;
  const listen = () => {
    quiet?.[Symbol.dispose]();
    quiet = clock.after(silenceMs, () => cut.abort());
  };
  let reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined;
  try {
    signal.throwIfAborted();
    listen();
    const headers = { "user-agent": `drover/${BUILD.version}`, ...(offset > 0 ? { range: `bytes=${offset}-` } : {}) };
    const response = await fetch(new Request(url, { headers, signal: cut.signal }));
    if (!response.ok || !response.body) {
      await response.body?.cancel().catch(() => {});
      throw new UpdateError("network", `Downloading ${url} failed: the server answered ${response.status}`);
    }
    await onStart?.(response.status === 206 && startsAt(response, offset) ? offset : 0);
    reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      listen();
      yield value;
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof UpdateError || !(error instanceof Error)) throw error;
    const why = cut.signal.aborted ? `nothing came for ${silenceMs / 1000} s` : reasonOf(error);
    throw new UpdateError("network", `Downloading ${url} failed: ${why}`, { cause: error });
  } finally {
    quiet?.[Symbol.dispose]();
    signal.removeEventListener("abort", leave);
    await reader?.cancel().catch(() => {});
  }
}

function startsAt(response: Response, offset: number): boolean {
  return response.headers.get("content-range")?.startsWith(`bytes ${offset}-`) ?? false;
}

function reasonOf(error: Error): string {
  const { cause } = error;
  return cause instanceof Error ? cause.message : error.message;
}
