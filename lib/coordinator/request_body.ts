/** Reading a request's JSON: bad JSON and wrong shapes are told apart from everything else that may go wrong. */
import en from "zod/locales/en";
import * as z from "zod/mini";

// Without a language the messages of zod/mini say only that something is invalid.
z.config(en());

/** In bytes: the longest prompt, escaped as much as JSON can, and room for what comes with it. */
const LIMIT = 32 * 1024 * 1024;

/** What was sent cannot be used; the message says why. */
export class BadBody extends Error {
  override readonly name = "BadBody";
  constructor(message: string, readonly status: 400 | 413 = 400) {
    super(message);
  }
}

/**
 * Decodes the body. An empty one counts as `{}`. NUL characters are dropped: SQLite's text functions stop at them. One of
 * more than `limit` bytes is refused without reading what is left of it. Throws `BadBody`.
 */
export async function readBody<Shape extends z.ZodMiniType>(
  request: Request,
  shape: Shape,
  { limit = LIMIT }: { readonly limit?: number } = {},
): Promise<z.infer<Shape>> {
  return decodeBody(parse(await textOf(request, limit)), shape);
}

async function textOf(request: Request, limit: number): Promise<string> {
  const tooLarge = () => new BadBody(`The request body is too large: it may have ${limit} bytes`, 413);
  if (Number(request.headers.get("content-length")) > limit) throw tooLarge();
  const decoder = new TextDecoder();
  let text = "";
  let bytes = 0;
  const chunks = request.body?.getReader();
  for (let next = await readFrom(chunks); next; next = await readFrom(chunks)) {
    bytes += next.length;
    if (bytes > limit) {
      // Not waited for: whoever sends too much may be slow about it, too.
      void chunks?.cancel().catch(() => {});
      throw tooLarge();
    }
    text += decoder.decode(next, { stream: true });
  }
  return text + decoder.decode();
}

async function readFrom(
  chunks: ReadableStreamDefaultReader<Uint8Array> | undefined,
): Promise<Uint8Array | undefined> {
  try {
    return (await chunks?.read())?.value;
  } catch (error) {
    throw new BadBody(`The request body did not come to its end: ${error instanceof Error ? error.message : error}`);
  }
}

/** The same for what did not come as the body of a request. Throws `BadBody`. */
export function decodeBody<Shape extends z.ZodMiniType>(value: unknown, shape: Shape): z.infer<Shape> {
  const decoded = shape.safeParse(value);
  if (decoded.success) return decoded.data;
  const [issue] = decoded.error.issues;
  const where = issue?.path.join(".") || "the body";
  throw new BadBody(`Invalid request body: ${where}: ${issue?.message ?? "not as expected"}`);
}

function parse(text: string): unknown {
  if (text === "") return {};
  try {
    return text.includes("\\u0000") ? JSON.parse(text, withoutNul) : JSON.parse(text);
  } catch (error) {
    throw new BadBody(`Invalid request body: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function withoutNul(_key: string, value: unknown): unknown {
  return typeof value === "string" ? value.replaceAll("\0", "") : value;
}
