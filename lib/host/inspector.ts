/** What only a diagnosis asks of the machine: who has a file open, and how much room a file system has. */
import type { DiskSpace, Inspector } from "../core/ports.ts";
import { effect } from "./errors.ts";

export function createInspector(): Inspector {
  return {
    openedBy: (path) => effect("look for who has opened", path, () => openedBy(path)),
    diskSpace: (path) => effect("look at the file system of", path, () => diskSpace(path)),
  };
}

/** Linux only: macOS tells no program without rights of its own. Other users' processes may not be looked into. */
async function openedBy(path: string): Promise<number[]> {
  if (Deno.build.os !== "linux") return [];
  const wanted = await Deno.stat(path);
  const pids: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === Deno.pid) continue;
    if (await hasOpen(pid, wanted)) pids.push(pid);
  }
  return pids.sort((a, b) => a - b);
}

async function hasOpen(pid: number, wanted: Deno.FileInfo): Promise<boolean> {
  try {
    // By identity, as a path can be written in many ways.
    const isIt = async (path: string) => {
      const file = await Deno.stat(path).catch(() => undefined);
      return file !== undefined && file.ino === wanted.ino && file.dev === wanted.dev;
    };
    if (await isIt(`/proc/${pid}/exe`)) return true;
    for await (const { name } of Deno.readDir(`/proc/${pid}/fd`)) {
      if (await isIt(`/proc/${pid}/fd/${name}`)) return true;
    }
  } catch {
    // It ended, or is somebody else's.
  }
  return false;
}

async function diskSpace(path: string): Promise<DiskSpace> {
  // Loaded here: at the top it would cost every command its time.
  const { statfs } = await import("node:fs/promises");
  const { bavail, blocks, bsize, ffree, files } = await statfs(path);
  // File systems that make files as they are needed report none at all.
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize, freeFiles: files === 0 ? null : ffree };
}
