/** A connection over a client whose every call a test can replace; what is not replaced goes well. */
import type { Connection, RegisteredRuntime } from "../../lib/daemon/connection.ts";
import type { Delivery } from "../../lib/daemon/delivery.ts";
import type { WireClient } from "../../lib/wire/client.ts";
import { BeatAnswer } from "../../lib/wire/frames.ts";
import { ClaimedTask } from "../../lib/wire/payloads.ts";
import type { CallFailure, CallResult } from "../../lib/wire/retry.ts";

export function ok<T>(value: T): CallResult<T> {
  return { kind: "ok", value };
}

export function refused(status: number, gone?: CallFailure["gone"]): CallFailure {
  return { kind: "failed", code: "status", status, detail: `status ${status}`, ...(gone ? { gone } : {}) };
}

export const LOST: CallFailure = { kind: "failed", code: "transport", status: 0, detail: "connection reset" };

export function fakeClient(calls: Partial<WireClient> = {}): WireClient {
  const well = () => Promise.resolve(ok(undefined));
  const row = (id: string) => Promise.resolve(ok({ id, status: "running" }));
  return {
    name: "fake",
    call: () => Promise.resolve(refused(404)),
    workspaces: () => Promise.resolve(ok([{ id: "w", name: "mine" }])),
    profiles: () => Promise.resolve(refused(404)),
    register: (body) =>
      Promise.resolve(ok({
        runtimes: body.runtimes.map((runtime) => ({
          id: `${body.workspace_id}-${runtime.profile_id ?? runtime.type}`,
          profile_id: runtime.profile_id ?? null,
          name: runtime.name,
          provider: runtime.type,
          status: "online",
        })),
        server_capabilities: [],
      })),
    old: false,
    heartbeat: () => Promise.resolve(ok(BeatAnswer.parse({ status: "ok" }))),
    deregister: well,
    recoverOrphans: () => Promise.resolve(ok({ orphaned: 0, retried: 0 })),
    claim: () => Promise.resolve(ok([])),
    claimOne: () => Promise.resolve(ok(null)),
    prepareLease: well,
    waitForDirectory: well,
    start: row,
    status: () => Promise.resolve(ok("running")),
    progress: well,
    messages: well,
    usage: well,
    session: well,
    complete: row,
    fail: row,
    cancelAck: well,
    ...calls,
  };
}

export const NO_DELIVERY: Delivery = {
  kick() {},
  deliverAll: () => Promise.resolve(),
  settled: () => Promise.resolve(true),
  counts: () => ({ delivered: 0, dropped: 0 }),
  closed: false,
  close: () => Promise.resolve(),
};

export function registered(id: string): RegisteredRuntime {
  return {
    id,
    workspace: "w",
    name: id,
    runtime: { provider: id, family: "plain-text", executable: "/bin/true", fixedArgs: [], version: "1.0.0" },
  };
}

export function fakeConnection(
  options:
    & { name?: string; runtimes?: readonly string[]; client?: Partial<WireClient>; delivery?: Delivery }
    & Pick<Connection, "consent"> = {},
): Connection {
  return {
    ...(options.consent ? { consent: options.consent } : {}),
    name: options.name ?? "fake",
    remote: false,
    serverUrl: "http://server.test",
    client: fakeClient(options.client),
    wakeups: { async *subscribe() {} },
    delivery: options.delivery ?? NO_DELIVERY,
    runtimes: new Map((options.runtimes ?? []).map((id) => [id, registered(id)])),
    serverCapabilities: [],
    state: "connecting",
    why: "",
  };
}

/** A claim that every gate lets through. */
export function claimed(id: string, change: Record<string, unknown> = {}): ClaimedTask {
  return ClaimedTask.parse({
    id,
    agent_id: "a",
    agent: { id: "a", name: "bot" },
    runtime_id: "r",
    workspace_id: "w",
    auth_token: "mat_0123",
    prompt: "do it",
    directory: { mode: "scratch" },
    ...change,
  });
}
