/** A daemon that was started for somebody stays only while it is wanted: a stop may have come before it was there to hear of it. */
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { REASON_VARIABLE, type SupervisorKind } from "../core/launch.ts";
import type { Host } from "../core/ports.ts";
import { readLifecycle } from "../lifecycle/lifecycle_file.ts";

/**
 * To be called with the daemon lock in hand: a stop notes what it wants before it looks at the lock, so one of the two
 * always sees the other. Whoever types `drover daemon` wants it, whatever was noted. Throws `busy`.
 */
export async function checkWanted(
  { files, system }: Pick<Host, "files" | "system">,
  home: Home,
  { supervisor = "none" }: { supervisor?: SupervisorKind } = {},
): Promise<void> {
  if (supervisor === "none" && system.env[REASON_VARIABLE] === undefined) return;
  const { desired } = await readLifecycle(files, home);
  if (desired?.state !== "stopped") return;
  throw new DroverError(
    "busy",
    `Cannot become the daemon of ${home.root}: drover ${desired.by} has ended it before it was there (${desired.at})`,
    { hint: "drover start starts it again" },
  );
}
