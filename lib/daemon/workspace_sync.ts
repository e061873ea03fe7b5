/** The workspace sync: looks at a server's workspaces in its own rhythm, and at once when a hint says so. */
import { syncDelay } from "../core/workspace_sync.ts";
import type { Clock, Random } from "../core/ports.ts";
import type { Connection } from "./connection.ts";
import { createHintedWait } from "./hinted_wait.ts";
import type { Registration } from "./registration.ts";

export interface WorkspaceSyncOptions {
  readonly connection: Pick<Connection, "runtimes" | "client">;
  readonly registration: Pick<Registration, "sync">;
  readonly clock: Clock;
  readonly random: Random;
}

export interface WorkspaceSync {
  /** Something may have changed: look now. Several hints before the look are one. */
  now(): void;
  /** Until the signal aborts; what is there at the beginning was looked at by the registration. Never rejects. */
  run(signal: AbortSignal): Promise<void>;
}

export function createWorkspaceSync({ connection, registration, clock, random }: WorkspaceSyncOptions): WorkspaceSync {
  const wait = createHintedWait(clock);
  let failures = 0;
  return {
    now: () => wait.hint(),
    async run(signal) {
      while (!signal.aborted) {
        const hasRuntimes = connection.runtimes.size > 0;
        await wait.pass(
          syncDelay({ failures, hasRuntimes, oldServer: connection.client.old }, random.fraction()),
          signal,
        );
        if (signal.aborted) return;
        const worked = await registration.sync({ signal }).catch(() => false);
        failures = worked ? 0 : failures + 1;
      }
    },
  };
}
