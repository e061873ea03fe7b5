/** Which way the next claim goes: over the WebSocket, by HTTP in one call or one per runtime, or not yet (wire protocol 1.4, 2.4). */

/** How a claim over the WebSocket ended. */
export type RpcOutcome =
  | { readonly kind: "answered"; readonly status: number; readonly body: unknown }
  /** It certainly never left. */
  | { readonly kind: "unsent"; readonly why: string }
  /** It left, and nobody said what became of it. */
  | { readonly kind: "uncertain"; readonly why: string };

/** The server has that long, and we wait a little longer for its answer. */
export const RPC_SERVER_MS = 5_000;
export const RPC_WAIT_MS = 7_000;
/** After an outcome nobody knows; what the server gave away then is offered again after its own time. */
export const UNCERTAIN_MS = 7_000;
/** A server without the batch call may be replaced by one that has it, and nobody tells where there is no WebSocket. */
const SINGLE_MS = 30 * 60_000;

/** All times on a clock that never goes back, in ms. */
export interface ClaimLink {
  /** The server offers claims on the connection that is open. */
  readonly rpc: boolean;
  /** Until then nothing is claimed; after it, once by HTTP. */
  readonly uncertainUntil: number | undefined;
  /** Until then one call per runtime. */
  readonly singleUntil: number | undefined;
}

export const NO_LINK: ClaimLink = { rpc: false, uncertainUntil: undefined, singleUntil: undefined };

export type LinkEvent =
  | { readonly kind: "connected" | "disconnected" | "rpc-offered" | "http-claimed" | "batch-missing" }
  | { readonly kind: "rpc-ended"; readonly outcome: RpcOutcome };

export function stepLink(link: ClaimLink, event: LinkEvent, now: number): ClaimLink {
  switch (event.kind) {
    case "connected":
      return { ...link, rpc: false, singleUntil: undefined };
    case "disconnected":
      return { ...link, rpc: false };
    case "rpc-offered":
      return { ...link, rpc: true };
    case "http-claimed":
      return { ...link, uncertainUntil: undefined };
    case "batch-missing":
      return { ...link, singleUntil: now + SINGLE_MS };
    case "rpc-ended":
      return afterRpc(event.outcome) === "hold" ? { ...link, uncertainUntil: now + UNCERTAIN_MS } : link;
  }
}

export type Route =
  | { readonly kind: "rpc" | "batch" | "single" }
  | { readonly kind: "hold"; readonly ms: number };

export function nextRoute(link: ClaimLink, now: number): Route {
  const { uncertainUntil, singleUntil, rpc } = link;
  if (uncertainUntil !== undefined && now < uncertainUntil) return { kind: "hold", ms: uncertainUntil - now };
  if (rpc && uncertainUntil === undefined) return { kind: "rpc" };
  return { kind: singleUntil !== undefined && now < singleUntil ? "single" : "batch" };
}

/** `use` its tasks, ask by `http` at once, or `hold`: an HTTP call at once could claim a second time. */
export function afterRpc(outcome: RpcOutcome): "use" | "http" | "hold" {
  if (outcome.kind === "answered") return outcome.status >= 200 && outcome.status < 300 ? "use" : "http";
  return outcome.kind === "unsent" ? "http" : "hold";
}
