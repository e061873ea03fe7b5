/** Bytes to lines: split on LF only, fast, and with a bound on what one line may take of our memory. */

/** 32 MiB: no agent's own line is longer, and a runaway one must not take the machine down. */
export const MAX_LINE_BYTES = 32 * 1024 * 1024;

/** In place of a line that was longer than the cap; its bytes were dropped as they came. */
export interface TooLong {
  readonly kind: "too-long";
  readonly bytes: number;
}

export type Line = string | TooLong;

const BUFFER_BYTES = 256 * 1024;
const LF = 10;

/**
 * The lines of a stream, in batches as they arrive: one wait per chunk instead of one per line. A last line without a
 * line feed counts; a CR before the line feed does not belong to the line. Ends quietly when the stream ends or the
 * signal aborts, and lets go of the stream then; a stream that fails throws its error.
 */
export async function* readLines(
  stream: ReadableStream<Uint8Array>,
  options: { maxBytes?: number; signal?: AbortSignal } = {},
): AsyncGenerator<readonly Line[]> {
  const splitter = new LineSplitter(options.maxBytes ?? MAX_LINE_BYTES);
  for await (const chunk of readChunks(stream, options.signal)) {
    const lines = splitter.push(chunk);
    if (lines.length > 0) yield lines;
  }
  const rest = options.signal?.aborted ? [] : splitter.end();
  if (rest.length > 0) yield rest;
}

/** Chunks that are valid only until the next one: where the stream allows it, all share one buffer. */
async function* readChunks(stream: ReadableStream<Uint8Array>, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  if (signal?.aborted) return;
  const { read, release } = openReader(stream);
  // Releasing the lock rejects a pending read: the one way out of a stream that never says anything again.
  signal?.addEventListener("abort", release, { once: true });
  try {
    while (!signal?.aborted) {
      const chunk = await read();
      if (!chunk) return;
      yield chunk;
    }
  } catch (error) {
    if (!signal?.aborted) throw error;
  } finally {
    signal?.removeEventListener("abort", release);
    release();
  }
}

/** Reading into one buffer keeps the garbage collector out of it; streams that are not made of bytes cannot. */
function openReader(
  stream: ReadableStream<Uint8Array>,
): { read: () => Promise<Uint8Array | undefined>; release: () => void } {
  let byob: ReadableStreamBYOBReader;
  try {
    byob = stream.getReader({ mode: "byob" });
  } catch (error) {
    if (stream.locked) throw error;
    const reader = stream.getReader();
    return { read: async () => (await reader.read()).value, release: () => reader.releaseLock() };
  }
  let buffer: ArrayBufferLike = new ArrayBuffer(BUFFER_BYTES);
  return {
    async read() {
      const { value, done }: ReadableStreamReadResult<Uint8Array> = await byob.read(new Uint8Array(buffer));
      if (done) return undefined;
      buffer = value.buffer;
      return value;
    },
    release: () => byob.releaseLock(),
  };
}

/** Works on bytes, so that a character cut by a chunk's end never meets the decoder in two halves. */
class LineSplitter {
  readonly #maxBytes: number;
  /** Never strips a byte order mark: each batch is decoded alone, and a mark there is content. */
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** The unfinished line, copied out of the shared buffer; empty once it is over the cap. */
  #parts: Uint8Array[] = [];
  #partBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  push(chunk: Uint8Array): Line[] {
    const last = chunk.lastIndexOf(LF);
    if (last < 0) {
      this.#hold(chunk);
      return [];
    }
    const lines: Line[] = [];
    let from = 0;
    if (this.#partBytes > 0) {
      from = chunk.indexOf(LF) + 1;
      this.#hold(chunk.subarray(0, from - 1));
      lines.push(this.#takeHeld());
    }
    if (from <= last) this.#split(chunk.subarray(from, last), lines);
    this.#hold(chunk.subarray(last + 1));
    return lines;
  }

  end(): Line[] {
    return this.#partBytes > 0 ? [this.#takeHeld()] : [];
  }

  #split(bytes: Uint8Array, lines: Line[]): void {
    const texts = this.#decoder.decode(bytes).split("\n");
    // A chunk within the cap cannot hold a line over it.
    const checked = bytes.length > this.#maxBytes;
    for (const text of texts) lines.push(checked ? this.#checked(text) : withoutCr(text));
  }

  #checked(text: string): Line {
    const bytes = new TextEncoder().encode(text).length;
    return bytes > this.#maxBytes ? { kind: "too-long", bytes } : withoutCr(text);
  }

  #hold(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#partBytes += bytes.length;
    if (this.#partBytes > this.#maxBytes) this.#parts = [];
    else this.#parts.push(bytes.slice());
  }

  #takeHeld(): Line {
    const bytes = this.#partBytes;
    const parts = this.#parts;
    this.#parts = [];
    this.#partBytes = 0;
    if (bytes > this.#maxBytes) return { kind: "too-long", bytes };
    return withoutCr(this.#decoder.decode(join(parts, bytes)));
  }
}

function join(parts: readonly Uint8Array[], size: number): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function withoutCr(line: string): string {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}
