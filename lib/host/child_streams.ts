/** A child's pipes in our hands: output that can be cut off while somebody reads it, input whose reader may vanish, the tail of stderr. */
import type { Clock } from "../core/ports.ts";

const CHUNK_BYTES = 65_536;
/** What may still lie in a pipe after all its writers ended; more can only come from a stranger that holds it. */
const DRAIN_LIMIT_BYTES = 4 * 1024 * 1024;
/**
 * A read that finds its data ready goes on without a turn of the event loop. A child that prints faster than we make
 * sense of it would so stop every timer and every other task: its own time limit and its cancellation among them.
 */
const TURN_MS = 10;

type ByobResult = ReadableStreamReadResult<Uint8Array>;

export interface OutputPipe {
  /** Reads from the child only when somebody reads here: a slow reader stops the child. */
  readonly stream: ReadableStream<Uint8Array>;
  /**
   * For when every writer has ended: takes over what is left in the pipe, for at most `ms`, then closes it. Whoever
   * reads gets it all and then the end, and nobody waits for a stranger that holds the pipe open.
   */
  finish(ms: number): Promise<void>;
}

export function openOutput(source: ReadableStream<Uint8Array>, clock: Clock): OutputPipe {
  const reader = source.getReader({ mode: "byob" });
  let ended = false;
  let reading: Promise<unknown> = Promise.resolve();
  let finishing: Promise<void> | undefined;
  let buffer: ArrayBufferLike = new ArrayBuffer(CHUNK_BYTES);
  let lastTurn = clock.monotonic();
  let controller!: ReadableByteStreamController;

  const close = () => {
    if (ended) return;
    ended = true;
    try {
      controller.close();
      controller.byobRequest?.respond(0);
    } catch {
      // The reader cancelled the stream first.
    }
  };

  /** One read from the child. The end, an error and a cancelled pipe are all the end: nothing more will come. */
  const readOnce = async (): Promise<Uint8Array | undefined> => {
    try {
      const { value, done }: ByobResult = await reader.read(new Uint8Array(buffer));
      if (done) return undefined;
      buffer = value.buffer;
      return value.slice();
    } catch {
      return undefined;
    }
  };

  const transfer = async (): Promise<number> => {
    if (clock.monotonic() - lastTurn >= TURN_MS) {
      await clock.sleep(0);
      lastTurn = clock.monotonic();
    }
    const chunk = await readOnce();
    if (ended) return 0;
    if (!chunk) {
      close();
      return 0;
    }
    controller.enqueue(chunk);
    return chunk.length;
  };

  const stream = new ReadableStream<Uint8Array>({
    type: "bytes",
    start(given) {
      controller = given as ReadableByteStreamController;
    },
    pull() {
      const next: Promise<unknown> = finishing ?? transfer();
      reading = next;
      return next.then(() => {});
    },
    async cancel() {
      ended = true;
      await reader.cancel().catch(() => {});
    },
  }, { highWaterMark: 0 });

  const drain = async (ms: number) => {
    using _limit = clock.after(ms, () => void reader.cancel().catch(() => {}));
    await reading;
    for (let bytes = 0; !ended && bytes < DRAIN_LIMIT_BYTES;) bytes += await transfer();
    close();
    await reader.cancel().catch(() => {});
  };

  return { stream, finish: (ms) => finishing ??= drain(ms) };
}

export interface InputPipe {
  readonly stream: WritableStream<Uint8Array>;
  /** Lets go of the pipe. Writes that nobody took in fail, and later ones too. */
  finish(): void;
}

/** Every failed write rejects where it was made, and nowhere else: a child that closes its input is not our crash. */
export function openInput(target: WritableStream<Uint8Array>): InputPipe {
  const writer = target.getWriter();
  writer.closed.catch(() => {});
  const { promise: finished, reject } = Promise.withResolvers<never>();
  finished.catch(() => {});
  const stream = new WritableStream<Uint8Array>({
    write: (chunk) => Promise.race([writer.write(chunk), finished]),
    close: () => Promise.race([writer.close(), finished]),
    abort: (reason) => void writer.abort(reason).catch(() => {}),
  });
  return {
    stream,
    finish() {
      const ended = new Error("Cannot write to the process: it has ended");
      reject(ended);
      writer.abort(ended).catch(() => {});
    },
  };
}

/** Reads a stream to its end whatever anybody does, and keeps its last bytes: an unread stderr would stop the child. */
export class TailReader {
  readonly #reader: ReadableStreamBYOBReader;
  readonly #kept: Uint8Array;
  readonly #ended: Promise<void>;
  #length = 0;

  constructor(source: ReadableStream<Uint8Array>, capacity: number) {
    this.#reader = source.getReader({ mode: "byob" });
    this.#kept = new Uint8Array(capacity);
    this.#ended = this.#readAll();
  }

  /** The kept bytes as text. A character cut in half by the limit is left out. */
  text(): string {
    let start = 0;
    if (this.#length === this.#kept.length) {
      while (start < this.#length && (this.#kept[start]! & 0xc0) === 0x80) start++;
    }
    // The last character may be under way still: a streaming decoder holds it back instead of showing a replacement.
    return new TextDecoder().decode(this.#kept.slice(start, this.#length), { stream: true });
  }

  async finish(ms: number, clock: Clock): Promise<void> {
    using _limit = clock.after(ms, () => void this.#reader.cancel().catch(() => {}));
    await this.#ended;
  }

  async #readAll(): Promise<void> {
    let buffer: ArrayBufferLike = new ArrayBuffer(CHUNK_BYTES);
    try {
      for (;;) {
        const { value, done }: ByobResult = await this.#reader.read(new Uint8Array(buffer));
        if (done) return;
        this.#keep(value);
        buffer = value.buffer;
      }
    } catch {
      // A broken pipe is the end of it.
    }
  }

  #keep(chunk: Uint8Array): void {
    const kept = this.#kept;
    const news = chunk.length > kept.length ? chunk.subarray(chunk.length - kept.length) : chunk;
    const overflow = Math.max(0, this.#length + news.length - kept.length);
    if (overflow > 0) kept.copyWithin(0, overflow, this.#length);
    kept.set(news, this.#length - overflow);
    this.#length += news.length - overflow;
  }
}
