/** What a daemon sends over its WebSocket (wire protocol 2.2), as a server reads it. */
import * as z from "zod/mini";

// Lazy throughout, as in payloads.ts.

const Envelope = z.lazy(() => z.object({ type: z.string(), payload: z.unknown() }));

const Beat = z.lazy(() => z.object({ runtime_id: z.string(), supports_batch_import: z.catch(z.boolean(), false) }));

const RpcRequest = z.lazy(() =>
  z.object({
    request_id: z.string().check(z.minLength(1), z.maxLength(200)),
    method: z.catch(z.string(), ""),
    body: z.optional(z.unknown()),
    timeout_ms: z.catch(z.int(), 0),
  })
);
export type RpcRequest = z.infer<typeof RpcRequest>;

export type DaemonFrame =
  | { readonly kind: "beat"; readonly runtime: string; readonly batchImport: boolean }
  | { readonly kind: "rpc"; readonly request: RpcRequest };

const READERS: Readonly<Record<string, (payload: unknown) => DaemonFrame>> = {
  "daemon:heartbeat": (payload) => {
    const { runtime_id, supports_batch_import } = Beat.parse(payload);
    return { kind: "beat", runtime: runtime_id, batchImport: supports_batch_import };
  },
  "daemon:rpc_request": (payload) => ({ kind: "rpc", request: RpcRequest.parse(payload) }),
};

/** `undefined` for what we do not know or cannot read: both sides ignore that. */
export function readDaemonFrame(frame: string): DaemonFrame | undefined {
  try {
    const { type, payload } = Envelope.parse(JSON.parse(frame));
    return Object.hasOwn(READERS, type) ? READERS[type]!(payload) : undefined;
  } catch {
    return undefined;
  }
}
