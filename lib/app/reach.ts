/** Finds the process that holds a home: by its record, else by the sockets in the home, whose directory is ours alone. */
import type { Home } from "../core/home.ts";
import { type Host, HostError } from "../core/ports.ts";
import { lookAtPidfile, type PidfileLook } from "../lifecycle/pidfile.ts";
import { type ControlConnection, type Reached, type ReachOptions, reachSocket } from "./control_client.ts";
import { checkHome } from "./home_dir.ts";

/** The name of a control socket, as `controlSocket()` of core/home.ts makes it. */
export const SOCKET_NAME = /^c-[0-9a-f]{12}\.sock$/;

/**
 * Who answers for a home. One whose record is missing or names another is found by the home's own socket directory; its
 * `hello` then differs from the record, and it is for the caller to say what that means. At most some two seconds.
 */
export async function reachHolder(
  host: Host,
  home: Home,
  look: PidfileLook,
  options: ReachOptions = {},
): Promise<Reached> {
  const record = look.kind === "record" ? look.record : undefined;
  const recorded = record && await reachSocket(host, record.controlSocket, options);
  if (recorded && recorded.kind !== "absent") return recorded;
  const others = (await socketsOf(host, home)).filter((path) => path !== record?.controlSocket);
  const reached = await Promise.all(others.map((path) => reachSocket(host, path, options)));
  const answering = reached.filter((one) => one.kind === "answers");
  const ours = answering.find(({ connection }) => connection.hello.home === home.root);
  for (const other of answering) if (other !== ours) other.connection[Symbol.dispose]();
  return ours ?? reached.find(({ kind }) => kind === "silent") ?? { kind: "absent" };
}

async function socketsOf(host: Host, home: Home): Promise<string[]> {
  try {
    const names = await host.files.list(home.runDirectory);
    return names.filter((name) => SOCKET_NAME.test(name)).map((name) => `${home.runDirectory}/${name}`);
  } catch (error) {
    if (error instanceof HostError) return [];
    throw error;
  }
}

/** The holder of the home, when it answers; whatever version it is. Never waits much longer than two seconds. Throws `home_unusable`. */
export async function connectControl(host: Host, home: Home): Promise<ControlConnection | undefined> {
  if (!await checkHome(host, home)) return undefined;
  const look = await lookAtPidfile(host.files, home.pidfile);
  const reached = await reachHolder(host, home, look);
  return reached.kind === "answers" ? reached.connection : undefined;
}
