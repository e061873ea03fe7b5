/** Which database a coordinator uses: how people name it, and how it is named to people, without its password. */

export type Database =
  | {
    readonly kind: "sqlite";
    /** Of the file, or `:memory:`. */
    readonly path: string;
    /** `full` survives a power cut with the last answer; `normal` (the default) survives a crash of the process. */
    readonly synchronous?: "normal" | "full";
  }
  | {
    readonly kind: "postgres";
    /** `postgres://user:password@host:port/name`; `?host=/path` names the directory of a Unix socket. */
    readonly url: string;
    /** Connections for requests; one more listens. */
    readonly connections?: number;
  };

/** A setting that names no database. The message never repeats it: it may hold a password. */
export class DatabaseSettingError extends Error {
  override readonly name = "DatabaseSettingError";
}

export interface DatabaseSetting {
  /** What was given with `--database`; `undefined` without it. */
  readonly option: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The default. */
  readonly file: string;
}

export const DATABASE_VARIABLE = "DROVER_DATABASE";
const FROM_ENV = "env:";
const POSTGRES = /^postgres(?:ql)?:\/\//;

/**
 * The option, else `DROVER_DATABASE`, else the file. A password in an option is refused: every user of the machine can
 * read the arguments of a process. Throws `DatabaseSettingError`.
 */
export function readDatabase({ option, env, file }: DatabaseSetting): Database {
  if (option?.startsWith(FROM_ENV)) return fromVariable(env, option.slice(FROM_ENV.length));
  if (option !== undefined) {
    const database = parse(option, "--database", OPEN_FORM);
    if (database.kind === "postgres" && hasPassword(database.url)) {
      throw new DatabaseSettingError(
        "Reading --database failed: it holds a password, which others can see in the list of processes; " +
          `put the address into an environment variable and name that: --database ${FROM_ENV}${DATABASE_VARIABLE}`,
      );
    }
    return database;
  }
  return env[DATABASE_VARIABLE] ? fromVariable(env, DATABASE_VARIABLE) : { kind: "sqlite", path: file };
}

function fromVariable(env: DatabaseSetting["env"], name: string): Database {
  const text = env[name];
  if (text) return parse(text, `the environment variable ${name}`);
  throw new DatabaseSettingError(
    `Reading --database failed: the environment variable ${name || "(no name)"} is not set; ` +
      `set it to ${FORM}`,
  );
}

function parse(text: string, where: string, form = FORM): Database {
  if (POSTGRES.test(text)) {
    if (!URL.canParse(text)) throw new DatabaseSettingError(`Reading ${where} failed: it is no address; use ${form}`);
    return { kind: "postgres", url: text };
  }
  if (text === "" || /^\w+:\/\//.test(text)) {
    throw new DatabaseSettingError(`Reading ${where} failed: it names no database that drover knows; use ${form}`);
  }
  return { kind: "sqlite", path: text };
}

const FORM = "postgres://USER:PASSWORD@HOST:PORT/NAME or the path of an SQLite file";
/** Where others can read it. */
const OPEN_FORM =
  `postgres://USER@HOST:PORT/NAME, the path of an SQLite file, or ${FROM_ENV}VARIABLE for an address with a password`;

function hasPassword(url: string): boolean {
  const { password, searchParams } = new URL(url);
  return password !== "" || searchParams.has("password");
}

/** For people and logs: what is connected to, without user, password and options. */
export function databaseName(database: Database): string {
  if (database.kind === "sqlite") return database.path;
  const { host, pathname, searchParams } = new URL(database.url);
  return `postgres://${host || searchParams.get("host") || "localhost"}${pathname}`;
}
