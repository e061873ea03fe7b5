/** What goes over the WebSocket (wire protocol 2.2), and what a heartbeat is answered with over either transport. */
import * as z from "zod/mini";

// Lazy throughout, as in payloads.ts.

const text = z.catch(z.string(), "");
const flag = z.catch(z.boolean(), false);
/** Of a thing that is asked for; one without an id cannot be answered, so it counts as absent. */
const asked = <T extends z.ZodMiniType>(item: T) => z.catch(z.nullish(item), null);
const id = z.string().check(z.minLength(1));

const Import = z.object({ id, skill_key: text });

/** The answer to a heartbeat; what is pending comes once and is never repeated. */
export const BeatAnswer = z.lazy(() =>
  z.object({
    status: text,
    /** Only over the WebSocket, as are the next two. */
    runtime_id: text,
    runtime_gone: flag,
    server_capabilities: z.catch(z.array(z.string()), []),
    pending_update: asked(z.object({ id, target_version: text })),
    pending_model_list: asked(z.object({ id })),
    pending_local_skills: asked(z.object({ id })),
    pending_local_skill_import: asked(Import),
    pending_local_skill_imports: asked(z.array(Import)),
    /** Of servers until April 2026. */
    pending_ping: asked(z.object({ id })),
  })
);
export type BeatAnswer = z.infer<typeof BeatAnswer>;

/** The server answers claims over this very connection. */
export const RPC = "rpc-v1";

const RpcResponse = z.lazy(() =>
  z.object({ request_id: z.string(), status: z.int(), body: z.optional(z.unknown()), error: text })
);
export type RpcResponse = z.infer<typeof RpcResponse>;

const Envelope = z.lazy(() => z.object({ type: z.string(), payload: z.catch(z.record(z.string(), z.unknown()), {}) }));
const Hint = z.lazy(() => z.object({ runtime_id: text, task_id: text, workspace_id: text, kind: text }));

export type Frame =
  | { readonly kind: "ack"; readonly answer: BeatAnswer }
  | { readonly kind: "task-available" }
  | { readonly kind: "profiles-changed"; readonly workspace: string }
  | { readonly kind: "workspaces-changed" }
  | { readonly kind: "pending-work"; readonly runtime: string }
  | { readonly kind: "rpc-response"; readonly response: RpcResponse };

type Reader = (payload: Record<string, unknown>) => Frame;

const READERS: Readonly<Record<string, Reader>> = {
  "daemon:heartbeat_ack": (payload) => ({ kind: "ack", answer: BeatAnswer.parse(payload) }),
  "daemon:task_available": () => ({ kind: "task-available" }),
  "daemon:runtime_profiles_changed": (payload) => ({
    kind: "profiles-changed",
    workspace: Hint.parse(payload).workspace_id,
  }),
  "daemon:workspaces_changed": () => ({ kind: "workspaces-changed" }),
  "daemon:pending_work": (payload) => ({ kind: "pending-work", runtime: Hint.parse(payload).runtime_id }),
  "daemon:rpc_response": (payload) => ({ kind: "rpc-response", response: RpcResponse.parse(payload) }),
};

/** `undefined` for what we do not know or cannot read: both sides ignore that. */
export function readFrame(frame: string): Frame | undefined {
  try {
    const { type, payload } = Envelope.parse(JSON.parse(frame));
    return Object.hasOwn(READERS, type) ? READERS[type]!(payload) : undefined;
  } catch {
    return undefined;
  }
}

export function writeFrame(type: string, payload: Record<string, unknown>): string {
  return JSON.stringify({ type, payload });
}
