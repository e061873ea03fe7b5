/** A daemon that was started for somebody stays only while it is wanted: a stop may have come before it was there to hear of it. */
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { REASON_VARIABLE, type SupervisorKind } from "../core/launch.ts";
import type { Host } from "../core/ports.ts";
import { type LifecycleRecord, readLifecycle } from "../lifecycle/lifecycle_file.ts";

/**
 * To be called with the daemon lock in hand: a stop notes what it wants before it looks at the lock, so one of the two
 * always sees the other. Whoever types `drover daemon` wants it, whatever was noted. Throws `busy`, and for a run
 * `already_running`.
 */
export async function checkWanted(
  { files, system }: Pick<Host, "files" | "system">,
  home: Home,
  { mode = "daemon", supervisor = "none" }: { mode?: "daemon" | "run"; supervisor?: SupervisorKind } = {},
): Promise<void> {
  const { desired, operation } = await readLifecycle(files, home);
  if (mode === "run") return checkNotRestarting(home, { desired, operation });
  if (supervisor === "none" && system.env[REASON_VARIABLE] === undefined) return;
  if (desired?.state !== "stopped") return;
  throw new DroverError(
    "busy",
    `Cannot become the daemon of ${home.root}: drover ${desired.by} has ended it before it was there (${desired.at})`,
    { hint: "drover start starts it again" },
  );
}

/** Between the two halves of a restart nobody holds the home, and a run that took it would keep the daemon out. */
function checkNotRestarting(home: Home, { desired, operation }: Pick<LifecycleRecord, "desired" | "operation">): void {
  if (!operation || desired?.state === "stopped") return;
  throw new DroverError("already_running", `Cannot hold ${home.root}: its daemon is being restarted`, {
    hint: "try again in a moment; drover start completes a restart that was cut off",
  });
}
