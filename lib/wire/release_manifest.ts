/** The manifest of a release: per target the archive, its digest and its signatures; believed in nothing it may not say. */
import * as z from "zod/mini";
import {
  archiveName,
  isKeyId,
  isReleaseVersion,
  isSha256,
  isSignature,
  isTarget,
  RELEASE_LIMITS,
  type Target,
} from "../core/release.ts";

// Lazy, as in payloads.ts. Nothing here has a default that a missing field could hide behind: what a release says of itself
// must be whole.

const Size = (limit: number) => z.int().check(z.gte(1), z.lte(limit));
const Sha256 = z.lazy(() => z.string().check(z.refine(isSha256)));
const Version = z.lazy(() => z.string().check(z.refine(isReleaseVersion)));

const Build = z.lazy(() =>
  z.object({
    archive: z.string(),
    size: Size(RELEASE_LIMITS.archive),
    sha256: Sha256,
    binary_sha256: Sha256,
    binary_size: Size(RELEASE_LIMITS.binary),
    signatures: z.array(z.object({
      key: z.string().check(z.refine(isKeyId)),
      signature: z.string().check(z.refine(isSignature)),
    })).check(z.maxLength(8)),
  })
);
/** One target of a release. */
export type ReleaseBuild = z.infer<typeof Build>;

const Manifest = z.lazy(() =>
  z.object({
    schema: z.literal(1),
    name: z.literal("drover"),
    version: Version,
    /** Hex digits of the commit; empty for a build outside a repository. */
    commit: z.string().check(z.regex(/^[0-9a-f]{0,40}$/)),
    /** ISO 8601 with a zone; of the commit, so that the same commit gives the same manifest. */
    published_at: z.iso.datetime({ offset: true }),
    targets: z.record(z.string().check(z.maxLength(64)), z.unknown()),
    /** Targets that this release does not have, and why. */
    left_out: z.catch(z.record(z.string().check(z.maxLength(64)), z.string().check(z.maxLength(1_000))), {}),
    state: z.object({ writes: z.int().check(z.gte(0)), readable_by: Version }),
  })
);

export interface ReleaseManifest extends Omit<z.infer<typeof Manifest>, "targets"> {
  readonly targets: Readonly<Partial<Record<Target, ReleaseBuild>>>;
}

/** Targets that this drover does not know are left out. Throws with the field that is wrong for everything else. */
export function readReleaseManifest(value: unknown): ReleaseManifest {
  const manifest = parsed(Manifest, value, "");
  const targets: Partial<Record<Target, ReleaseBuild>> = {};
  for (const [target, build] of Object.entries(manifest.targets)) {
    if (!isTarget(target)) continue;
    const read = parsed(Build, build, `targets.${target}.`);
    // The only name it can have; so nothing in the manifest leads out of the directory of its release.
    if (read.archive !== archiveName(manifest.version, target)) throw wrong(`targets.${target}.archive`);
    targets[target] = read;
  }
  return { ...manifest, targets };
}

function parsed<T>(schema: z.ZodMiniType<T>, value: unknown, at: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw wrong(at + (result.error.issues[0]?.path.map(String).join(".") ?? ""));
}

function wrong(field: string): Error {
  return new Error(`Reading the manifest of a release failed: ${field || "it"} is missing or not as it must be`);
}
