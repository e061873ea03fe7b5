/** The identity gate: refuses a task that is not certainly ours, that nobody allowed here, or whose agent cannot keep the owner's word; others are narrowed to it. */
import type { Outcome } from "../core/message.ts";
import { type Permission, PERMISSIONS } from "../core/model.ts";
import { mayNameCommand, tighten } from "../core/permission_policy.ts";
import type { ClaimedTask } from "../wire/payloads.ts";
import type { Connection, RegisteredRuntime } from "./connection.ts";
import type { Consent } from "./daemon_contract.ts";

type Refusal = Extract<Outcome, { kind: "failed" }>;

export interface Admitted {
  readonly kind: "admitted";
  readonly registered: RegisteredRuntime;
  /** With the permission that it gets here. */
  readonly task: ClaimedTask;
}

/**
 * Wire protocol 1.4: what must never be run is no workspace's, no agent's own, or without a token of its own. `able`: what
 * the CLI of a provider can promise; absent = everything.
 */
export function admit(
  task: ClaimedTask,
  { runtimes, consent, client }: Pick<Connection, "runtimes" | "consent"> & {
    readonly client?: { readonly old: boolean };
  },
  { able = () => PERMISSIONS }: { readonly able?: (provider: string) => readonly Permission[] } = {},
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
  const { provider, profile } = registered.runtime;
  const missing = (permission: Permission) => cannotPromise(provider, permission, able(provider));
  if (!consent) {
    const why = missing(permission);
    return why ? refusal(CANNOT, why) : { kind: "admitted", registered, task };
  }
  // Of the workspace that we registered the runtime with: what a task says of itself is no consent.
  const word = consent.watched(registered.workspace);
  if (!word) {
    const why = `The owner of this machine takes no tasks of workspace ${registered.workspace}`;
    return refusal("runtime_offline", why);
  }
  const custom = profile && customRefusal(consent, registered.workspace);
  if (custom) return refusal(CANNOT, custom);
  const narrowed = tighten(word.policy, permission);
  const why = missing(narrowed);
  // Neither with more rights, nor with less than it needs to be done at all.
  if (why) return refusal(CANNOT, narrowed === word.policy ? `${why}, or ${widen(registered.workspace)}` : why);
  return { kind: "admitted", registered, task: { ...task, permission: narrowed } };
}

/** Why the custom runtimes of a server's workspace are not used here; nothing where they are. */
export function customRefusal(consent: Consent | undefined, workspace: string): string | undefined {
  const word = consent?.watched(workspace);
  if (!word || mayNameCommand(word.policy)) return undefined;
  return `A custom runtime is a command of the server's choosing, which the policy ${word.policy} does not allow here: ` +
    `use an agent CLI that was found on this machine, or ${widen(workspace)}`;
}

function cannotPromise(provider: string, permission: Permission, able: readonly Permission[]): string | undefined {
  if (able.includes(permission)) return undefined;
  return `${provider} cannot promise ${permission}, which is what this task gets here (it can be run with ` +
    `${able.join(" or ")}): give it to another agent`;
}

function widen(workspace: string): string {
  return `have the owner of this machine allow more: drover enable remote --workspace ${workspace} --policy full`;
}

/** Of the reasons for what somebody has to set up otherwise: nothing is wrong with the claim, and trying again helps nobody. */
const CANNOT = "agent_error.missing_config";

function refusal(reason: Refusal["reason"], detail: string): Refusal {
  return { kind: "failed", reason, detail };
}
