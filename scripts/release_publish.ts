/** Puts a release on GitHub by its command gh: first as a draft with all files, then for everybody at once. */
import { join } from "@std/path";
import { capture, tryCapture } from "./command.ts";
import type { MadeRelease } from "./release_files.ts";

/** The commands, for showing and for running. A pre-release does not become the newest. */
export function publishCommands({ folder, files, manifest }: MadeRelease): readonly (readonly [string, ...string[]])[] {
  const tag = `v${manifest.version}`;
  const kind = manifest.version.includes("-") ? ["--prerelease"] : [];
  const paths = files.map(({ name }) => join(folder, name));
  return [
    [
      "gh",
      "release",
      "create",
      tag,
      "--draft",
      "--verify-tag",
      "--generate-notes",
      `--title=drover ${tag}`,
      ...kind,
      ...paths,
    ],
    ["gh", "release", "edit", tag, "--draft=false"],
  ];
}

/** A draft that an earlier try left behind is replaced; what people may have already is not touched. */
export async function publish(release: MadeRelease): Promise<void> {
  const tag = `v${release.manifest.version}`;
  const seen = await tryCapture(["gh", "release", "view", tag, "--json", "isDraft", "--jq", ".isDraft"]);
  if (seen === "false") throw new Error(`Publishing ${tag} failed: it is published already. Tag a new version`);
  if (seen === "true") await capture(["gh", "release", "delete", tag, "--yes"]);
  for (const command of publishCommands(release)) await capture(command, { timeoutMs: 30 * 60_000 });
}
