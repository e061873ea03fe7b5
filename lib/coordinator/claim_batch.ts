/** The claim of a batch, as it comes by HTTP and over a WebSocket (wire protocol 1.4). */
import type { ClaimRequest } from "../wire/payloads.ts";
import type { Caller } from "./caller.ts";
import type { Shared } from "./deps.ts";
import { claimTasks } from "./queue.ts";
import { Refusal } from "./refusal.ts";
import { canonicalUuid } from "./uuid.ts";

/** More free slots than this are served by the next call. */
const CLAIM_LIMIT = 32;
/** All of a machine in all its workspaces, many times over; nobody else is served while they are looked up. */
const MAX_IDS = 10_000;

export interface ClaimCall {
  readonly caller: Caller;
  readonly capabilities: ReadonlySet<string>;
  /** True from when on nobody waits for the answer; absent: somebody always does. */
  readonly abandoned?: () => boolean;
}

/** Throws `Refusal`. */
export async function claimBatch(
  shared: Shared,
  { caller, capabilities, abandoned }: ClaimCall,
  request: ClaimRequest,
): Promise<{ tasks: Record<string, unknown>[] }> {
  if (!request.daemon_id) throw new Refusal(400, "daemon_id is required");
  if (request.max_tasks < 0) throw new Refusal(400, "max_tasks must not be negative");
  refuseTooMany(request.runtime_ids);
  refuseOtherDaemon(caller, request.daemon_id);
  return {
    tasks: await claimTasks(shared, {
      caller,
      capabilities,
      abandoned,
      daemonId: request.daemon_id,
      runtimeIds: request.runtime_ids.flatMap((id) => canonicalUuid(id) ?? []),
      max: Math.min(request.max_tasks, CLAIM_LIMIT),
      submittedTo: request.submitted_to,
    }),
  };
}

/** A daemon's own token speaks for that daemon alone. */
export function refuseOtherDaemon(caller: Caller, daemonId: string): void {
  if (caller.daemonId !== undefined && caller.daemonId !== daemonId) throw new Refusal(403, "daemon_id mismatch");
}

export function refuseTooMany(ids: readonly string[]): void {
  if (ids.length > MAX_IDS) throw new Refusal(400, `at most ${MAX_IDS} runtime_ids at once`);
}
