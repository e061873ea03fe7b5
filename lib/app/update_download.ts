/** Getting the archive of a release: within limits of size, time and attempts, going on where the last attempt ended. */
import { type Files, type Host, HostError } from "../core/ports.ts";
import { UpdateError } from "../core/update_error.ts";
import { bodyOf, type Offer, type SourcePorts } from "./update_source.ts";

const DOWNLOAD = { attempts: 3, totalMs: 15 * 60_000, silenceMs: 30_000, pauseMs: 1_000 } as const;

export interface DownloadOptions {
  readonly offer: Offer;
  /** What is there already is gone on with. */
  readonly path: string;
  readonly signal: AbortSignal;
  /** Bytes that are there, of all. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly limits?: Partial<Record<keyof typeof DOWNLOAD, number>>;
}

/** When it returns the file has the promised bytes. Throws `UpdateError`; a file with others is removed. */
export async function downloadArchive(
  ports: SourcePorts & Pick<Host, "files" | "fingerprints">,
  options: DownloadOptions,
): Promise<void> {
  const { clock, files, fingerprints } = ports;
  const { offer: { version, build }, path, signal } = options;
  const limits = { ...DOWNLOAD, ...options.limits };
  const deadline = clock.monotonic() + limits.totalMs;
  for (let attempt = 1;; attempt++) {
    try {
      await fetchRest(ports, { ...options, silenceMs: limits.silenceMs, deadline });
      const size = await sizeOf(files, path);
      if (size === build.size) break;
      throw new UpdateError(
        "network",
        `Downloading ${build.archive} failed: it ended after ${size} of ${build.size} bytes`,
      );
    } catch (error) {
      if (signal.aborted || !(error instanceof UpdateError) || error.fault !== "network") throw error;
      if (attempt >= limits.attempts || clock.monotonic() >= deadline) throw error;
      await clock.sleep(limits.pauseMs * attempt, { signal });
    }
  }
  const digest = await fingerprints.hashFile(path, { signal });
  if (digest === build.sha256) return;
  await files.remove(path);
  throw new UpdateError("integrity", `Verifying release ${version} failed: ${build.archive} is not what was signed`);
}

async function fetchRest(
  ports: SourcePorts & Pick<Host, "files">,
  { offer: { build, archiveUrl }, path, signal, onProgress, silenceMs, deadline }: DownloadOptions & {
    silenceMs: number;
    deadline: number;
  },
): Promise<void> {
  const { files, clock } = ports;
  const offset = await sizeOf(files, path);
  // More than there should be is of another release, or of nobody.
  if (offset > build.size) await files.remove(path);
  if (offset === build.size) return;
  let done = offset > build.size ? 0 : offset;
  const body = bodyOf(ports, archiveUrl, {
    signal,
    silenceMs,
    offset: done,
    async onStart(from) {
      if (from === 0 && done > 0) await files.remove(path);
      done = from;
    },
  });
  // Opened only once the server has said where it begins.
  const first = await body.next();
  if (first.done) return;
  async function* counted() {
    for (let next: typeof first = first; !next.done; next = await body.next()) {
      done += next.value.length;
      if (done > build.size) throw new UpdateError("integrity", `Downloading ${build.archive} failed: it is too large`);
      if (clock.monotonic() >= deadline) {
        throw new UpdateError("network", `Downloading ${build.archive} failed: it takes too long`);
      }
      onProgress?.(done, build.size);
      yield next.value;
    }
  }
  try {
    await files.appendStream(path, counted(), { signal });
  } finally {
    await body.return(undefined);
  }
}

async function sizeOf(files: Files, path: string): Promise<number> {
  try {
    return (await files.stat(path))?.size ?? 0;
  } catch (error) {
    if (error instanceof HostError) return 0;
    throw error;
  }
}
