/** What may be tried again: decided here, once, from (code, status), never from error text. */

/** How one call to a server ended. */
export type CallResult<T> =
  | { readonly kind: "ok"; readonly value: T }
  | CallFailure;

export interface CallFailure {
  readonly kind: "failed";
  /**
   * `transport`: no answer, so what the server did is unknown. `status`: it answered with an error. `decode`: it
   * answered 2xx with something that is not the protocol.
   */
  readonly code: "transport" | "status" | "decode" | "aborted";
  /** HTTP status; 0 without an answer. */
  readonly status: number;
  /** What the server named as missing, from a 404's text. */
  readonly gone?: "runtime" | "task" | "workspace" | "route";
  /** For people: call, cause, and a capped quote of the body. */
  readonly detail: string;
}

/** Trying the same call again later can help. */
export function isTransient(failure: CallFailure): boolean {
  if (failure.code === "aborted") return false;
  if (failure.code !== "status") return true;
  return failure.status === 408 || failure.status === 429 || failure.status >= 500;
}

/**
 * A person can mend it: a credential that ran out, a membership that ended and may come back. The server says so of
 * anything it is asked for, so it tells nothing of the task (wire protocol 0.5).
 */
export function isMendable({ code, status, gone }: CallFailure): boolean {
  return code === "status" &&
    (status === 401 || status === 403 || (status === 404 && gone !== "task" && gone !== "route"));
}

/** Bad gateway and gateway timeout come from something in between: the server itself may have done its part. */
const GATEWAY: ReadonlySet<number> = new Set([502, 504]);

/** The server may have carried it out although we did not hear so: repeating it is safe only where that is harmless. */
export function isUncertain(failure: CallFailure): boolean {
  return failure.code === "transport" || failure.code === "decode" || GATEWAY.has(failure.status);
}

const GONE: readonly (readonly [text: string, what: CallFailure["gone"]])[] = [
  ["runtime not found", "runtime"],
  ["task not found", "task"],
  ["workspace not found", "workspace"],
  ["404 page not found", "route"],
];

/** The protocol tells what is gone by a part of the lower-cased body of a 404, and by nothing else (wire protocol 0.5). */
export function goneFrom(status: number, body: string): CallFailure["gone"] {
  if (status !== 404) return undefined;
  const lower = body.toLowerCase();
  return GONE.find(([text]) => lower.includes(text))?.[1];
}
