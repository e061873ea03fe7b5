/** Where the project's files are, for the scripts: everything is found from this file, never from the current directory. */
import { createHash } from "node:crypto";
import { fromFileUrl, join } from "@std/path";

export const ROOT: string = fromFileUrl(new URL("..", import.meta.url)).replace(/\/$/, "");

/** Installed tools; git-ignored. `DROVER_TOOLS` moves it, so that several checkouts can share one. */
export function toolsDir(): string {
  return Deno.env.get("DROVER_TOOLS") || join(ROOT, ".tools");
}

/** The compiled program that the end-to-end tests run beside the one from source. */
export const BINARY: string = join(ROOT, "dist", "drover");

/** Paths below `folder` relative to the project, with `/`, sorted; only names that end in one of `endings`. */
export async function listFiles(folder: string, endings: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for await (const entry of Deno.readDir(join(ROOT, folder))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) found.push(...await listFiles(path, endings));
    else if (entry.isFile && endings.some((ending) => entry.name.endsWith(ending))) found.push(path);
  }
  return found.sort();
}

/** SHA-256 of a file as lower-case hex, read in pieces: a CLI's executable has hundreds of megabytes. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  const buffer = new Uint8Array(1 << 20);
  for (let count = await file.read(buffer); count !== null; count = await file.read(buffer)) {
    hash.update(buffer.subarray(0, count));
  }
  return hash.digest("hex");
}

/**
 * Makes the folder `path` by `fill`, or not at all: what is half made has another name, and the first of several that
 * make it at the same time wins. Does nothing where the folder exists.
 */
export async function makeFolderOnce(path: string, fill: (folder: string) => Promise<void>): Promise<void> {
  if (await isFolder(path)) return;
  await Deno.mkdir(join(path, ".."), { recursive: true });
  const temporary = await Deno.makeTempDir({ dir: join(path, ".."), prefix: ".making-" });
  try {
    await fill(temporary);
    try {
      await Deno.chmod(temporary, 0o755);
      await Deno.rename(temporary, path);
    } catch (error) {
      if (!await isFolder(path)) throw error;
    }
  } finally {
    await Deno.remove(temporary, { recursive: true }).catch(() => undefined);
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch {
    return false;
  }
}
