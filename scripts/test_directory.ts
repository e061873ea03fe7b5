/** Where a run of the tests has its files: in memory where there is room, else on the disk; and what it leaves there. */
import { join } from "@std/path";
import { tryCapture } from "./command.ts";

const MEMORY = "/dev/shm";
/** Copies of the executable are most of it, several at a time. */
const ROOM_KB = 4 * 1024 * 1024;
/** What ends with its last user may still be at it. */
const PATIENCE_MS = 5_000;
const REMOVALS = 10;

/** The system's own for it is often a disk on which to make a file takes longer the more were just removed. */
export async function testDirectory(): Promise<string> {
  const dir = await hasRoom() ? MEMORY : undefined;
  const path = await Deno.makeTempDir({ prefix: "dt-", ...(dir ? { dir } : {}) });
  // For servers that run as another user.
  await Deno.chmod(path, 0o1777);
  return path;
}

/** Removes it, and tells the names of what was still there. */
export async function removeTestDirectory(path: string, patienceMs = PATIENCE_MS): Promise<readonly string[]> {
  const left = () => [...Deno.readDirSync(path)].map(({ name }) => name).sort();
  for (const until = Date.now() + patienceMs; left().length > 0 && Date.now() < until;) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const names = left();
  // Somebody may be writing there yet.
  for (let tries = 1;; tries++) {
    try {
      await Deno.remove(path, { recursive: true });
      return names;
    } catch (error) {
      if (tries === REMOVALS) throw error;
    }
  }
}

async function hasRoom(): Promise<boolean> {
  if (Deno.build.os !== "linux") return false;
  const free = Number((await tryCapture(["df", "-kP", MEMORY]))?.split("\n")[1]?.split(/ +/)[3]);
  const available = Number(/^MemAvailable: +(\d+) kB$/m.exec(await Deno.readTextFile("/proc/meminfo"))?.[1]);
  return free > ROOM_KB && available > 2 * ROOM_KB && await runsPrograms();
}

/** In containers it is often mounted so that nothing in it can be run. */
async function runsPrograms(): Promise<boolean> {
  try {
    const directory = await Deno.makeTempDir({ dir: MEMORY, prefix: "dt-" });
    try {
      const program = join(directory, "true");
      return await tryCapture(["cp", "/bin/true", program]) !== undefined && await tryCapture([program]) !== undefined;
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  } catch {
    return false;
  }
}
