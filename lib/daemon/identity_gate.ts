/** The identity gate: refuses a task that is not certainly ours or that nobody allowed here, and narrows what it may do to the owner's word. */
import type { Outcome } from "../core/message.ts";
import { tighten } from "../core/permission_policy.ts";
import type { ClaimedTask } from "../wire/payloads.ts";
import type { Connection, RegisteredRuntime } from "./connection.ts";

type Refusal = Extract<Outcome, { kind: "failed" }>;

export interface Admitted {
  readonly kind: "admitted";
  readonly registered: RegisteredRuntime;
  /** With the permission that it gets here. */
  readonly task: ClaimedTask;
}

/** Wire protocol 1.4: what must never be run is no workspace's, no agent's own, or without a token of its own. */
export function admit(
  task: ClaimedTask,
  { runtimes, consent, client }: Pick<Connection, "runtimes" | "consent"> & {
    readonly client?: { readonly old: boolean };
  },
): Admitted | Refusal {
  const { id, workspace_id, agent, agent_id, auth_token, runtime_id, permission } = task;
  // Both ids become names of directories, where "../.." would lead out of the home.
  const plain = [id, workspace_id].every((name) => /^[\w-]+$/.test(name));
  // Any other token could be the daemon's own, which no agent may have. An old server gives none, and then nor do we.
  const token = auth_token.startsWith("mat_") || (auth_token === "" && client?.old === true);
  if (!plain || !agent || agent.id !== agent_id || !token) {
    return refusal("invalid_task_identity", "The claim names no workspace, no agent of its own, or no task token");
  }
  const registered = runtimes.get(runtime_id);
  if (!registered) return refusal("runtime_offline", `This daemon has no runtime ${runtime_id} any more`);
  if (!consent) return { kind: "admitted", registered, task };
  // Of the workspace that we registered the runtime with: what a task says of itself is no consent.
  const word = consent.watched(registered.workspace);
  if (!word) {
    const why = `The owner of this machine takes no tasks of workspace ${registered.workspace}`;
    return refusal("runtime_offline", why);
  }
  return { kind: "admitted", registered, task: { ...task, permission: tighten(word.policy, permission) } };
}

function refusal(reason: Refusal["reason"], detail: string): Refusal {
  return { kind: "failed", reason, detail };
}
