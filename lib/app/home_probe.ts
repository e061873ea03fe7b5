/** What the file system of a home can do, tried in a directory of the home's own that is removed again. */
import { type CommandResult, type Host, HostError } from "../core/ports.ts";
import { controlSocket, type Home } from "../core/home.ts";
import { type Finding, ok, problem } from "./doctor_check.ts";

interface Probe {
  readonly host: Host;
  readonly home: Home;
  /** There, empty, and ours. */
  readonly directory: string;
}

interface Capability {
  readonly name: string;
  readonly without: string;
  /** Throws, or returns why not. */
  readonly works: (probe: Probe) => Promise<string | undefined>;
}

const PREFIX = ".probe-";
const ABANDONED_MS = 10 * 60_000;
const PROGRAM_MS = 5_000;
const BUSY_TRIES = 20;
const BUSY_MS = 50;
const ELSEWHERE = "set DROVER_HOME to a directory on a local disk";

const CAPABILITIES: readonly Capability[] = [
  { name: "locks", without: `two daemons could run at once: ${ELSEWHERE}`, works: locks },
  { name: "synced writes and renames", without: `nothing is kept safely: ${ELSEWHERE}`, works: writes },
  { name: "sockets", without: `no command reaches the daemon: ${ELSEWHERE}`, works: sockets },
  { name: "programs", without: `agents cannot call drover: mount it without noexec, or ${ELSEWHERE}`, works: programs },
];

/** One finding for each thing that does not work. */
export async function probeHome(host: Host, home: Home): Promise<Finding[]> {
  const directory = `${home.root}/${PREFIX}${host.random.hex(4)}`;
  try {
    await removeAbandoned(host, home);
    await host.files.makeDirectory(directory);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return [problem(error.message, HINTS[error.code] ?? ELSEWHERE)];
  }
  try {
    const found: Finding[] = [];
    for (const { name, without, works } of CAPABILITIES) {
      const why = await works({ host, home, directory }).catch((error) => (error as Error).message);
      if (why !== undefined) found.push(problem(`${name} do not work: ${why}`, without));
    }
    const names = CAPABILITIES.map(({ name }) => name).join(", ");
    return found.length > 0 ? found : [ok(`${names} work`)];
  } finally {
    await host.files.remove(directory);
  }
}

const HINTS: Partial<Record<HostError["code"], string>> = {
  "read-only": "the file system is read-only: mount it for writing, or set DROVER_HOME to another directory",
  "no-space": "the disk is full: make room, or set DROVER_HOME to a directory on another disk",
};

/** What a look that was killed has left. */
async function removeAbandoned({ files, clock }: Host, home: Home): Promise<void> {
  for (const name of await files.list(home.root)) {
    if (!name.startsWith(PREFIX)) continue;
    const info = await files.stat(`${home.root}/${name}`, { link: true });
    if (info && clock.now() - info.mtimeMs > ABANDONED_MS) await files.remove(`${home.root}/${name}`);
  }
}

async function locks({ host, directory }: Probe): Promise<string | undefined> {
  using first = await host.locks.tryLock(`${directory}/lock`);
  if (!first) return "a new file is locked already";
  using second = await host.locks.tryLock(`${directory}/lock`);
  return second ? "a second lock was given while the first was held" : undefined;
}

async function writes({ host: { files }, directory }: Probe): Promise<string | undefined> {
  for (const text of ["old", "new"]) await files.writeAtomic(`${directory}/file`, text);
  const text = await files.readText(`${directory}/file`);
  return text === "new" ? undefined : `wrote "new" and read ${JSON.stringify(text)}`;
}

/** Only in the home: where its path is too long, the socket is not there either. */
async function sockets({ host, home, directory }: Probe): Promise<string | undefined> {
  if (controlSocket(home, "0".repeat(32), host.system).directory !== home.runDirectory) return undefined;
  const server = host.network.serveUnix(`${directory}/s`, () => new Response("ok"));
  try {
    using client = host.network.unixClient(`${directory}/s`);
    const answer = await (await client.fetch(new Request("http://drover.local/"))).text();
    return answer === "ok" ? undefined : "what answered was something else";
  } finally {
    await server.close();
  }
}

async function programs({ host, directory }: Probe): Promise<string | undefined> {
  const executable = `${directory}/program`;
  await host.files.writeAtomic(executable, "#!/bin/sh\nexit 0\n", { mode: 0o700 });
  const { exit, timedOut } = await runFresh({ host, directory }, executable);
  if (timedOut) return `a script did not end within ${PROGRAM_MS / 1000} s`;
  return exit.code === 0 ? undefined : `a script that does nothing ended with code ${exit.code}`;
}

/** A fork elsewhere in this process has the file open for writing until its exec, and so long the system calls it busy. */
async function runFresh(
  { host, directory }: Pick<Probe, "host" | "directory">,
  executable: string,
): Promise<CommandResult> {
  for (let tries = 1;; tries++) {
    try {
      return await host.processes.run({ executable, args: [], cwd: directory, env: {} }, { timeoutMs: PROGRAM_MS });
    } catch (error) {
      const busy = error instanceof HostError && /busy|os error 26\b/i.test(error.message);
      if (!busy || tries === BUSY_TRIES) throw error;
      await host.clock.sleep(BUSY_MS);
    }
  }
}
