/** The private home of an agent CLI: a directory of its own state for each conversation, made from the user's. */
import { dirname, join } from "@std/path";
import type { PrivateHome } from "../agents/provider_row.ts";
import { type Env, type Files, HostError } from "../core/ports.ts";

/** Of its directory. A custom runtime may be logged in elsewhere, and shares none with the CLI that it is like. */
export function homeName(provider: string, profile?: string): string {
  return profile === undefined ? provider : `${provider}.${profile.replace(/[^\w-]/g, "_")}`;
}

/** Whether a directory is one of these, of whichever of a provider's runtimes. */
export function isHomeOf(provider: string, name: string): boolean {
  return name === provider || name.startsWith(`${provider}.`);
}

/** The variables that lead the CLI there; empty where the user's own home cannot be known. Throws `HostError`. */
export async function makePrivateHome(
  path: string,
  wanted: PrivateHome,
  { files, env }: { files: Files; env: Env },
): Promise<Env> {
  const original = env[wanted.variable] || (env.HOME ? join(env.HOME, wanted.original) : "");
  if (!original.startsWith("/")) return {};
  await files.makeDirectory(path);
  await files.chmod(path, 0o700);
  for (const name of wanted.linked) await link(join(original, name), join(path, name), files);
  for (const name of wanted.copied) await copy(join(original, name), join(path, name), files);
  return { [wanted.variable]: path };
}

/** What the CLI put in the place of a link is newer than the user's: a renewed log-in, which must not be taken from it. */
async function link(original: string, path: string, files: Files): Promise<void> {
  const theirs = await files.stat(original);
  if (!theirs) return;
  const ours = await files.stat(path, { link: true });
  if (ours && !ours.isSymlink && (ours.isDirectory || ours.mtimeMs >= theirs.mtimeMs)) return;
  await files.makeDirectory(dirname(path));
  await files.remove(path);
  await files.symlink(original, path);
}

/** Afresh for each run, so that what the user changed counts. */
async function copy(original: string, path: string, files: Files): Promise<void> {
  try {
    const bytes = await files.readBytes(original);
    await files.makeDirectory(dirname(path));
    await files.writeAtomic(path, bytes, { sync: false });
  } catch (error) {
    if (!(error instanceof HostError) || error.code !== "not-found") throw error;
  }
}
