/** Which directory of this machine a project's task works in: the first that the project names for this very daemon. Pure. */
import type { ClaimedTask } from "../wire/payloads.ts";

type Directory = NonNullable<ClaimedTask["directory"]>;

/** `undefined`: none is meant, and the task gets one of its own. */
export function ownDirectory({ project_resources }: ClaimedTask, daemonId: string): Directory | undefined {
  const ours = project_resources.find(({ resource_type, resource_ref }) =>
    resource_type === "local_directory" && resource_ref.local_path !== "" &&
    resource_ref.daemon_id.toLowerCase() === daemonId.toLowerCase()
  );
  if (!ours) return undefined;
  const { local_path: path, execution_mode } = ours.resource_ref;
  return { mode: execution_mode === "worktree" ? "worktree" : "in-place", path };
}
