/** What `drover doctor` finds: one fixture for each finding, in a real home on a real file system. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { diagnose, type Diagnosis } from "../../lib/app/doctor.ts";
import { openHome } from "../../lib/app/home_dir.ts";
import { installService, serviceOf } from "../../lib/app/service.ts";
import { BREAKER, type BreakerState, FRESH_BREAKER } from "../../lib/core/breaker.ts";
import { BUILD } from "../../lib/core/build_info.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import { controlSocket, type Home, homeLayout } from "../../lib/core/home.ts";
import { type Env, type Files, type Host, HostError, type Locks } from "../../lib/core/ports.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createInspector } from "../../lib/host/inspector.ts";
import { createLocks } from "../../lib/host/lock.ts";
import { createNetwork } from "../../lib/host/network.ts";
import { FRESH_LIFECYCLE, type LifecycleRecord } from "../../lib/lifecycle/lifecycle_file.ts";
import { type Pidfile, PIDFILE_SCHEMA } from "../../lib/lifecycle/pidfile.ts";
import { CONTROL_PROTOCOL, type Hello } from "../../lib/wire/control.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { eventually } from "../support/drover.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { testHost } from "./test_host.ts";
import { placeScript } from "../support/program_file.ts";

const INSTANCE = "0123456789abcdef0123456789abcdef";
const MINUTE = 60_000;
const CLOCK = createClock();
const locks = await loadedLocks();

/** The library stays loaded for the life of a process: it is before any test counts what was left open. */
async function loadedLocks(): Promise<Locks> {
  await using directory = await tempDirectory();
  const made = createLocks(CLOCK);
  (await made.tryLock(directory.at("lock")))!.release();
  return made;
}

/** A home with whatever a test puts into it; everything it opens is closed at the end. */
class World implements AsyncDisposable {
  readonly home: Home;
  host: Host;
  readonly #stack = new AsyncDisposableStack();

  private constructor(readonly root: string, env: Env) {
    this.home = homeLayout(`${root}/home`);
    this.host = this.#hostWith({ PATH: `${root}/bin`, HOME: root, SHELL: "/bin/bash", ...env });
  }

  static async create(options: { env?: Env; absent?: boolean } = {}): Promise<World> {
    const directory = await tempDirectory();
    const world = new World(directory.path, options.env ?? {});
    world.#stack.use(directory);
    await Deno.mkdir(`${directory.path}/bin`);
    await Deno.writeTextFile(`${directory.path}/drover`, "", { mode: 0o755 });
    if (!options.absent) await openHome(world.host, world.home);
    return world;
  }

