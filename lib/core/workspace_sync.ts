/** When the workspaces are looked at again, and what has become of them since (wire protocol 0.6, 1.3). */
import { jitter } from "./pace.ts";

/** In ms. The long one relies on hints; an old server sends none. */
const INTERVAL = { usual: 30 * 60_000, oldServer: 5 * 60_000, noRuntime: 30_000 } as const;
/** How far the wait grows with each failure. */
const LONGEST = { usual: 30 * 60_000, noRuntime: 5 * 60_000 } as const;
const FIRST_RETRY_MS = 30_000;

export interface SyncState {
  /** In a row. */
  readonly failures: number;
  readonly hasRuntimes: boolean;
  readonly oldServer: boolean;
}

/** How long until the next look without a hint; `fraction` in [0, 1) is the caller's randomness. */
export function syncDelay({ failures, hasRuntimes, oldServer }: SyncState, fraction: number): number {
  if (failures > 0) {
    const longest = hasRuntimes ? LONGEST.usual : LONGEST.noRuntime;
    return jitter(Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), longest), fraction);
  }
  if (!hasRuntimes) return jitter(INTERVAL.noRuntime, fraction);
  return jitter(oldServer ? INTERVAL.oldServer : INTERVAL.usual, fraction);
}

export interface WorkspaceChange {
  /** To be registered: new, or without a single runtime. */
  readonly due: readonly string[];
  /** Not ours any more: forgotten here, and nobody is told. */
  readonly lost: readonly string[];
  /** Were there before: their profiles may have changed. */
  readonly kept: readonly string[];
}

/** `registered`: the workspaces that have runtimes of ours, as we know it; `tracked`: all that were there last time. */
export function workspaceChange(
  { tracked, registered, wanted }: {
    readonly tracked: readonly string[];
    readonly registered: ReadonlySet<string>;
    readonly wanted: readonly string[];
  },
): WorkspaceChange {
  const there = new Set(wanted);
  const isKept = (id: string) => tracked.includes(id) && registered.has(id);
  return {
    due: wanted.filter((id) => !isKept(id)),
    lost: tracked.filter((id) => !there.has(id)),
    kept: wanted.filter(isKept),
  };
}
