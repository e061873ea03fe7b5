/** Putting a damaged file of the home aside: kept for whoever wants to know, out of the way of everybody else. */
import { type Files, HostError } from "../core/ports.ts";

/** How many damaged copies of one file are kept. */
const KEPT = 3;

/** Moves the file to `NAME.bad-TIME`, and drops the oldest such copies. No error when it is gone already. */
export async function setAside(files: Files, path: string, now: number): Promise<void> {
  const at = path.lastIndexOf("/");
  const [directory, name] = [path.slice(0, at), path.slice(at + 1)];
  const stamp = new Date(now).toISOString().replaceAll(/[-:.]/g, "");
  try {
    await files.rename(path, `${path}.bad-${stamp}`);
  } catch (error) {
    if (!(error instanceof HostError && error.code === "not-found")) throw error;
  }
  const copies = (await files.list(directory)).filter((other) => other.startsWith(`${name}.bad-`));
  for (const old of copies.slice(0, -KEPT)) await files.remove(`${directory}/${old}`);
}