  #hostWith(env: Env): Host {
    const { host } = testHost({ env, selfCommand: [`${this.root}/drover`] });
    return { ...host, clock: CLOCK, locks, network: createNetwork(), inspector: createInspector() };
  }

  set env(env: Env) {
    this.host = { ...this.host, system: { ...this.host.system, env: { ...this.host.system.env, ...env } } };
  }

  /** The record of a process that is there: this one. */
  record(change: Partial<Pidfile> = {}): Pidfile {
    return {
      schemaVersion: PIDFILE_SCHEMA,
      ...this.host.system.self(),
      instance: INSTANCE,
      version: BUILD.version,
      protocol: CONTROL_PROTOCOL,
      mode: "daemon",
      binary: Deno.execPath(),
      digest: "",
      controlSocket: this.socket,
      launch: { args: ["daemon"], cwd: "/", env: {}, supervisor: "none" },
      startedAt: new Date().toISOString(),
      startReason: "user",
      ...change,
    };
  }

  get socket(): string {
    return controlSocket(this.home, INSTANCE, this.host.system).path;
  }

  async write(path: string, value: unknown): Promise<void> {
    await Deno.writeTextFile(path, typeof value === "string" ? value : JSON.stringify(value), { mode: 0o600 });
  }

  async lifecycle(change: Partial<LifecycleRecord>): Promise<void> {
    await this.write(this.home.lifecycle, { schemaVersion: 1, ...FRESH_LIFECYCLE, ...change });
  }

  async hold(path: string): Promise<void> {
    const lock = await this.host.locks.tryLock(path);
    assert(lock);
    this.#stack.use(lock);
  }

  /** A daemon, as far as its lock, its record and its socket go. */
  async daemon(
    options: { hello?: Partial<Hello>; status?: object; record?: Partial<Pidfile> | null; lock?: boolean } = {},
  ): Promise<void> {
    const hello: Hello = {
      protocol: CONTROL_PROTOCOL,
      instance: INSTANCE,
      pid: Deno.pid,
      version: BUILD.version,
      mode: "daemon",
      phase: "running",
      home: this.home.root,
      ...options.hello,
    };
    const server = this.host.network.serveUnix(this.socket, ({ url }) => {
      const answers: Record<string, object> = { "/v1/hello": hello, "/v1/status": { ...hello, ...options.status } };
      return Response.json(answers[new URL(url).pathname] ?? {});
    });
    this.#stack.defer(() => server.close());
    if (options.record !== null) await this.write(this.home.pidfile, this.record(options.record));
    if (options.lock !== false) await this.hold(this.home.daemonLock);
  }

  /** Takes connections and never answers. */
  hang(): void {
    const listener = Deno.listen({ transport: "unix", path: this.socket });
    const open: Deno.Conn[] = [];
    const accepting = (async () => {
      for await (const connection of listener) open.push(connection);
    })();
    this.#stack.defer(async () => {
      listener.close();
      await accepting;
      for (const connection of open) connection.close();
    });
  }

  async agent(name: string, body: string): Promise<void> {
    await placeScript(`${this.root}/bin/${name}`, `#!/bin/sh\n${body}\n`);
  }

  diagnose(): Promise<Diagnosis> {
    return diagnose(this.host, this.home);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

function breakerWith(change: Partial<BreakerState>): { breaker: BreakerState } {
  return { breaker: { ...FRESH_BREAKER, ...change } };
}

interface Fixture {
  readonly what: string;
  readonly arrange: (world: World) => Promise<unknown> | unknown;
  readonly check: string;
  readonly verdict: "ok" | "warning" | "problem";
  /** In the finding, the advice or the details. */
  readonly says: readonly string[];
}

const HOME: readonly Fixture[] = [
  {
    what: "a private home",
    arrange: () => {},
    check: "home",
    verdict: "ok",
    says: ["yours alone (mode 700)"],
  },
  {
    what: "a home that others may look into",
    arrange: ({ home }) => Deno.chmod(home.root, 0o755),
    check: "home",
    verdict: "warning",
    says: ["mode 755", "chmod 700"],
  },
  {
    what: "a file that others may write to",
    arrange: async ({ home }) => {
      await Deno.writeTextFile(home.config, "{}");
      await Deno.chmod(home.config, 0o622);
    },
    check: "files",
    verdict: "problem",
    says: ["others may write to config.json (mode 622)", "chmod -R go-rwx"],
  },
  {
    what: "a file that others may read, in a directory of the home",
    arrange: async ({ home }) => {
      await Deno.writeTextFile(home.logFile, "");
      await Deno.chmod(home.logFile, 0o644);
    },
    check: "files",
    verdict: "warning",
    says: ["others may read logs/daemon.log (mode 644)"],
  },
  {
    what: "a file of another user",
    arrange: (world) => {
      const { files } = world.host;
      const stat: Files["stat"] = async (path, options) => {
        const info = await files.stat(path, options);
        return info && path === world.home.bin ? { ...info, uid: info.uid + 1 } : info;
      };
      world.host = { ...world.host, files: { ...files, stat } };
    },
    check: "files",
    verdict: "problem",
    says: ["bin belongs to user", "chown -R"],
  },
  {
    what: "a file that its owner may not read",
    arrange: async ({ home }) => {
      await Deno.writeTextFile(home.daemonId, "");
      await Deno.chmod(home.daemonId, 0o200);
    },
    check: "files",
    verdict: "problem",
    says: ["you may not read daemon.id (mode 200)", "chmod -R u+rwX"],
  },
  {
    what: "many such files, as one finding",
    arrange: async ({ home }) => {
      for (let i = 0; i < 9; i++) {
        await Deno.writeTextFile(`${home.root}/f${i}`, "");
        await Deno.chmod(`${home.root}/f${i}`, 0o644);
      }
    },
    check: "files",
    verdict: "warning",
    says: ["9 files can be read by others", "f8"],
  },
  {
    what: "a file put aside as damaged",
    arrange: ({ home, write }) => write(`${home.pidfile}.bad-20260115T120000000Z`, "x"),
    check: "files",
    verdict: "warning",
    says: ["1 damaged file put aside", "daemon.json.bad-"],
  },
  {
    what: "a home on a disk with room",
    arrange: (world) => space(world, { freeBytes: 2 ** 40 }),
    check: "disk",
    verdict: "ok",
    says: ["1048576 of"],
  },
  {
    what: "a disk that is nearly full",
    arrange: (world) => space(world, { freeBytes: 500 * 2 ** 20 }),
    check: "disk",
    verdict: "warning",
    says: ["500 of", "make room"],
  },
  {
    what: "a full disk",
    arrange: (world) => space(world, { freeBytes: 2 ** 20 }),
    check: "disk",
    verdict: "problem",
    says: ["1 of", "DROVER_HOME"],
  },
  {
    what: "a file system that takes no more files",
    arrange: (world) => space(world, { freeBytes: 2 ** 40, freeFiles: 3 }),
    check: "disk",
    verdict: "problem",
    says: ["room for 3 more files"],
  },
];

function space(world: World, some: { freeBytes: number; freeFiles?: number }): void {
  const diskSpace = () => Promise.resolve({ totalBytes: 2 ** 41, freeFiles: null, ...some });
  world.host = { ...world.host, inspector: { ...world.host.inspector, diskSpace } };
}

const FILE_SYSTEM: readonly Fixture[] = [
  {
    what: "a file system that can do everything",
    arrange: () => {},
    check: "file system",
    verdict: "ok",
    says: ["locks, synced writes and renames, sockets, programs work"],
  },
  {
    what: "a file system whose locks exclude nobody",
    arrange: (world) => {
      const tryLock = (path: string) => Promise.resolve({ path, release() {}, [Symbol.dispose]() {} });
      world.host = { ...world.host, locks: { ...world.host.locks, tryLock } };
    },
    check: "file system",
    verdict: "problem",
    says: ["locks do not work", "two daemons"],
  },
  {
    what: "a file system that loses what is written",
    arrange: (world) => {
      world.host = { ...world.host, files: { ...world.host.files, readText: () => Promise.resolve("old") } };
    },
    check: "file system",
    verdict: "problem",
    says: ["synced writes and renames do not work"],
  },
  {
    what: "a file system without sockets",
    arrange: (world) => {
      const serveUnix = () => {
        throw new HostError("other", "Cannot listen on it: Operation not supported");
      };
      world.host = { ...world.host, network: { ...world.host.network, serveUnix } };
    },
    check: "file system",
    verdict: "problem",
    says: ["sockets do not work", "Operation not supported", "DROVER_HOME"],
  },
  {
    what: "a file system that runs no programs",
    arrange: (world) => {
      const run = () => Promise.reject(new HostError("not-executable", "Cannot start it: it has no permission to run"));
      world.host = { ...world.host, processes: { ...world.host.processes, run } };
    },
    check: "file system",
    verdict: "problem",
    says: ["programs do not work", "noexec"],
  },
  {
    what: "a file system that is read-only",
    arrange: (world) => {
      const makeDirectory = () => Promise.reject(new HostError("read-only", "Cannot create directory: Read-only"));
      world.host = { ...world.host, files: { ...world.host.files, makeDirectory } };
    },
    check: "file system",
    verdict: "problem",
    says: ["Read-only", "mount it for writing"],
  },
];

const DAEMON: readonly Fixture[] = [
  { what: "no daemon", arrange: () => {}, check: "daemon", verdict: "ok", says: ["none runs"] },
  {
    what: "a daemon that runs",
    arrange: (world) => world.daemon(),
    check: "daemon",
    verdict: "ok",
    says: [`it runs (the daemon, pid ${Deno.pid})`],
  },
  {
    what: "a run that holds the home",
    arrange: (world) => world.daemon({ hello: { mode: "run" }, record: { mode: "run" } }),
    check: "daemon",
    verdict: "ok",
    says: ["a drover run"],
  },
  {
    what: "a daemon that hangs",
    arrange: async (world) => {
      world.hang();
      await world.write(world.home.pidfile, world.record());
      await world.hold(world.home.daemonLock);
    },
    check: "daemon",
    verdict: "problem",
    says: ["does not answer", "drover restart --now"],
  },
  {
    what: "a daemon without a record",
    arrange: (world) => world.daemon({ record: null }),
    check: "daemon",
    verdict: "problem",
    says: ["no record describes"],
  },
  {
    what: "a daemon that lost its lock",
    arrange: async (world) => {
      await world.daemon({ lock: false });
      await Deno.writeTextFile(world.home.daemonLock, "");
    },
    check: "daemon",
    verdict: "problem",
    says: ["without its lock"],
  },
  {
    what: "a daemon that was killed",
    arrange: (world) => world.write(world.home.pidfile, world.record({ pid: 999_999_999 })),
    check: "daemon",
    verdict: "problem",
    says: ["ended without saying so", "recovers its tasks"],
  },
  {
    what: "a machine that was started again",
    arrange: (world) => world.write(world.home.pidfile, world.record({ bootId: "another" })),
    check: "daemon",
    verdict: "warning",
    says: ["ended with the machine"],
  },
  {
    what: "a damaged record and nobody there",
    arrange: (world) => world.write(world.home.pidfile, "x"),
    check: "daemon",
    verdict: "warning",
    says: ["its record is damaged"],
  },
  {
    what: "an idle daemon",
    arrange: (world) =>
      world.daemon({ status: { slots: { total: 4, running: 1 }, outbox: { waiting: 2, degraded: false } } }),
    check: "work",
    verdict: "ok",
    says: ["1 of 4 slots in use, 2 undelivered"],
  },
  {
    what: "an outbox that cannot be written",
    arrange: (world) => world.daemon({ status: { outbox: { waiting: 2, degraded: true } } }),
    check: "work",
    verdict: "problem",
    says: ["outbox cannot be written"],
  },
  {
    what: "a server that refuses",
    arrange: (world) => world.daemon({ status: { connections: [{ name: "far", state: "refused", why: "no token" }] } }),
    check: "work",
    verdict: "warning",
    says: ["far is refused: no token"],
  },
  {
    what: "a health port that another process has",
    arrange: (world) => world.daemon({ status: { healthPort: { kind: "failed", port: 1, why: "it is taken" } } }),
    check: "work",
    verdict: "warning",
    says: ["it is taken", "drover config set health.port"],
  },
];

const RECORD: readonly Fixture[] = [
  { what: "no record", arrange: () => {}, check: "record", verdict: "ok", says: ["there is none"] },
  {
    what: "the record of a process that is there",
    arrange: (world) => world.daemon(),
    check: "record",
    verdict: "ok",
    says: [`pid ${Deno.pid} is the process it describes`],
  },
  {
    what: "a missing record of a daemon",
    arrange: (world) => world.daemon({ record: null }),
    check: "record",
    verdict: "warning",
    says: ["there is none, and the home is held"],
  },
  {
    what: "random bytes for a record",
    arrange: (world) => world.write(world.home.pidfile, "\u0000\u0001garbage"),
    check: "record",
    verdict: "warning",
    says: ["damaged: it is no JSON"],
  },
  {
    what: "a record of something else",
    arrange: (world) => world.write(world.home.pidfile, { ...world.record(), pid: -3 }),
    check: "record",
    verdict: "warning",
    says: ["it is no record: pid"],
  },
  {
    what: "a pid that another process has by now",
    arrange: (world) => world.write(world.home.pidfile, world.record({ startTicks: "1" })),
    check: "record",
    verdict: "warning",
    says: ["another process by now", "nobody will signal"],
  },
  {
    what: "a pid that is gone",
    arrange: (world) => world.write(world.home.pidfile, world.record({ pid: 999_999_999 })),
    check: "record",
    verdict: "warning",
    says: ["is gone"],
  },
  {
    what: "a record from before the boot",
    arrange: (world) => world.write(world.home.pidfile, world.record({ bootId: "another" })),
    check: "record",
    verdict: "warning",
    says: ["before the machine was started"],
  },
];

const LOCKS: readonly Fixture[] = [
  { what: "a free daemon lock", arrange: () => {}, check: "daemon lock", verdict: "ok", says: ["free"] },
  {
    what: "a daemon lock held by whom the record names",
    arrange: async (world) => {
      await world.daemon();
      openedBy(world, [Deno.pid]);
    },
    check: "daemon lock",
    verdict: "ok",
    says: ["as the record says"],
  },
  {
    what: "a daemon lock held by a stranger",
    arrange: async (world) => {
      await world.hold(world.home.daemonLock);
      openedBy(world, [4711]);
    },
    check: "daemon lock",
    verdict: "problem",
    says: ["held by pid 4711", "ps -fp 4711"],
  },
  { what: "a free restart lock", arrange: () => {}, check: "restart lock", verdict: "ok", says: ["free"] },
  {
    what: "a restart lock that is held",
    arrange: async (world) => {
      await world.hold(world.home.restartLock);
      await world.write(world.home.restartHolder, { command: "restart", since: "2026-01-15T12:00:00Z" });
      openedBy(world, [4711]);
    },
    check: "restart lock",
    verdict: "ok",
    says: ["held by pid 4711 for drover restart, since 2026-01-15T12:00:00Z"],
  },
];

function openedBy(world: World, pids: readonly number[]): void {
  world.host = { ...world.host, inspector: { ...world.host.inspector, openedBy: () => Promise.resolve(pids) } };
}

const VERSIONS: readonly Fixture[] = [
  {
    what: "a daemon of the same version",
    arrange: (world) => world.daemon(),
    check: "version",
    verdict: "ok",
    says: [BUILD.version],
  },
  {
    what: "an older daemon",
    arrange: (world) => world.daemon({ hello: { version: "0.0.1" } }),
    check: "version",
    verdict: "warning",
    says: ["the daemon 0.0.1", "drover restart"],
  },
  {
    what: "a daemon of another protocol",
    arrange: (world) => world.daemon({ hello: { version: "9.0.0", protocol: 9 } }),
    check: "version",
    verdict: "problem",
    says: ["cannot work together", "cli-too-old"],
  },
  {
    what: "a version made up",
    arrange: (world) => world.env = { DROVER_VERSION_OVERRIDE: "5.0.0" },
    check: "version",
    verdict: "warning",
    says: ["says it is 5.0.0", "unset DROVER_VERSION_OVERRIDE"],
  },
  {
    what: "a program that is unchanged",
    arrange: async (world) => {
      await world.agent("drover", "");
      const binary = `${world.root}/bin/drover`;
      await world.daemon({ record: { binary, digest: await world.host.fingerprints.hashFile(binary) } });
    },
    check: "program",
    verdict: "ok",
    says: ["unchanged"],
  },
  {
    what: "a program that was replaced",
    arrange: async (world) => {
      await world.agent("drover", "");
      await world.daemon({ record: { binary: `${world.root}/bin/drover`, digest: "00" } });
    },
    check: "program",
    verdict: "warning",
    says: ["was replaced", "drover restart"],
  },
  {
    what: "a program that is gone",
    arrange: (world) => world.daemon({ record: { binary: `${world.root}/bin/none` } }),
    check: "program",
    verdict: "warning",
    says: ["is gone", "install"],
  },
];

const PAST: readonly Fixture[] = [
  { what: "no lifecycle file", arrange: () => {}, check: "lifecycle file", verdict: "ok", says: ["none yet"] },
  {
    what: "a damaged lifecycle file",
    arrange: (world) => world.write(world.home.lifecycle, "{ garbage"),
    check: "lifecycle file",
    verdict: "warning",
    says: ["damaged (it is no JSON)"],
  },
  {
    what: "a lifecycle file of the future",
    arrange: (world) => world.write(world.home.lifecycle, { schemaVersion: 99 }),
    check: "lifecycle file",
    verdict: "warning",
    says: ["of no known version"],
  },
  { what: "no failed starts", arrange: () => {}, check: "breaker", verdict: "ok", says: ["closed"] },
  {
    what: "an open breaker",
    arrange: (world) =>
      world.lifecycle(breakerWith({ trips: 9, failures: Array(BREAKER.shortCount).fill(Date.now() - 1_000) })),
    check: "breaker",
    verdict: "problem",
    says: ["open until", "9 starts in a row failed", "drover start --force"],
  },
  {
    what: "a breaker whose next start is a trial",
    arrange: (world) => world.lifecycle(breakerWith({ trips: 3, failures: [Date.now() - 30 * MINUTE] })),
    check: "breaker",
    verdict: "warning",
    says: ["half open"],
  },
  {
    what: "a daemon that was stopped on purpose",
    arrange: (world) => world.lifecycle({ desired: { state: "stopped", by: "stop", at: "2026-01-15T12:00:00Z" } }),
    check: "intent",
    verdict: "ok",
    says: ["drover stop at 2026-01-15T12:00:00Z: it is to be stopped"],
  },
  {
    what: "a daemon that is wanted and not there",
    arrange: (world) => world.lifecycle({ desired: { state: "running", by: "start", at: "2026-01-15T12:00:00Z" } }),
    check: "intent",
    verdict: "warning",
    says: ["and none runs"],
  },
  {
    what: "a restart that was cut off",
    arrange: (world) => world.lifecycle({ operation: OPERATION }),
    check: "operation",
    verdict: "warning",
    says: ["restart (starting) since 2026-01-15T12:00:00Z was cut off"],
  },
  {
    what: "a restart that is under way",
    arrange: async (world) => {
      await world.lifecycle({ operation: OPERATION });
      await world.hold(world.home.restartLock);
    },
    check: "operation",
    verdict: "ok",
    says: ["under way"],
  },
  { what: "no service", arrange: () => {}, check: "service", verdict: "ok", says: ["none installed"] },
  {
    what: "a service that nobody can be asked about",
    arrange: (world) => installService(world.host, world.home, { enable: false }),
    check: "service",
    verdict: "warning",
    says: ["cannot be asked", "systemctl"],
  },
  {
    what: "a service that runs",
    arrange: (world) => installed(world, "ActiveState=active\\nUnitFileState=enabled"),
    check: "service",
    verdict: "ok",
    says: ["is active"],
  },
  {
    what: "a service that fails",
    arrange: (world) => installed(world, "ActiveState=failed\\nUnitFileState=enabled\\nResult=exit-code"),
    check: "service",
    verdict: "problem",
    says: ["fails: exit-code", "daemon.out"],
  },
  {
    what: "a service that is not started at login",
    arrange: (world) => installed(world, "ActiveState=inactive\\nUnitFileState=disabled"),
    check: "service",
    verdict: "warning",
    says: ["not started at login", "drover service install"],
  },
  {
    what: "a definition that somebody has changed",
    arrange: async (world) => {
      await installed(world, "ActiveState=active\\nUnitFileState=enabled");
      const { file } = await serviceOf(world.host, world.home);
      await Deno.writeTextFile(file, "# mine\n", { append: true });
    },
    check: "service",
    verdict: "warning",
    says: ["not what this drover would write"],
  },
  {
    what: "a daemon beside its service",
    arrange: async (world) => {
      await installed(world, "ActiveState=inactive\\nUnitFileState=enabled");
      await world.daemon();
    },
    check: "service",
    verdict: "warning",
    says: ["was not started by its service", "drover restart"],
  },
  { what: "no last end", arrange: () => {}, check: "last end", verdict: "ok", says: ["none has ended"] },
  {
    what: "a last end in order",
    arrange: (world) =>
      world.write(world.home.lastExit, { pid: 12, version: "1.0.0", endedAt: "2026-01-15T12:00:00Z" }),
    check: "last end",
    verdict: "ok",
    says: ["pid 12, version 1.0.0, ended in order at 2026-01-15T12:00:00Z"],
  },
  {
    what: "random bytes for the last end",
    arrange: (world) => world.write(world.home.lastExit, "\u0001"),
    check: "last end",
    verdict: "warning",
    says: ["cannot be read"],
  },
];

/** The home's service, and a `systemctl` that says `properties` of it. */
async function installed(world: World, properties: string): Promise<void> {
  await world.agent("systemctl", `printf '${properties}\\n'`);
  await installService(world.host, world.home, { enable: false });
}

const OPERATION = {
  verb: "restart",
  phase: "starting",
  reason: "user",
  args: [],
  since: "2026-01-15T12:00:00Z",
} satisfies LifecycleRecord["operation"];

/** Joined with the login shell's, only absolute entries stay. */
const OWN_PATH = { DROVER_LOGIN_PATH: "false" };

const TEAM = "https://team.example";

/** Logged in at the configured server, with whatever is different. */
async function team(world: World, login: Record<string, unknown> = {}, settings: Record<string, unknown> = {}) {
  await world.write(world.home.config, { server: { url: TEAM }, ...settings });
  const mine = { schemaVersion: 1, server: TEAM, token: "mul_1", user: null, expiresAt: null, savedAt: "", ...login };
  await world.write(world.home.credentials, mine);
}

const SERVER_SETUP: readonly Fixture[] = [
  { what: "no team server", arrange: () => {}, check: "server", verdict: "ok", says: ["none is configured"] },
  {
    what: "a team server and a login",
    arrange: (world) => team(world, {}, { remote: { enabled: true }, workspaces: { watched: "w1=ask" } }),
    check: "server",
    verdict: "ok",
    says: [`logged in at ${TEAM}`, "1 workspace watched"],
  },
  {
    what: "a team server without a login",
    arrange: (world) => world.write(world.home.config, { server: { url: TEAM } }),
    check: "server",
    verdict: "warning",
    says: [`not logged in at ${TEAM}`, "drover login"],
  },
  {
    what: "a login at another server",
    arrange: (world) => team(world, { server: "https://other.example" }),
    check: "server",
    verdict: "warning",
    says: ["logged in at https://other.example", "drover login"],
  },
  {
    what: "a token that has expired",
    arrange: (world) => team(world, { expiresAt: "2020-01-01T00:00:00Z" }),
    check: "server",
    verdict: "warning",
    says: ["has expired", "drover login"],
  },
  {
    what: "a team server that nothing is allowed to",
    arrange: (world) => team(world, {}, { remote: { enabled: true } }),
    check: "server",
    verdict: "warning",
    says: ["no workspace is watched", "drover enable remote"],
  },
];

const SETUP: readonly Fixture[] = [
  ...SERVER_SETUP,
  {
    what: "settings that can be used",
    arrange: (world) => world.write(world.home.config, { tasks: { max_concurrent: 2 } }),
    check: "settings",
    verdict: "ok",
    says: ["1 not at the default"],
  },
  {
    what: "a config.json that is no JSON",
    arrange: (world) => world.write(world.home.config, "{ tasks: "),
    check: "settings",
    verdict: "problem",
    says: ["config.json", "mend the file"],
  },
  {
    what: "a setting out of range",
    arrange: (world) => world.env = { DROVER_RETENTION_DAYS: "0" },
    check: "settings",
    verdict: "problem",
    says: ["retention.days", "DROVER_RETENTION_DAYS", "1 to 3650"],
  },
  {
    what: "a key that is no setting",
    arrange: (world) => world.write(world.home.config, { tasks: { max_concurent: 2 } }),
    check: "settings",
    verdict: "warning",
    says: ["tasks.max_concurent", "no setting"],
  },
  { what: "no agent CLI", arrange: () => {}, check: "agents", verdict: "warning", says: ["no agent CLI found"] },
  {
    what: "an agent CLI",
    arrange: (world) => world.agent("claude", "echo '2.1.99 (Claude Code)'"),
    check: "agents",
    verdict: "ok",
    says: ["claude 2.1.99", "llm skipped (not-found)"],
  },
  {
    what: "an agent CLI that cannot be used",
    arrange: (world) => world.agent("claude", "echo '1.0.0 (Claude Code)'"),
    check: "agents",
    verdict: "warning",
    says: ["version-too-old", "2.0.0"],
  },
  {
    what: "no PATH",
    arrange: (world) => world.env = { PATH: "" },
    check: "PATH",
    verdict: "problem",
    says: ["not set"],
  },
  {
    what: "an empty entry of PATH",
    arrange: (world) => world.env = { PATH: `${world.root}/bin:`, ...OWN_PATH },
    check: "PATH",
    verdict: "warning",
    says: ["the current directory"],
  },
  {
    what: "a relative entry of PATH",
    arrange: (world) => world.env = { PATH: `${world.root}/bin:node_modules/.bin`, ...OWN_PATH },
    check: "PATH",
    verdict: "warning",
    says: ["node_modules/.bin, which is relative"],
  },
  {
    what: "a directory on PATH that everybody may write to",
    arrange: (world) => Deno.chmod(`${world.root}/bin`, 0o777),
    check: "PATH",
    verdict: "warning",
    says: ["everybody may put programs"],
  },
  {
    what: "a directory on PATH that is not there",
    arrange: (world) => world.env = { PATH: `${world.root}/bin:/none/at/all` },
    check: "PATH",
    verdict: "ok",
    says: ["2 directories, 1 of them not there"],
  },
  {
    what: "a directory on PATH that only the login shell knows",
    arrange: (world) =>
      world.write(world.home.loginPath, {
        schemaVersion: 1,
        shell: "/bin/bash",
        path: `${world.root}/bin:${world.root}/home`,
      }),
    check: "PATH",
    verdict: "ok",
    says: ["2 directories, 1 of them from the login shell"],
  },
  { what: "no secrets", arrange: () => {}, check: "secrets", verdict: "ok", says: ["none in the environment"] },
  {
    what: "secrets that agents do not get",
    arrange: (world) => world.env = { GH_TOKEN: "ghp_hidden", OPENAI_API_KEY: "sk-hidden" },
    check: "secrets",
    verdict: "ok",
    says: ["kept from agents: GH_TOKEN", "OPENAI_API_KEY (", "llm"],
  },
  { what: "no proxies", arrange: () => {}, check: "proxies", verdict: "ok", says: ["none"] },
  {
    what: "proxies",
    arrange: (world) => world.env = { HTTPS_PROXY: "http://me:p@ss@proxy.test:3128", no_proxy: "localhost" },
    check: "proxies",
    verdict: "ok",
    says: ["HTTPS_PROXY=http://[redacted]@proxy.test:3128", "no_proxy=localhost"],
  },
  { what: "no log", arrange: () => {}, check: "log", verdict: "ok", says: ["none yet"] },
  {
    what: "errors in the log",
    arrange: (world) =>
      world.write(
        world.home.logFile,
        [line("ERROR", 2 * 24 * 60 * MINUTE, "old"), line("INFO", 0, "no"), "{ torn"].join("\n"),
      ),
    check: "log",
    verdict: "ok",
    says: ["no errors within a day"],
  },
  {
    what: "errors of today in the log",
    arrange: (world) => world.write(world.home.logFile, [line("ERROR", MINUTE, "a"), line("FATAL", 0, "b")].join("\n")),
    check: "log",
    verdict: "warning",
    says: ["2 errors within a day", "daemon: b", "daemon: a"],
  },
];

function line(level: string, agoMs: number, message: string): string {
  const at = new Date(Date.now() - agoMs).toISOString();
  return JSON.stringify({ "@timestamp": at, level, message, logger: "drover.daemon", error: "it broke" });
}

const FIXTURES = [HOME, FILE_SYSTEM, DAEMON, RECORD, LOCKS, VERSIONS, PAST, SETUP].flat();

for (const { what, arrange, check, verdict, says } of FIXTURES) {
  Deno.test(`doctor: ${check}: ${what} is ${verdict === "ok" ? "all right" : `a ${verdict}`}`, async () => {
    await using world = await World.create();
    await arrange(world);
    const { checks } = await world.diagnose();
    const results = checks.filter(({ name }) => name === check);
    const worst = ["problem", "warning", "ok"].find((one) => results.some((result) => result.verdict === one));
    assertEquals(worst, verdict, JSON.stringify(results, null, 2));
    const text = results.map(({ finding, advice, details }) => [finding, advice, ...details].join("\n")).join("\n");
    for (const words of says) assertStringIncludes(text, words);
    for (const { verdict, advice, name } of checks) {
      assert(verdict === "ok" || advice, `${name} advises nothing`);
    }
  });
}

async function tree(path: string): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of Deno.readDir(path)) {
    names.push(`${path}/${entry.name}`);
    if (entry.isDirectory) names.push(...await tree(`${path}/${entry.name}`));
  }
  return names.sort();
}

