/** The hub: the WebSockets of daemons, and which of them hear of which runtime, workspace and user (wire protocol 2). */
import type { Upgrade } from "../core/upgrade_port.ts";
import { ClaimRequest } from "../wire/payloads.ts";
import type { ApiContext, AtLarge, Routes } from "./access.ts";
import { capabilitiesOf } from "./access.ts";
import { claimBatch } from "./claim_batch.ts";
import type { Wakeup } from "./coordinator.ts";
import type { Caller } from "./caller.ts";
import type { Shared } from "./deps.ts";
import { HubConnection, type HubScope } from "./hub_connection.ts";
import { Refusal, RUNTIME_GONE } from "./refusal.ts";
import { decodeBody } from "./request_body.ts";
import { beatAnswer } from "./requests.ts";
import { canonicalUuid } from "./uuid.ts";

/** What a connection asks anew for as long as it lives. */
type Authenticate = () => Promise<Caller | undefined>;

export class Hub {
  readonly #shared: Shared;
  readonly #upgrade: Upgrade;
  readonly #connections = new Set<HubConnection>();
  readonly #byRuntime = new Listeners();
  readonly #byWorkspace = new Listeners();
  readonly #byUser = new Listeners();
  readonly #subscription: Disposable;
  #closed = false;

  constructor(shared: Shared, upgrade: Upgrade) {
    this.#shared = shared;
    this.#upgrade = upgrade;
    this.#subscription = shared.wakeups.listen((wakeup) => this.#tell(wakeup));
  }

  /** How many daemons are connected. */
  get size(): number {
    return this.#connections.size;
  }

  /** The answer that makes a WebSocket of the request. Throws `Refusal`. */
  accept(request: Request, scope: HubScope, authenticate: Authenticate): Response {
    if (this.#closed) throw new Refusal(503, "the server is closing");
    let connection: HubConnection | undefined;
    const response = this.#upgrade(request, {
      opened: (socket) => {
        connection = new HubConnection(socket, scope, this.#portsOf(authenticate, scope, () => connection));
        if (this.#closed) return connection.close("the server is closing");
        this.#join(connection);
      },
      text: (frame) => connection?.hear(frame),
      closed: () => connection?.end(),
    });
    if (!response) throw new Refusal(400, "this is no WebSocket handshake");
    return response;
  }

  close(): void {
    this.#closed = true;
    this.#subscription[Symbol.dispose]();
    for (const connection of [...this.#connections]) connection.close("the server is closing");
  }

  #portsOf(authenticate: Authenticate, { capabilities }: HubScope, self: () => HubConnection | undefined) {
    const shared = this.#shared;
    return {
      monotonic: () => shared.clock.monotonic(),
      log: shared.log,
      authenticate,
      beat: (runtime: string, options: { batchImport: boolean }) => beatAnswer(shared, runtime, options),
      claim: (caller: Caller, body: unknown, { abandoned }: { abandoned: () => boolean }) =>
        claimBatch(shared, { caller, capabilities, abandoned }, decodeBody(body, ClaimRequest)),
      ended: () => {
        const connection = self();
        if (connection) this.#leave(connection);
      },
    };
  }

  #join(connection: HubConnection): void {
    const { runtimes, workspaces, userId } = connection.scope;
    this.#connections.add(connection);
    for (const id of runtimes) this.#byRuntime.add(id, connection);
    for (const id of workspaces) this.#byWorkspace.add(id, connection);
    if (userId !== undefined) this.#byUser.add(userId, connection);
  }

  #leave(connection: HubConnection): void {
    const { runtimes, workspaces, userId } = connection.scope;
    this.#connections.delete(connection);
    for (const id of runtimes) this.#byRuntime.delete(id, connection);
    for (const id of workspaces) this.#byWorkspace.delete(id, connection);
    if (userId !== undefined) this.#byUser.delete(userId, connection);
  }

  /** Looks up whom it concerns, so that it costs as much as these are, whoever else is connected. */
  #tell({ kind, runtimeId, workspaceId, userId, taskId }: Wakeup): void {
    switch (kind) {
      case "task-available":
        return this.#byRuntime.tell(runtimeId, "daemon:task_available", {
          runtime_id: runtimeId,
          ...(taskId === undefined ? {} : { task_id: taskId }),
        });
      case "pending-work":
        return this.#byRuntime.tell(runtimeId, "daemon:pending_work", { runtime_id: runtimeId });
      case "profiles-changed":
        return this.#byWorkspace.tell(workspaceId, "daemon:runtime_profiles_changed", { workspace_id: workspaceId });
      case "workspaces-changed":
        return this.#byUser.tell(userId, "daemon:workspaces_changed", {});
      case "task-changed":
        // The protocol has no word for it: daemons ask for the state of the tasks they run.
        return;
    }
  }
}

/** Who hears of what, by its id. */
class Listeners {
  readonly #of = new Map<string, Set<HubConnection>>();

  add(id: string, connection: HubConnection): void {
    const those = this.#of.get(id) ?? new Set();
    this.#of.set(id, those.add(connection));
  }

  delete(id: string, connection: HubConnection): void {
    const those = this.#of.get(id);
    if (those?.delete(connection) && those.size === 0) this.#of.delete(id);
  }

  tell(id: string | undefined, type: string, payload: Record<string, unknown>): void {
    // A copy: who is too slow leaves while it is being told.
    for (const connection of [...this.#of.get(id ?? "") ?? []]) connection.tell(type, payload);
  }
}

/** `GET /api/daemon/ws`; `authenticate` tells who holds a token. */
export function addHubRoute(
  routes: Routes,
  hub: Hub,
  authenticate: (c: ApiContext) => Authenticate,
): void {
  routes.atLarge("GET", "/api/daemon/ws", async (c, { caller, enterRuntime }) => {
    const runtimes = await runtimesOf(c, enterRuntime);
    if (runtimes.size === 0 && caller.scope === "daemon") {
      throw new Refusal(400, "runtime_ids or user identity required");
    }
    const scope: HubScope = {
      runtimes,
      workspaces: caller.workspaces,
      capabilities: capabilitiesOf(c),
      ...(caller.userId === undefined ? {} : { userId: caller.userId }),
    };
    // Read now: nothing can be asked of a request any more once it is upgraded.
    return hub.accept(c.req.raw, scope, authenticate(c));
  });
}

/** All of them, or the refusal of the first that the caller may not hear of. */
async function runtimesOf(c: ApiContext, enterRuntime: AtLarge["enterRuntime"]): Promise<ReadonlySet<string>> {
  const named = ["runtime_ids", "runtime_id"].flatMap((name) => c.req.queries(name) ?? []);
  const ids = new Set(named.flatMap((list) => list.split(",")).map((id) => id.trim()).filter(Boolean));
  const runtimes = new Set<string>();
  for (const id of ids) {
    if (!canonicalUuid(id)) throw new Refusal(404, RUNTIME_GONE);
    runtimes.add((await enterRuntime(id)).runtime);
  }
  return runtimes;
}
