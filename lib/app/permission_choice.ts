/** What a task of `drover run` may do, with which agent: what was asked for, if that agent can promise it, else what its directory suggests. */
import { permissionRefusal, sandboxRefusal, takesEffort } from "../agents/command_line.ts";
import { rowOf } from "../agents/registry.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { DirectoryMode, Permission } from "../core/model.ts";
import { PERMISSIONS } from "../core/model.ts";
import { choosePermission, defaultPermission } from "../core/permission_policy.ts";
import type { Host } from "../core/ports.ts";

export interface PermissionWish {
  readonly mode: DirectoryMode;
  /** Typed by the user; absent for the default. */
  readonly permission?: Permission | undefined;
  readonly sandbox?: boolean;
  readonly effort?: string | undefined;
}

export interface PermissionPlan {
  readonly permission: Permission;
  /** What the user should know. */
  readonly remarks: readonly string[];
}

/** Throws `usage` for what the agent cannot promise, before there is a task that would fail of it. */
export function planPermission(provider: string, wish: PermissionWish): PermissionPlan {
  const { mode, permission: named, sandbox, effort } = wish;
  const row = rowOf(provider);
  // A CLI of a newer daemon: that one knows it, and refuses what cannot be.
  if (!row) return { permission: named ?? defaultPermission(mode), remarks: [] };
  if (sandbox && !row.args.sandbox) throw new DroverError("usage", `Cannot run the task: ${sandboxRefusal(row)}`);
  if (effort && !takesEffort(row)) {
    throw new DroverError("usage", `Cannot run the task: ${row.title} cannot be told how hard to think`, {
      hint: "run it without --effort",
    });
  }
  const able = PERMISSIONS.filter((one) => row.permissions[one]);
  const chosen = choosePermission(mode, { able, ...(named ? { named } : {}) });
  switch (chosen.kind) {
    case "refused":
      throw new DroverError("usage", `Cannot run the task: ${permissionRefusal(row, chosen.wanted)}`);
    case "narrowed":
      return {
        permission: chosen.permission,
        remarks: [
          `${row.title} cannot ask for permission, so it works ${chosen.permission}; ` +
          "--permission full lets it change files",
        ],
      };
    case "chosen":
      return {
        permission: chosen.permission,
        remarks: named === undefined && mode === "in-place" ? [IN_PLACE] : [],
      };
  }
}

const IN_PLACE =
  "working in place: what the agent wants to change or start is asked first; --permission full asks nothing";

/** For people, before the first task of a home that nothing holds back. */
export const FULL_MEANS =
  "full means that the agent reads, changes and runs whatever your account may, unasked; --permission ask or " +
  "read-only limits it (said once)";

/** True once in the life of a home; whoever hears it says it. */
export async function isFirstFullRun({ files }: Pick<Host, "files">, home: Home): Promise<boolean> {
  if (await files.stat(home.fullExplained)) return false;
  await files.writeAtomic(home.fullExplained, "{}\n", { mode: 0o600 });
  return true;
}
