/** A server by hand: answers each call as the test says, and keeps what was asked. */
import type { Fetch } from "../../lib/core/ports.ts";

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly headers: Headers;
  /** The parsed body; `undefined` when there was none. */
  readonly body: unknown;
}

export type Answer = Response | Error | "never";

export interface ScriptedFetch {
  readonly fetch: Fetch;
  readonly calls: Call[];
}

/** `answer` is asked for each call; "never" is a server that does not answer. */
export function scriptedFetch(answer: (call: Call, nth: number) => Answer | Promise<Answer>): ScriptedFetch {
  const calls: Call[] = [];
  return {
    calls,
    async fetch(request) {
      const text = await request.text();
      const call: Call = {
        method: request.method,
        path: new URL(request.url).pathname,
        headers: request.headers,
        body: text === "" ? undefined : JSON.parse(text),
      };
      calls.push(call);
      const given = await answer(call, calls.length);
      if (given instanceof Error) throw given;
      return given === "never" ? await new Promise<Response>(() => {}) : given;
    },
  };
}

export function json(value: unknown, status = 200): Response {
  return Response.json(value, { status });
}
