/** A connection that this program may work with: versions compared, an older idle daemon replaced, a cut-off restart completed. */
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { Host } from "../core/ports.ts";
import { completeRestart, forgetRestart, restartPending } from "../lifecycle/instance.ts";
import { makeUsable } from "../lifecycle/replace.ts";
import type { ControlConnection } from "./control_client.ts";
import { instancePorts } from "./instance.ts";
import { connectControl } from "./reach.ts";

const READY_MS = 30_000;

export interface UsableOptions {
  /** For people, about what is waited for or done on the way. */
  readonly note: (text: string) => void;
}

/** `undefined` when nobody answers. Throws `version_conflict`, and what a start throws. */
export async function connectUsable(
  host: Host,
  home: Home,
  { note }: UsableOptions,
): Promise<ControlConnection | undefined> {
  const ports = instancePorts(host, home);
  const onWait = (holder: string) => note(`waiting for ${holder} …`);
  const control = await connectControl(host, home) ?? await connectCompleted(host, home, { note });
  if (!control) return undefined;
  try {
    const usable = await makeUsable(ports, home, control.hello, { onWait });
    if (usable.kind === "other-version") note(usable.why);
    if (usable.kind !== "replaced") return control;
    note(`the daemon was version ${control.hello.version} and is ${usable.hello.version} now`);
  } catch (error) {
    control[Symbol.dispose]();
    throw error;
  }
  control[Symbol.dispose]();
  return await connectControl(host, home);
}

/** Somebody's restart has ended the daemon and not started the next one: this command does. */
async function connectCompleted(
  host: Host,
  home: Home,
  { note }: UsableOptions,
): Promise<ControlConnection | undefined> {
  if (!await isRestarting(host, home)) return undefined;
  try {
    const onWait = (holder: string) => note(`waiting for ${holder} …`);
    const completed = await completeRestart(instancePorts(host, home), home, { timeoutMs: READY_MS, onWait });
    if (completed?.status === "started") note("a restart was cut off; started the daemon again");
  } catch (error) {
    if (!(error instanceof DroverError)) throw error;
    note(`a restart was cut off and cannot be completed: ${error.message}`);
    await forgetRestart(instancePorts(host, home), home);
  }
  return await connectControl(host, home);
}

/** A restart is under way, or was cut off. */
export function isRestarting({ files }: Host, home: Home): Promise<boolean> {
  return restartPending({ files }, home);
}