Deno.test("diagnose() leaves a home as it was, lists every file in it, and finds no problem where there is none", async () => {
  await using world = await World.create();
  await world.write(`${world.home.workspaces}/task-file`, "a task's own business");
  const before = await tree(world.root);
  const { files, problems, checks } = await world.diagnose();
  assertEquals(await tree(world.root), before);
  assertEquals(problems, 0, JSON.stringify(checks.filter(({ verdict }) => verdict === "problem")));
  const listed = files.map(({ path }) => path).sort();
  assertEquals(listed, before.filter((path) => path.startsWith(`${world.home.root}/`) && !path.endsWith("task-file")));
  const run = files.find(({ path }) => path === world.home.runDirectory);
  assertEquals([run?.kind, run?.mode, run?.owner], ["directory", "700", Deno.uid() ?? 0]);
});

Deno.test("diagnose() makes no home, and looks at the settings all the same", async () => {
  await using world = await World.create({ absent: true, env: { DROVER_LOG_LEVEL: "loud" } });
  const { checks, files } = await world.diagnose();
  assertEquals(await Deno.stat(world.home.root).then(() => true, () => false), false);
  assertEquals(files, []);
  const verdicts = Object.fromEntries(checks.map(({ name, verdict }) => [name, verdict]));
  assertEquals(verdicts, {
    home: "ok",
    settings: "problem",
    server: "ok",
    log: "ok",
    agents: "warning",
    PATH: "ok",
    proxies: "ok",
    secrets: "ok",
  });
});

