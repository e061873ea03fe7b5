/** Which version the daemon of a home is: by its own word, else by its record; in no more than two seconds. */
import type { Home } from "../core/home.ts";
import type { Host } from "../core/ports.ts";
import { lookAtPidfile, sameProcess } from "../lifecycle/pidfile.ts";
import { reachHolder } from "./reach.ts";
import { checkHome } from "./home_dir.ts";

export interface DaemonVersion {
  readonly version: string;
  readonly protocol: number;
  readonly pid: number;
  readonly instance: string;
  /** `run` for an in-process `drover run`. */
  readonly mode: "daemon" | "run";
  /** False for one that hangs: then this is what its record says. */
  readonly answers: boolean;
}

/** What is left of two seconds when the program has started. */
const PATIENCE_MS = 1_500;

/** `undefined` when none runs. Makes nothing. Throws `home_unusable`. */
export async function daemonVersion(host: Host, home: Home): Promise<DaemonVersion | undefined> {
  if (!await checkHome(host, home)) return undefined;
  const look = await lookAtPidfile(host.files, home.pidfile);
  const late = Promise.withResolvers<undefined>();
  using _limit = host.clock.after(PATIENCE_MS, () => late.resolve(undefined));
  const reached = await Promise.race([reachHolder(host, home, look), late.promise]);
  if (reached?.kind === "answers") {
    using connection = reached.connection;
    const { version, protocol, pid, instance, mode } = connection.hello;
    return { version, protocol, pid, instance, mode, answers: true };
  }
  if (look.kind !== "record" || !sameProcess(look.record, host.system.identityOf(look.record.pid))) return undefined;
  const { version, protocol, pid, instance, mode } = look.record;
  return { version, protocol, pid, instance, mode, answers: false };
}
