/** Locks whose library is loaded already: it stays for the life of a process, and a test counts what was left open. */
import type { Clock, Locks } from "../../lib/core/ports.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createLocks } from "../../lib/host/lock.ts";
import { tempDirectory } from "../host/temp_directory.ts";

/** To be called while a test file is loaded, before the first test counts. */
export async function loadedLocks(clock: Clock = createClock()): Promise<Locks> {
  await using directory = await tempDirectory();
  const made = createLocks(clock);
  (await made.tryLock(directory.at("first.lock")))!.release();
  return made;
}