Deno.test("diagnose() touches nothing in a home that others can change, and still looks at the machine", async () => {
  for (
    const [arrange, words] of [
      [(world: World) => Deno.chmod(world.home.root, 0o770), "others may write to it (mode 770)"],
      [(world: World) => {
        world.host = { ...world.host, system: { ...world.host.system, uid: (Deno.uid() ?? 0) + 1 } };
      }, "belongs to user"],
      [async (world: World) => {
        await Deno.remove(world.home.root, { recursive: true });
        await Deno.writeTextFile(world.home.root, "");
      }, "not a directory"],
    ] as const
  ) {
    await using world = await World.create();
    await arrange(world);
    const refuse = () => Promise.reject(new Error("touched"));
    world.host = { ...world.host, locks: { tryLock: refuse, lock: refuse } };
    const { checks, problems } = await world.diagnose();
    assertEquals(checks.map(({ name }) => name), ["home", "agents", "PATH", "proxies", "secrets"]);
    assertStringIncludes(checks[0]!.finding, words);
    assertEquals([checks[0]!.verdict, problems], ["problem", 1]);
  }
});

Deno.test("diagnose() says why there is no home at all", async () => {
  await using world = await World.create();
  const why = new DroverError("home_unusable", "Cannot find a home for drover", { hint: "set DROVER_HOME" });
  const { checks } = await diagnose(world.host, why);
  assertEquals([checks[0]?.verdict, checks[0]?.advice], ["problem", "set DROVER_HOME"]);
});

