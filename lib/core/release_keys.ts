/** The public keys whose signatures make a release ours; none yet, so that a build says it is unsigned. */

/**
 * Ed25519, the 32 raw bytes in base64. Two at most, the second for the time in which one replaces the other.
 * `scripts/build.ts` puts others in the place of this module where it is given some.
 */
export const RELEASE_KEYS: readonly string[] = [];
