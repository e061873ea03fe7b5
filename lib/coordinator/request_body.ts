/** Reading a request's JSON: bad JSON and wrong shapes are told apart from everything else that may go wrong. */
import en from "zod/locales/en";
import * as z from "zod/mini";

// Without a language the messages of zod/mini say only that something is invalid.
z.config(en());

/** What was sent cannot be used; the message says why. */
export class BadBody extends Error {
  override readonly name = "BadBody";
}

/** Decodes the body. An empty one counts as `{}`. NUL characters are dropped: SQLite's text functions stop at them. */
export async function readBody<Shape extends z.ZodMiniType>(request: Request, shape: Shape): Promise<z.infer<Shape>> {
  const decoded = shape.safeParse(parse(await request.text()));
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
