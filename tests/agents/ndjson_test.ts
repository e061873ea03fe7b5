/** Lines from bytes: every split of the same bytes gives the same lines, and no line takes more memory than its cap. */
import { assertEquals, assertLess, assertRejects } from "@std/assert";
import { type Line, readLines } from "../../lib/agents/ndjson.ts";

function streamOf(chunks: readonly Uint8Array[], type?: "bytes"): ReadableStream<Uint8Array> {
  const source = {
    start(controller: ReadableStreamDefaultController<Uint8Array> | ReadableByteStreamController) {
      // Enqueueing to a byte stream takes the buffer away from whoever else looks at it.
      for (const chunk of chunks) controller.enqueue(chunk.slice() as Uint8Array<ArrayBuffer>);
      controller.close();
    },
  };
  return type ? new ReadableStream({ type, ...source }) : new ReadableStream(source);
}

async function linesOf(stream: ReadableStream<Uint8Array>, maxBytes?: number): Promise<Line[]> {
  const lines: Line[] = [];
  for await (const batch of readLines(stream, { maxBytes })) lines.push(...batch);
  return lines;
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function inPieces(bytes: Uint8Array, size: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size));
  return pieces;
}

Deno.test("readLines() gives the same lines however the bytes were cut", async () => {
  const text = 'one\r\n\n{"a":"ü€😀"}\nline\u2028separator\u2029is not an end\n\ufeffmark\nlast without an end';
  const expected = [
    "one",
    "",
    '{"a":"ü€😀"}',
    "line\u2028separator\u2029is not an end",
    "\ufeffmark",
    "last without an end",
  ];
  for (let size = 1; size <= 40; size++) {
    for (const type of [undefined, "bytes"] as const) {
      const pieces = inPieces(bytesOf(text), size);
      assertEquals(await linesOf(streamOf(pieces, type)), expected, `pieces of ${size} as ${type ?? "chunks"}`);
    }
  }
});

Deno.test("readLines() gives no line for what follows the last line feed when nothing does", async () => {
  assertEquals(await linesOf(streamOf([bytesOf("a\nb\n")])), ["a", "b"]);
  assertEquals(await linesOf(streamOf([])), []);
});

Deno.test("readLines() shows bytes that are no text as replacements and goes on", async () => {
  assertEquals(await linesOf(streamOf([new Uint8Array([0xff, 0x41, 0x0a]), bytesOf("b\n")])), ["\ufffdA", "b"]);
});

Deno.test("readLines() reports a line over the cap by its size, in its place, wherever it begins and ends", async () => {
  const bytes = bytesOf(`short\n${"x".repeat(100)}\r\nnext\n${"y".repeat(50)}\n${"€".repeat(20)}`);
  const expected: Line[] = ["short", { kind: "too-long", bytes: 101 }, "next", "y".repeat(50), {
    kind: "too-long",
    bytes: 60,
  }];
  for (const size of [1, 7, 60, 107, 108, 1000]) {
    assertEquals(await linesOf(streamOf(inPieces(bytes, size)), 50), expected, `pieces of ${size}`);
  }
});

Deno.test("readLines() does not keep the bytes of a line over the cap", async () => {
  const module = new URL("../../lib/agents/ndjson.ts", import.meta.url).href;
  // In a process of its own: the other tests share the memory of this one.
  const script = `
    const { readLines } = await import(${JSON.stringify(module)});
    const piece = new Uint8Array(1024 * 1024).fill(0x78);
    let left = 300;
    const stream = new ReadableStream({
      pull: (controller) => left-- > 0 ? controller.enqueue(piece) : controller.close(),
    });
    const before = Deno.memoryUsage().rss;
    for await (const [line] of readLines(stream)) console.log(line.kind, line.bytes);
    console.log(Math.round((Deno.memoryUsage().rss - before) / 1024 / 1024));
  `;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), { args: ["eval", script], cwd: "/" }).output();
  const text = new TextDecoder();
  const [line, grownMiB] = text.decode(stdout).trim().split("\n");
  assertEquals(line, `too-long ${300 * 1024 * 1024}`, text.decode(stderr));
  assertLess(Number(grownMiB), 200);
});

Deno.test("readLines() ends at once when its signal aborts while the stream is silent, and lets go of it", async () => {
  for (const type of [undefined, "bytes"] as const) {
    const stream = type ? new ReadableStream({ type }) : new ReadableStream<Uint8Array>();
    const abort = new AbortController();
    const reading = (async () => {
      for await (const _ of readLines(stream, { signal: abort.signal }));
    })();
    await Promise.resolve();
    abort.abort();
    await reading;
    assertEquals(stream.locked, false);
  }
});

Deno.test("readLines() throws what the stream fails with", async () => {
  const stream = new ReadableStream<Uint8Array>({ pull: () => Promise.reject(new Error("pipe broke")) });
  await assertRejects(() => linesOf(stream), Error, "pipe broke");
});
