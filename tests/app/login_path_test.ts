/** Asking real shells for their PATH, with rc files as they are found in homes: noisy, slow, broken, full of children. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { openLoginPath } from "../../lib/app/login_path.ts";
import { homeLayout } from "../../lib/core/home.ts";
import type { CommandResult, Env, Host } from "../../lib/core/ports.ts";
import type { Surroundings } from "../../lib/daemon/surroundings.ts";
import { type TempDirectory, tempDirectory } from "../host/temp_directory.ts";
import { eventually } from "../support/drover.ts";
import type { KeptLog } from "../daemon/kept_log.ts";
import { testHost } from "./test_host.ts";

const { signal } = new AbortController();
const OWN_PATH = "/own:/usr/bin:/bin";

/** Where a shell is on this machine. */
function pathOf(shell: string): string | undefined {
  return ["/bin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map((directory) => join(directory, shell)).find(
    (path) => {
      try {
        return Deno.statSync(path).isFile;
      } catch {
        return false;
      }
    },
  );
}

/** For the name of a test that is skipped for it. */
function missing(shell: string): string {
  return pathOf(shell) === undefined ? ` (there is no ${shell} here)` : "";
}

interface WorldOptions {
  readonly shell?: string;
  readonly env?: Env;
  /** Instead of the limit of the code. */
  readonly timeoutMs?: number;
  readonly answer?: () => Promise<CommandResult>;
}

/** A user's home with rc files, and a home of drover in it. */
class World implements AsyncDisposable {
  readonly log: KeptLog;
  readonly drover;
  readonly #directory: TempDirectory;
  readonly #host: Host;

