/** The places below HOME from which a CLI may run newer code than is installed: what is in them, in a text that changes with it. */
import { isAbsolute, join } from "@std/path";
import type { Env } from "../core/ports.ts";
import { rowOf } from "./registry.ts";
import { namesIn, type Surroundings } from "./what_runs_look.ts";

/** As deep as a folder of the platform, one of the version, and the files in it. */
const DEPTH = 3;
/** Of each place; what is beyond shows when the version is asked for the next time. */
const MAX_NAMES = 64;

/** From the CLI's row of the table, as paths. */
export function placesOf(provider: string, { HOME }: Env): readonly string[] {
  return HOME && isAbsolute(HOME) ? (rowOf(provider)?.runsFrom ?? []).map((path) => join(HOME, path)) : [];
}

/** Empty without places. Never throws. */
export async function markOfPlaces(places: readonly string[], around: Surroundings): Promise<string> {
  if (places.length === 0) return "";
  const found = await Promise.all(places.map((place) => namesBelow(place, around)));
  const marks = await Promise.all(
    found.flat().map(async (path) => {
      const look = await around.fingerprints.look(path);
      return [
        path,
        "mark" in look ? [look.mark.realPath, look.mark.ino, look.mark.size, look.mark.mtimeMs] : look.kind,
      ];
    }),
  );
  return JSON.stringify(marks);
}

/** The place itself and what is in it, outermost first. */
async function namesBelow(place: string, around: Surroundings): Promise<readonly string[]> {
  const found = [place];
  let level = [place];
  for (let depth = 0; depth < DEPTH && level.length > 0; depth++) {
    const inner = await Promise.all(
      level.map(async (path) => (await namesIn(path, around)).map((name) => join(path, name))),
    );
    level = inner.flat().slice(0, MAX_NAMES - found.length);
    found.push(...level);
  }
  return found;
}
