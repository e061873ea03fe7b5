/** Standard input and output that never end the program: a closed terminal or a full disk is nobody to tell. */
import { HostError, type Terminal } from "../core/ports.ts";

export function createTerminal(noColor: boolean): Terminal {
  const encoder = new TextEncoder();
  const put = (stream: { writeSync(bytes: Uint8Array): number }, text: string) => {
    try {
      const bytes = encoder.encode(text);
      for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
    } catch {
      // EIO, ENOSPC or EPIPE: nobody reads.
    }
  };
  const isTerminal = Deno.stdout.isTerminal();
  return {
    isTerminal,
    color: isTerminal && !noColor,
    inputIsTerminal: Deno.stdin.isTerminal(),
    stdin: Deno.stdin.readable,
    out: (text) => put(Deno.stdout, text),
    err: (text) => put(Deno.stderr, text),
    readAllInput,
    readLine,
    readSecret,
    async write(bytes) {
      for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
    },
  };
}

/** A terminal gives one line to a read; of anything else what comes after the line is lost. */
async function readLine(): Promise<string | undefined> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  let line = "";
  try {
    while (!line.includes("\n")) {
      const read = await Deno.stdin.read(buffer);
      if (read === null) return line === "" ? undefined : line;
      line += decoder.decode(buffer.subarray(0, read), { stream: true });
    }
  } catch {
    // EIO: the terminal is gone.
    return undefined;
  }
  return line.slice(0, line.indexOf("\n"));
}

const CTRL_C = "\x03";
const CTRL_D = "\x04";
const RUBOUT = /[\x7f\b]/;

async function readSecret(): Promise<string | undefined> {
  if (!Deno.stdin.isTerminal()) return await readLine();
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  const typed: string[] = [];
  Deno.stdin.setRaw(true);
  try {
    for (;;) {
      const read = await Deno.stdin.read(buffer);
      if (read === null) return undefined;
      for (const key of decoder.decode(buffer.subarray(0, read), { stream: true })) {
        if (key === CTRL_C || key === CTRL_D) return undefined;
        if (key === "\r" || key === "\n") return typed.join("");
        if (RUBOUT.test(key)) typed.pop();
        else typed.push(key);
      }
    }
  } catch {
    // EIO: the terminal is gone.
    return undefined;
  } finally {
    try {
      Deno.stdin.setRaw(false);
    } catch {
      // The same.
    }
  }
}

async function readAllInput(maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  const buffer = new Uint8Array(65536);
  for (let read = await Deno.stdin.read(buffer); read !== null; read = await Deno.stdin.read(buffer)) {
    size += read;
    if (size > maxBytes) {
      throw new HostError("too-large", `Cannot read standard input: it is larger than ${maxBytes} bytes`);
    }
    chunks.push(buffer.slice(0, read));
  }
  const all = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return new TextDecoder().decode(all);
}
