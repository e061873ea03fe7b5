/** Where a team server keeps what is its own: a private directory, its database, and the locks that keep a second one away. */
import { basename, dirname, resolve } from "@std/path";
import { type Database, databaseName, DatabaseSettingError, readDatabase } from "../coordinator/database.ts";
import { StoreError } from "../coordinator/store.ts";
import { UserRefusal } from "../coordinator/user_refusal.ts";
import { DroverError, type ErrorCode } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { type Host, HostError } from "../core/ports.ts";

/** What the first workspace of a new server is called. */
export const FIRST_WORKSPACE = "team";

export interface ServerPlaceWish {
  /** `--data` */
  readonly data: string | undefined;
  /** `--database` */
  readonly database: string | undefined;
}

export interface ServerPlace {
  /** 0700. */
  readonly directory: string;
  readonly logFile: string;
  readonly database: Database;
  /** For people: without a password. */
  readonly databaseName: string;
  /** What of the options leads other commands here, with a blank before it; empty for the usual place. */
  readonly options: string;
}

/** Nothing is made yet. `home` is only asked where no directory is named. Throws `usage`, `home_unusable`. */
export function serverPlace(host: Host, home: () => Home, { data, database: option }: ServerPlaceWish): ServerPlace {
  const { cwd, env } = host.system;
  const directory = data === undefined ? home().server : resolve(cwd, data);
  const database = databaseOf({ option, env, file: `${directory}/server.db` }, cwd);
  const options = [
    data === undefined ? "" : ` --data ${directory}`,
    option === undefined ? "" : ` --database ${option}`,
  ];
  return {
    directory,
    logFile: `${directory}/logs/server.log`,
    database,
    databaseName: databaseName(database),
    options: options.join(""),
  };
}

function databaseOf(setting: Parameters<typeof readDatabase>[0], cwd: string): Database {
  try {
    const database = readDatabase(setting);
    return database.kind === "sqlite" ? { ...database, path: resolve(cwd, database.path) } : database;
  } catch (error) {
    if (!(error instanceof DatabaseSettingError)) throw error;
    throw new DroverError("usage", error.message, { cause: error });
  }
}

/** Makes what is missing, and checks that nobody else can look into it. Throws `home_unusable`. */
export async function openPlace(host: Host, { directory, database }: ServerPlace): Promise<void> {
  const { files, system } = host;
  try {
    if (!await files.stat(directory)) await files.makeDirectory(directory);
    const info = await files.stat(directory);
    if (!info?.isDirectory) throw unusable(directory, "it is not a directory");
    if (info.uid !== system.uid) throw unusable(directory, `it belongs to user ${info.uid}, not to ${system.uid}`);
    if ((info.mode & 0o077) !== 0) {
      const mode = info.mode.toString(8);
      throw unusable(directory, `others may look into it (mode ${mode})`, `run: chmod 700 ${directory}`);
    }
    await files.makeDirectory(`${directory}/logs`);
    // SQLite makes its other files with the mode of this one.
    if (database.kind === "sqlite" && !await files.stat(database.path)) {
      await files.append(database.path, "");
    }
  } catch (error) {
    if (error instanceof HostError) throw unusable(directory, error.message);
    throw error;
  }
}

function unusable(directory: string, why: string, hint = "name another directory with --data"): DroverError {
  return new DroverError("home_unusable", `Cannot use ${directory} for a server: ${why}`, { hint });
}

export interface ServerLocks extends Disposable {
  /** The directory, with the log in it, is ours; another server over the same PostgreSQL may have been first. */
  readonly ownsLog: boolean;
}

/** Of the SQLite file, which only one server can have, and of the directory. Throws `already_running`. */
export async function lockPlace(host: Host, { directory, database }: ServerPlace): Promise<ServerLocks> {
  using stack = new DisposableStack();
  if (database.kind === "sqlite") {
    await refuseHome(host, database.path);
    const lock = await host.locks.tryLock(`${database.path}.lock`);
    if (!lock) {
      throw new DroverError("already_running", `Cannot serve ${database.path}: another server is at work over it`, {
        hint: "end that one first, or name another directory with --data; several servers can share a PostgreSQL " +
          "database (--database env:DROVER_DATABASE)",
      });
    }
    stack.use(lock);
  }
  const log = await host.locks.tryLock(`${directory}/server.lock`);
  if (log) stack.use(log);
  const kept = stack.move();
  return { ownsLog: log !== undefined, [Symbol.dispose]: () => kept.dispose() };
}

/** A daemon's own database has its daemon, which expects to be alone with it. */
async function refuseHome({ files }: Host, path: string): Promise<void> {
  if (basename(path) !== "coordinator.db" || !await files.stat(`${dirname(path)}/daemon.lock`)) return;
  throw new DroverError("usage", `Cannot serve ${path}: it is the database of the daemon of ${dirname(path)}`, {
    hint: "a team server has one of its own: leave out --database, or name another file",
  });
}

const CODES: Readonly<Partial<Record<string, ErrorCode>>> = { invalid_request: "usage" };

/** What the coordinator throws, as what people are told. */
export async function overStore<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof StoreError) throw new DroverError("store_unusable", error.message, { cause: error });
    if (error instanceof UserRefusal) {
      throw new DroverError(CODES[error.code] ?? error.code as ErrorCode, error.message, { hint: error.hint });
    }
    throw error;
  }
}
