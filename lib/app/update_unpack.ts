/** Taking the program out of an archive: one plain file of the promised size, unpacked piece by piece, and nothing else. */
import type { Files } from "../core/ports.ts";
import { ARCHIVE_ENTRY } from "../core/release.ts";
import { paddedSize, readTarHeader, TAR_BLOCK } from "../core/tar_entry.ts";
import { UpdateError } from "../core/update_error.ts";

const CHUNK_BYTES = 256 * 1024;
/** What tar adds behind its last file; GNU tar fills up to 10 KiB. */
const MAX_TAIL = 64 * 1024;

/** `size`: of the program in bytes. Throws `UpdateError` `integrity` for everything that is not exactly that. */
export async function unpackProgram(
  files: Files,
  { archive, path, size, signal }: { archive: string; path: string; size: number; signal: AbortSignal },
): Promise<void> {
  const source = chunksOf(files, archive, signal).pipeThrough(new DecompressionStream("gzip"));
  const reader = source.getReader();
  try {
    await files.appendStream(path, programIn(reader, size), { signal });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof TypeError) throw damaged("it is not compressed as it should be", error);
    throw error;
  } finally {
    await reader.cancel().catch(() => {});
  }
}

type Reader = ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>;

async function* programIn(reader: Reader, size: number): AsyncGenerator<Uint8Array> {
  const input = new Input(reader);
  const header = headerIn(await input.take(TAR_BLOCK));
  if (header.kind !== "entry" || header.name !== ARCHIVE_ENTRY) throw damaged(`it does not hold ${ARCHIVE_ENTRY}`);
  if (header.size !== size) throw damaged("its program is not of the promised size");
  for (let left = size; left > 0;) {
    const chunk = await input.some(left);
    left -= chunk.length;
    yield chunk;
  }
  await input.take(paddedSize(size) - size);
  // The end: zeros, and not many of them.
  for (let tail = 0;;) {
    const chunk = await input.rest();
    if (!chunk) return;
    tail += chunk.length;
    if (tail > MAX_TAIL || chunk.some((byte) => byte !== 0)) throw damaged("it holds more than one file");
  }
}

function headerIn(block: Uint8Array): ReturnType<typeof readTarHeader> {
  try {
    return readTarHeader(block);
  } catch (error) {
    throw damaged((error as Error).message.replace(/^[^:]*: /, ""), error);
  }
}

function damaged(why: string, cause?: unknown): UpdateError {
  return new UpdateError("integrity", `Unpacking the archive failed: ${why}`, { cause });
}

class Input {
  #held: Uint8Array = new Uint8Array();
  constructor(private readonly reader: Reader) {}

  /** At least one byte, at most `most`. */
  async some(most: number): Promise<Uint8Array> {
    if (this.#held.length === 0) this.#held = await this.#next() ?? this.#ended();
    const chunk = this.#held.subarray(0, most);
    this.#held = this.#held.subarray(chunk.length);
    return chunk;
  }

  /** Exactly so many. */
  async take(count: number): Promise<Uint8Array> {
    const all = new Uint8Array(count);
    for (let at = 0; at < count;) {
      const chunk = await this.some(count - at);
      all.set(chunk, at);
      at += chunk.length;
    }
    return all;
  }

  /** What comes next, whatever it is; `undefined` at the end. */
  async rest(): Promise<Uint8Array | undefined> {
    const held = this.#held;
    this.#held = new Uint8Array();
    return held.length > 0 ? held : await this.#next();
  }

  async #next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const { done, value } = await this.reader.read();
      if (done) return undefined;
      if (value.length > 0) return value;
    }
  }

  #ended(): never {
    throw damaged("it ends in the middle");
  }
}

function chunksOf(files: Files, path: string, signal: AbortSignal): ReadableStream<Uint8Array<ArrayBuffer>> {
  let offset = 0;
  return new ReadableStream({
    async pull(controller) {
      signal.throwIfAborted();
      const chunk = await files.readRange(path, { offset, bytes: CHUNK_BYTES });
      offset += chunk.length;
      if (chunk.length > 0) controller.enqueue(chunk as Uint8Array<ArrayBuffer>);
      if (chunk.length < CHUNK_BYTES) controller.close();
    },
  });
}
