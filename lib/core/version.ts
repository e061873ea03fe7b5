/** Reading and ordering version numbers, of agent CLIs and of drover itself. */

export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** What follows a `-`, e.g. `rc.1`; empty for a release. */
  readonly pre: string;
}

const PATTERN = /(?<![\d.])v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z][0-9A-Za-z-]*(?:\.[0-9A-Za-z-]+)*))?/;

/** The first version number in a text, `undefined` when there is none. */
export function findVersion(text: string): Version | undefined {
  const found = PATTERN.exec(text);
  if (!found) return undefined;
  return { major: Number(found[1]), minor: Number(found[2]), patch: Number(found[3]), pre: found[4] ?? "" };
}

export function formatVersion(version: Version): string {
  const base = `${version.major}.${version.minor}.${version.patch}`;
  return version.pre ? `${base}-${version.pre}` : base;
}

/** Negative when `a` comes before `b`. A pre-release comes before its release (semver 2.0, section 11). */
export function compareVersions(a: Version, b: Version): number {
  const base = a.major - b.major || a.minor - b.minor || a.patch - b.patch;
  if (base !== 0) return base;
  if (a.pre === b.pre) return 0;
  if (!a.pre) return 1;
  if (!b.pre) return -1;
  return comparePre(a.pre.split("."), b.pre.split("."));
}

function comparePre(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [x, y] = [a[i], b[i]];
    if (x === undefined) return -1;
    if (y === undefined) return 1;
    if (x === y) continue;
    const [nx, ny] = [/^\d+$/.test(x), /^\d+$/.test(y)];
    if (nx && ny) return Number(x) - Number(y);
    if (nx !== ny) return nx ? -1 : 1;
    return x < y ? -1 : 1;
  }
  return 0;
}