Deno.test("diagnose() shows no secret of the log, of a proxy or of a record", async () => {
  await using world = await World.create({ env: { ALL_PROXY: "socks5://me:hunter22@proxy.test" } });
  const secret = "sk-" + "a1".repeat(12);
  await world.write(world.home.logFile, line("ERROR", 0, `refused with ${secret}`));
  await world.daemon({ status: { connections: [{ name: "far", state: "refused", why: `Bearer ${secret}` }] } });
  const text = JSON.stringify(await world.diagnose());
  for (const hidden of [secret, "hunter22"]) assertEquals(text.includes(hidden), false, hidden);
});

Deno.test("diagnose() puts the socket of a home with a long path elsewhere, and says when it cannot be there", async () => {
  await using world = await World.create();
  await using directory = await tempDirectory();
  const home = homeLayout(`${directory.path}/${"long/".repeat(20)}home`);
  await openHome(world.host, home);
  world.env = { XDG_RUNTIME_DIR: directory.path };
  const socketPath = async () => {
    const { checks } = await diagnose(world.host, home);
    assertEquals(checks.find(({ name }) => name === "file system")?.verdict, "ok");
    return checks.find(({ name }) => name === "socket path");
  };
  assertEquals((await socketPath())?.verdict, "ok");
  const place = `${directory.path}/drover-${world.host.system.uid}`;
  await Deno.mkdir(place);
  await Deno.chmod(place, 0o755);
  const found = await socketPath();
  assertEquals(found?.verdict, "problem");
  assertStringIncludes(found?.finding ?? "", place);
});

