/** Whose this program is: the installation it was started from, and what to type where drover does not replace itself. */
import { BUILD } from "../core/build_info.ts";
import {
  type Installation,
  type InstallRecord,
  type Owner,
  ownerOf,
  readInstallRecord,
  releaseOfPointer,
} from "../core/installation.ts";
import { type Host, HostError } from "../core/ports.ts";
import { UpdateError } from "../core/update_error.ts";

/** An installation that drover changes by itself. */
export type Own = Extract<Owner, { kind: "drover" }>;

export type OwnPorts = Pick<Host, "files" | "system">;

/** Of the executable that runs, with every link followed. */
export async function ownOwner({ files, system }: OwnPorts): Promise<Owner> {
  const path = system.compiled ? await pathOf({ files, system }) : "";
  return ownerOf(path, { compiled: system.compiled, released: !BUILD.local });
}

const REPLACED = / \(deleted\)$/;

/** One that was replaced since it was started has no path any more, only the one it had. */
async function pathOf({ files, system }: OwnPorts): Promise<string> {
  try {
    return await files.realPath(system.image);
  } catch (error) {
    if (!(error instanceof HostError) || error.code !== "not-found") throw error;
    return ((await files.readLink(system.image)) ?? system.image).replace(REPLACED, "");
  }
}

const INSTEAD: { readonly [K in Exclude<Owner["kind"], "drover">]: readonly [why: string, hint: string] } = {
  homebrew: ["Homebrew installed it", "type: brew upgrade drover"],
  source: ["it runs from its source", "type: git pull"],
  development: ["it was built here, not released", "type: git pull && deno task build"],
  other: ["something else than drover's installer put it there", "update it the way it was installed"],
};

/** Throws `not-ours` where something else replaces this program. */
export function demandOwn(owner: Owner): Own {
  if (owner.kind === "drover") return owner;
  const [why, hint] = INSTEAD[owner.kind];
  throw new UpdateError("not-ours", `Updating was refused: this drover does not replace itself, ${why}`, { hint });
}

/** The name of the release that the pointer leads to; `undefined` for none, and for a pointer that is not ours. */
export async function currentRelease(files: Host["files"], installation: Installation): Promise<string | undefined> {
  const text = await files.readLink(installation.current);
  return text === undefined ? undefined : releaseOfPointer(text);
}

/** What install.json says; `undefined` where it is gone, damaged, or cannot be read. */
export async function installRecord(
  files: Host["files"],
  installation: Installation,
): Promise<InstallRecord | undefined> {
  try {
    return readInstallRecord(await files.readText(installation.record));
  } catch (error) {
    if (error instanceof HostError) return undefined;
    throw error;
  }
}
