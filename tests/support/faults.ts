/** The private file of a home that ends, holds up or fails its processes at named points. */
import { join } from "@std/path";
import type { FaultPoint } from "../../lib/lifecycle/verb.ts";
import type { TestHome } from "./drover.ts";

export type Faults = { readonly [P in FaultPoint]?: { action: "kill" | "pause" | "fail"; untilFile?: string } };

/** Read by each process at its first point, once. */
export async function setFaults(home: TestHome, faults: Faults): Promise<void> {
  await Deno.mkdir(home.home, { recursive: true, mode: 0o700 });
  await Deno.writeTextFile(join(home.home, "fault-points.json"), JSON.stringify(faults), { mode: 0o600 });
}

export async function clearFaults(home: TestHome): Promise<void> {
  await Deno.remove(join(home.home, "fault-points.json"));
}
