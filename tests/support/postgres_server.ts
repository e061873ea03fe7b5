/** A PostgreSQL server of its own for a test file, on a Unix socket in a temporary directory; it ends with the tests, however they end. */
import { exists } from "@std/fs";
import { join } from "@std/path";

const DEBIAN = "/usr/lib/postgresql";
/** The server refuses to run as root. */
const NOBODY = 65534;
const DEADLINE_MS = 20_000;

/** Speed instead of safety: what is in it lives as long as the tests. */
const SETTINGS = {
  fsync: "off",
  synchronous_commit: "off",
  full_page_writes: "off",
  autovacuum: "off",
  listen_addresses: "",
  shared_buffers: "32MB",
  max_connections: "60",
  deadlock_timeout: "100ms",
};

/**
 * Runs the server for as long as its own input is open: that ends with the process that holds the other end, even if that
 * was killed, and then the server and its directory go as well.
 */
const GUARD = `
bin=$1; dir=$2; shift 2
"$bin/postgres" -D "$dir/data" -k "$dir" "$@" >"$dir/log" 2>&1 &
server=$!
cat >/dev/null
kill -QUIT $server 2>/dev/null
wait $server
rm -rf "$dir"
`;

/** Where the programs of a server are: the folders of PATH, then those of Debian's packages, the newest first. */
export async function findPostgres(): Promise<string | undefined> {
  const folders = (Deno.env.get("PATH") ?? "").split(":").filter(Boolean);
  for (const version of await versions()) folders.push(join(DEBIAN, version, "bin"));
  for (const folder of folders) {
    if (await exists(join(folder, "initdb")) && await exists(join(folder, "postgres"))) return folder;
  }
  return undefined;
}

async function versions(): Promise<string[]> {
  try {
    const names = await Array.fromAsync(Deno.readDir(DEBIAN), ({ name }) => name);
    return names.sort((a, b) => Number(b) - Number(a));
  } catch {
    return [];
  }
}

export class PostgresServer implements AsyncDisposable {
  readonly #directory: string;
  readonly #guard: Deno.ChildProcess;

  private constructor(directory: string, guard: Deno.ChildProcess) {
    this.#directory = directory;
    this.#guard = guard;
  }

  static async start(bin: string): Promise<PostgresServer> {
    const directory = await Deno.makeTempDir({ prefix: "drover-pg-" });
    const user = Deno.uid() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
    if (user.uid) await Deno.chown(directory, user.uid, user.gid);
    await create(bin, directory, user);
    const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
    const guard = new Deno.Command("sh", {
      args: ["-c", GUARD, "sh", bin, directory, ...settings],
      cwd: directory,
      stdin: "piped",
      stdout: "null",
      stderr: "null",
      ...user,
    }).spawn();
    const server = new PostgresServer(directory, guard);
    await server.#ready();
    return server;
  }

  /** The address of its one database, with more settings for the connection. */
  url(settings: Record<string, string> = {}): string {
    return `postgres:///postgres?${new URLSearchParams({ host: this.#directory, user: "drover", ...settings })}`;
  }

  /** The same for the driver. */
  options(): { host: string; user: string; database: string; max: number; onnotice: () => void } {
    return { host: this.#directory, user: "drover", database: "postgres", max: 1, onnotice() {} };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#guard.stdin.close();
    await this.#guard.status;
  }

  /** The last line of the pidfile says so. */
  async #ready(): Promise<void> {
    const patience = AbortSignal.timeout(DEADLINE_MS);
    const pidfile = join(this.#directory, "data", "postmaster.pid");
    while (!(await Deno.readTextFile(pidfile).catch(() => "")).includes("ready")) {
      if (patience.aborted) {
        const said = await Deno.readTextFile(join(this.#directory, "log")).catch(() => "nothing");
        await this[Symbol.asyncDispose]();
        throw new Error(`Starting PostgreSQL failed: ${said}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

async function create(bin: string, directory: string, user: { uid?: number; gid?: number }): Promise<void> {
  const { success, stderr } = await new Deno.Command(join(bin, "initdb"), {
    args: [
      ...["-D", join(directory, "data"), "-U", "drover", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"],
      ...["--no-sync", "--no-instructions"],
    ],
    cwd: directory,
    stdout: "null",
    stderr: "piped",
    ...user,
  }).output();
  if (!success) throw new Error(`Making a PostgreSQL database failed: ${new TextDecoder().decode(stderr)}`);
}
