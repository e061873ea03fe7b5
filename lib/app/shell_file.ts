/** Taking our lines out of a shell's file: every other byte of it stays, and a copy is there until it is whole again. */
import { DroverError } from "../core/drover_error.ts";
import { SHELL_LINE_MARK } from "../core/installation.ts";
import { type Files, HostError } from "../core/ports.ts";

const MARK = new TextEncoder().encode(SHELL_LINE_MARK);
const LINE_FEED = 10;

/** False when there is none. The file stays the one it is, link or not. Throws `internal`; what was in it is then not lost. */
export async function cleanShellFile(files: Files, path: string): Promise<boolean> {
  const info = await files.stat(path);
  if (!info) return false;
  const copy = `${path}.drover-uninstall`;
  const before = await uncut(files, { bytes: await files.readBytes(path), copy });
  const after = withoutOurLines(before);
  if (after.length === before.length) return false;
  if (after.length === 0 && path.endsWith("/fish/conf.d/drover.fish")) {
    await files.remove(path);
    return true;
  }
  const byHand = `remove the line that ends in '${SHELL_LINE_MARK}' yourself`;
  try {
    await files.writeAtomic(copy, before, { mode: info.mode & 0o777 });
  } catch (error) {
    throw failure(`keeping a copy of ${path}`, error, byHand);
  }
  try {
    await replace(files, path, after);
  } catch (error) {
    const restored = await replace(files, path, before).then(() => true, () => false);
    if (restored) await files.remove(copy).catch(() => {});
    throw failure(`writing ${path}`, error, restored ? byHand : `what was in it is in ${copy}; put it back`);
  }
  await files.remove(copy);
  return true;
}

/** What an earlier try was writing when it was ended begins like that: then its copy is what is meant. */
async function uncut(
  files: Files,
  { bytes, copy }: { bytes: Uint8Array; copy: string },
): Promise<Uint8Array> {
  if (!await files.stat(copy)) return bytes;
  const kept = await files.readBytes(copy);
  const meant = withoutOurLines(kept);
  return bytes.every((byte, i) => byte === meant[i]) ? kept : bytes;
}

function withoutOurLines(bytes: Uint8Array): Uint8Array {
  const kept = new Uint8Array(bytes.length);
  let length = 0;
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(LINE_FEED, at);
    const line = bytes.subarray(at, end === -1 ? bytes.length : end + 1);
    at += line.length;
    if (isOurs(end === -1 ? line : line.subarray(0, -1))) continue;
    kept.set(line, length);
    length += line.length;
  }
  return kept.subarray(0, length);
}

function isOurs(line: Uint8Array): boolean {
  const from = line.length - MARK.length;
  return from >= 0 && MARK.every((byte, i) => line[from + i] === byte);
}

/** In place; on disk when it returns. */
async function replace(files: Files, path: string, bytes: Uint8Array): Promise<void> {
  await files.overwrite(path, new Uint8Array());
  await files.appendStream(path, ReadableStream.from([bytes]));
}

function failure(doing: string, error: unknown, hint: string): DroverError {
  if (!(error instanceof HostError)) throw error;
  return new DroverError("internal", `Uninstalling failed at ${doing}: ${error.message}`, { hint, cause: error });
}