Deno.test("diagnose() removes what a doctor that was killed has left, and nothing newer", async () => {
  await using world = await World.create();
  const [old, fresh] = [`${world.home.root}/.probe-0000`, `${world.home.root}/.probe-1111`];
  for (const path of [old, fresh]) await Deno.mkdir(path, { mode: 0o700 });
  await Deno.utime(old, new Date(0), new Date(0));
  await world.diagnose();
  assertEquals((await tree(world.home.root)).filter((path) => path.includes(".probe-")), [fresh]);
});

Deno.test("diagnose() goes on when one check fails and another hangs", async () => {
  await using world = await World.create();
  const clock = new FakeClock();
  const asked = Promise.withResolvers<void>();
  const inspector = {
    ...world.host.inspector,
    diskSpace() {
      asked.resolve();
      return new Promise<never>(() => {});
    },
  };
  const look = () => Promise.reject(new Error("a defect"));
  const fingerprints = { ...world.host.fingerprints, look };
  await world.daemon();
  world.host = { ...world.host, inspector, fingerprints };
  // The clock of the checks alone: what they call waits for the real one.
  const host: Host = { ...world.host, clock: { ...CLOCK, after: clock.after.bind(clock) } };
  const diagnosis = diagnose(host, world.home);
  await asked.promise;
  await eventually(() => clock.waiting === 1, "only the one that hangs is under way");
  await clock.advance(30_000);
  const { checks } = await diagnosis;
  const by = (name: string) => checks.find((check) => check.name === name);
  assertStringIncludes(by("disk")?.finding ?? "", "did not end within 30 s");
  assertStringIncludes(by("program")?.finding ?? "", "this check failed: a defect");
  assertEquals(by("daemon")?.verdict, "ok");
});
