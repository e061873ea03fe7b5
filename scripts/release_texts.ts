/** The texts that a release fills in: the keys and the address in the installer, versions and digests in the Homebrew formula. */
import { isTarget, releaseFileUrl } from "../lib/core/release.ts";
import type { ReleaseManifest } from "../lib/wire/release_manifest.ts";

const MARKED = /^(# release: begin\n)[^]*?^(# release: end\n)/gm;

/** Between the two marks of install.sh. The values are base64 and an address, and stand in single quotes all the same. */
export function installerWith(
  text: string,
  { keys, base }: { readonly keys: readonly string[]; readonly base: string },
): string {
  if ([...text.matchAll(MARKED)].length !== 1) {
    throw new Error(`Cannot fill in install.sh: it needs the lines "# release: begin" and "# release: end", once`);
  }
  if (!/^(https?:\/\/[\w.:/~%+-]+)?$/.test(base)) {
    throw new Error(`Cannot fill in install.sh: "${base}" is no address of releases`);
  }
  const values = `RELEASE_KEYS='${keys.join(" ")}'\nRELEASE_URL='${base}'\n`;
  return text.replace(MARKED, (_all, begin: string, end: string) => begin + values + end);
}

/** Of a release; `template` has a block from `# target NAME` to `# end` for each target, and the missing ones are left out. */
export function formulaOf(template: string, { manifest, base }: { manifest: ReleaseManifest; base: string }): string {
  const blocks = template.replace(
    /^ *# target (\S+)\n([^]*?)^ *# end\n/gm,
    (_all, target: string, block: string) => {
      const build = isTarget(target) ? manifest.targets[target] : undefined;
      if (!build) return "";
      return block.replaceAll("@URL@", releaseFileUrl(base, manifest.version, build.archive))
        .replaceAll("@SHA256@", build.sha256);
    },
  );
  const filled = blocks.replaceAll("@VERSION@", manifest.version)
    .replaceAll("@HOMEPAGE@", base.replace(/\/releases\/?$/, ""));
  const left = /@[A-Z0-9]+@/.exec(filled)?.[0];
  if (left) throw new Error(`Cannot fill in the Homebrew formula: ${left} is not known`);
  return filled;
}
