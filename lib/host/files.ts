/** Files with private modes: directories 0700, files 0600, every whole-file write atomic. */
import { dirname } from "@std/path";
import { UNFINISHED_PREFIX } from "../core/home.ts";
import type { FileInfo, Files } from "../core/ports.ts";
import { effect, hostErrorCode } from "./errors.ts";

const PRIVATE_FILE = 0o600;
const PRIVATE_DIRECTORY = 0o700;

export function createFiles(): Files {
  return {
    readText: (path) => effect("read", path, () => Deno.readTextFile(path)),
    readBytes: (path) => effect("read", path, () => Deno.readFile(path)),
    readRange: (path, range) => effect("read", path, () => readRange(path, range)),
    writeAtomic: (path, text, options = {}) => effect("write", path, () => writeAtomic(path, text, options)),
    overwrite: (path, bytes) => effect("write", path, () => overwrite(path, bytes)),
    append: (path, text) => effect("append to", path, () => append(path, text)),
    appendStream,
    readLink: (path) => effect("read the link", path, () => readLinkIfThere(path)),
    makeDirectory: (path) =>
      effect("create directory", path, () => Deno.mkdir(path, { recursive: true, mode: PRIVATE_DIRECTORY })),
    rename: (from, to) => effect("rename", from, () => Deno.rename(from, to)),
    remove: (path) => effect("remove", path, () => removeIfThere(path)),
    stat: (path, options = {}) => effect("look at", path, () => statIfThere(path, options.link ?? false)),
    realPath: (path) => effect("resolve", path, () => Deno.realPath(path)),
    symlink: (target, path) => effect("link", path, () => Deno.symlink(target, path)),
    list: (path) => effect("list", path, () => list(path)),
    setModified: (path, ms) => effect("set the time of", path, () => Deno.utime(path, new Date(ms), new Date(ms))),
    chmod: (path, mode) => effect("change the mode of", path, () => Deno.chmod(path, mode)),
  };
}

async function readRange(path: string, { offset, bytes }: { offset: number; bytes: number }): Promise<Uint8Array> {
  using file = await Deno.open(path);
  await file.seek(offset, Deno.SeekMode.Start);
  const buffer = new Uint8Array(bytes);
  let length = 0;
  while (length < bytes) {
    const read = await file.read(buffer.subarray(length));
    if (read === null) break;
    length += read;
  }
  return buffer.subarray(0, length);
}

/** A reader sees the old text or the new one, also after a power cut: temporary file, sync, rename, sync of the directory. */
async function writeAtomic(
  path: string,
  text: string | Uint8Array,
  { mode = PRIVATE_FILE, sync = true }: { mode?: number; sync?: boolean },
): Promise<void> {
  const temporary = await Deno.makeTempFile({ dir: dirname(path), prefix: UNFINISHED_PREFIX });
  try {
    using file = await Deno.open(temporary, { write: true });
    await writeAll(file, text);
    await Deno.chmod(temporary, mode);
    if (sync) await file.sync();
    await Deno.rename(temporary, path);
  } catch (error) {
    await removeIfThere(temporary).catch(() => {});
    throw error;
  }
  if (!sync) return;
  using directory = await Deno.open(dirname(path));
  await directory.sync();
}

/** Not `Deno.writeTextFile`: that sets the mode of a file that is there already, whosever and whatever it is. */
async function append(path: string, text: string): Promise<void> {
  using file = await Deno.open(path, { append: true, create: true, mode: PRIVATE_FILE });
  await writeAll(file, text);
}

/** What the source throws is its own, and not a file's that cannot be written. */
async function appendStream(
  path: string,
  source: AsyncIterable<Uint8Array>,
  { signal }: { signal?: AbortSignal } = {},
): Promise<number> {
  using file = await effect("write", path, () => Deno.open(path, { append: true, create: true, mode: PRIVATE_FILE }));
  let written = 0;
  for await (const chunk of source) {
    signal?.throwIfAborted();
    await effect("write", path, () => writeAll(file, chunk));
    written += chunk.length;
  }
  await effect("write", path, () => file.sync());
  return written;
}

async function readLinkIfThere(path: string): Promise<string | undefined> {
  const info = await Deno.lstat(path).catch((error) => {
    if (hostErrorCode(error) !== "not-found") throw error;
  });
  return info?.isSymlink ? await Deno.readLink(path) : undefined;
}

async function overwrite(path: string, bytes: Uint8Array): Promise<void> {
  using file = await Deno.open(path, { write: true, truncate: true });
  await writeAll(file, bytes);
}

async function writeAll(file: Deno.FsFile, text: string | Uint8Array): Promise<void> {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path, { recursive: true });
  } catch (error) {
    if (hostErrorCode(error) !== "not-found") throw error;
  }
}

async function statIfThere(path: string, link: boolean): Promise<FileInfo | undefined> {
  try {
    const info = link ? await Deno.lstat(path) : await Deno.stat(path);
    return {
      isFile: info.isFile,
      isDirectory: info.isDirectory,
      isSymlink: info.isSymlink,
      size: info.size,
      mode: (info.mode ?? 0) & 0o7777,
      uid: info.uid ?? 0,
      mtimeMs: info.mtime?.getTime() ?? 0,
      dev: info.dev,
      ino: info.ino ?? 0,
    };
  } catch (error) {
    if (hostErrorCode(error) === "not-found") return undefined;
    throw error;
  }
}

async function list(path: string): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(path)) names.push(entry.name);
  return names.sort();
}