  private constructor(directory: TempDirectory, options: WorldOptions) {
    this.#directory = directory;
    this.drover = homeLayout(directory.at("drover"));
    const env = { HOME: directory.path, PATH: OWN_PATH, SHELL: pathOf(options.shell ?? "bash")!, ...options.env };
    const { host, log, processes } = testHost({ env });
    this.log = log;
    this.#host = {
      ...host,
      processes: {
        ...processes,
        run: (command, limits) =>
          options.answer?.() ??
            processes.run(command, { ...limits, timeoutMs: options.timeoutMs ?? 60_000 }),
      },
    };
  }

  static async create(rc: Record<string, string>, options: WorldOptions = {}): Promise<World> {
    const directory = await tempDirectory();
    const world = new World(directory, options);
    await Deno.mkdir(world.drover.root);
    for (const [name, text] of Object.entries(rc)) await world.write(name, text);
    return world;
  }

  async write(name: string, text: string): Promise<void> {
    const path = this.at(name);
    await Deno.mkdir(join(path, ".."), { recursive: true });
    await Deno.writeTextFile(path, text);
  }

  at(name: string): string {
    return this.#directory.at(name);
  }

  open(enabled = true): Promise<Surroundings> {
    return openLoginPath(this.#host, this.drover, { enabled });
  }

  /** Pids of what runs with this home in its environment. */
  async #processes(): Promise<string[]> {
    const found: string[] = [];
    for await (const { name } of Deno.readDir("/proc")) {
      const environ = /^\d+$/.test(name) ? await Deno.readTextFile(`/proc/${name}/environ`).catch(() => "") : "";
      if (environ.includes(`HOME=${this.#directory.path}\0`)) found.push(name);
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (Deno.build.os === "linux") {
      await eventually(async () => (await this.#processes()).length === 0, "no process of the shell is left");
    }
    await this.#directory[Symbol.asyncDispose]();
  }
}

function added(surroundings: Surroundings): string[] {
  return (surroundings.env().PATH ?? "").split(":").filter((entry) => entry.startsWith("/rc/"));
}

const NOISE = "echo 'Welcome, it is 12:00'; echo oops >&2; printf '\\033[31m'\n";
const POSIX = (name: string) => `${NOISE}PATH="$PATH:/rc/${name}"; export PATH\n`;

/** By shell: the rc files, and what they add, in the order they are read. */
const SHELLS: Record<string, [rc: Record<string, string>, added: string[]]> = {
  dash: [{ ".profile": POSIX("profile") }, ["/rc/profile"]],
  bash: [{
    ".bash_profile": `${POSIX("profile")}. ~/.bashrc\n`,
    ".bashrc": `case $- in *i*) ;; *) return;; esac\n${POSIX("rc")}`,
  }, [
    "/rc/profile",
    "/rc/rc",
  ]],
  zsh: [{ ".zprofile": POSIX("profile"), ".zshrc": POSIX("rc") }, ["/rc/profile", "/rc/rc"]],
  ksh: [{ ".profile": POSIX("profile"), ".kshrc": POSIX("rc"), ".mkshrc": POSIX("rc") }, ["/rc/profile", "/rc/rc"]],
  fish: [{
    ".config/fish/config.fish":
      "echo Welcome\nif status is-interactive; and status is-login\n  set -gx PATH $PATH /rc/fish '/rc/a b'\nend\n",
  }, ["/rc/fish", "/rc/a b"]],
  tcsh: [{ ".tcshrc": "echo Welcome\nsetenv PATH ${PATH}:/rc/tcsh\n" }, ["/rc/tcsh"]],
  nu: [{ ".config/nushell/config.nu": "print Welcome\n$env.PATH = ($env.PATH | append '/rc/nu')\n" }, ["/rc/nu"]],
};

for (const [shell, [rc, expected]] of Object.entries(SHELLS)) {
  Deno.test({
    name: `openLoginPath() adds what ${shell} adds in its rc files, noise and all${missing(shell)}`,
    ignore: missing(shell) !== "",
    fn: async () => {
      await using world = await World.create(rc, { shell });
      const surroundings = await world.open();
      assertEquals(surroundings.env().PATH, OWN_PATH);
      assertEquals(await surroundings.refresh(signal), "changed");
      assertEquals(added(surroundings), expected);
      assert(surroundings.env().PATH!.startsWith(`${OWN_PATH}:`));
      assertEquals(await surroundings.refresh(signal), "same");
      assertEquals(world.log.said("info"), ["PATH follows the login shell"]);
      assertEquals(world.log.said("warn"), []);
    },
  });
}

/** Any shell will do for the rest; this one nearly every machine has. */
const ignore = missing("bash") !== "";

interface Habit {
  readonly rc: string;
  /** Left out where it depends on what the signals meet first. */
  readonly answers?: boolean;
  /** Of those that hang. */
  readonly timeoutMs?: number;
}

const HABITS: Record<string, Habit> = {
  "shows what the shell was started with": { rc: 'echo "$BASH_EXECUTION_STRING"; set -xv', answers: true },
  "asks a question": { rc: "read -r answer; read -r -p 'Sure? ' again </dev/tty", answers: true },
  "leaves children that hold the output open": {
    rc: "(sleep 600 &)\nsetsid sleep 600 &\n(trap '' TERM; sleep 600) & disown",
    answers: true,
  },
  "hangs when the shell leaves": { rc: "trap 'sleep 600' EXIT", answers: true, timeoutMs: 6_000 },
  "takes PATH away": { rc: "unset PATH", answers: true },
  "does not go on when drover asks": { rc: '[ -n "$DROVER_RESOLVING_PATH" ] && exit 0', answers: false },
  "ends with an error": { rc: "echo broken >&2; exit 3", answers: false },
  "becomes something else": { rc: "exec /bin/cat", answers: false },
  "swallows what is said": { rc: "exec >/dev/null", answers: false },
  "waits for long": { rc: "sleep 600", timeoutMs: 1_000 },
  "hangs": { rc: "while :; do sleep 600; done", answers: false, timeoutMs: 1_000 },
  "hangs and does not listen": { rc: "trap '' TERM; sleep 600", answers: false, timeoutMs: 1_000 },
  "never stops talking": { rc: "while :; do echo yes; done", answers: false, timeoutMs: 1_000 },
};

for (const [what, { rc, answers, timeoutMs }] of Object.entries(HABITS)) {
  Deno.test({
    name: `openLoginPath() keeps our own PATH, and leaves no process, where an rc file ${what}`,
    ignore,
    fn: async () => {
      await using world = await World.create({ ".bash_profile": `PATH=$PATH:/rc/profile\n${rc}\n` }, { timeoutMs });
      const surroundings = await world.open();
      const refreshed = await surroundings.refresh(signal);
      assert(surroundings.env().PATH!.startsWith(OWN_PATH));
      if (answers !== undefined) assertEquals(refreshed !== "failed", answers);
      assertEquals(world.log.said("warn").length, refreshed === "failed" ? 1 : 0);
      if (answers && what !== "takes PATH away") assertEquals(added(surroundings), ["/rc/profile"]);
    },
  });
}

Deno.test("openLoginPath() keeps the last answer while there is none, and says so once until there is one again", {
  ignore,
}, async () => {
  await using world = await World.create({ ".profile": POSIX("one") }, {});
  const surroundings = await world.open();
  assertEquals(await surroundings.refresh(signal), "changed");
  await world.write(".profile", "exit 3");
  assertEquals([await surroundings.refresh(signal), await surroundings.refresh(signal)], ["failed", "failed"]);
  assertEquals(added(surroundings), ["/rc/one"]);
  await world.write(".profile", POSIX("two"));
  assertEquals(await surroundings.refresh(signal), "changed");
  assertEquals(added(surroundings), ["/rc/two"]);
  assertEquals(world.log.records.filter(({ level }) => level !== "debug").map(({ message }) => message), [
    "PATH follows the login shell",
    "the login shell does not tell its PATH, what is known of it stays",
    "the login shell tells its PATH again",
    "PATH follows the login shell",
  ]);
  assertEquals(world.log.records.at(-1)!.fields, { shell: pathOf("bash"), added: ["/rc/two"], removed: ["/rc/one"] });
});

Deno.test(
  "openLoginPath() starts with the answer of last time, if it came from the same shell",
  { ignore },
  async () => {
    await using world = await World.create({ ".profile": POSIX("one") }, {});
    await (await world.open()).refresh(signal);
    assertEquals(added(await world.open()), ["/rc/one"]);
    assertEquals(await (await world.open()).refresh(signal), "same");
    assertEquals((await Deno.stat(world.drover.loginPath)).mode! & 0o777, 0o600);
    const kept = JSON.parse(await Deno.readTextFile(world.drover.loginPath));
    for (
      const text of [
        "",
        "{",
        "null",
        "[]",
        JSON.stringify({ ...kept, shell: "/bin/other" }),
        JSON.stringify({ ...kept, path: 7 }),
      ]
    ) {
      await Deno.writeTextFile(world.drover.loginPath, text);
      assertEquals(added(await world.open()), [], text);
    }
  },
);

Deno.test("openLoginPath() asks nobody when it is off, when an rc file is waited for, and when there is no shell", async () => {
  const never = () => Promise.reject(new Error("somebody was asked"));
  for (
    const [enabled, env] of [[false, {}], [true, { DROVER_RESOLVING_PATH: "1" }], [true, {
      SHELL: "/bin/false",
    }]] as const
  ) {
    await using world = await World.create({}, { env, answer: never });
    const surroundings = await world.open(enabled);
    assertEquals([await surroundings.refresh(signal), surroundings.env().PATH], ["same", OWN_PATH]);
  }
});

Deno.test("openLoginPath() minds neither a shell nor a home that is not there", { ignore }, async () => {
  for (const env of [{ SHELL: "/nowhere/bash" }, { HOME: "/nowhere" }] as Env[]) {
    await using world = await World.create({}, { env });
    const surroundings = await world.open();
    assertEquals([await surroundings.refresh(signal), surroundings.env().PATH], ["failed", OWN_PATH]);
  }
});

Deno.test("Surroundings.refresh() ends the shell and rejects when it is aborted", { ignore }, async () => {
  await using world = await World.create({ ".profile": "touch ~/asked; sleep 600" }, {});
  const surroundings = await world.open();
  const abort = new AbortController();
  const refreshed = surroundings.refresh(abort.signal);
  refreshed.catch(() => {});
  await eventually(() => Deno.stat(world.at("asked")).then(() => true, () => false), "the shell is asked", 60_000);
  abort.abort(new Error("enough"));
  await assertRejects(() => refreshed, Error, "enough");
});
