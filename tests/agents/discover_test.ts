/** Discovery over real files and real version probes: each way a CLI can be unusable has its reason and its advice. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { discover, discoverProvider, isOurselves } from "../../lib/agents/discover.ts";
import { PROVIDERS } from "../../lib/agents/registry.ts";
import type { SkipReason } from "../../lib/core/model.ts";
import type { Env } from "../../lib/core/ports.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createFiles } from "../../lib/host/files.ts";
import { createProcesses } from "../../lib/host/process.ts";
import { placeScript } from "../support/program_file.ts";

const ports = { processes: createProcesses({ clock: createClock() }), files: createFiles() };
const SELF = ["/opt/drover", "more"];

/** Two directories on PATH, in order, besides what the shell itself needs. */
class Machine implements AsyncDisposable {
  readonly #root: string;
  readonly env: Env;

  private constructor(root: string) {
    this.#root = root;
    this.env = { PATH: `${root}/first:relative::${root}/second`, HOME: root };
  }

  static async create(): Promise<Machine> {
    const root = await Deno.makeTempDir();
    for (const name of ["first", "second"]) await Deno.mkdir(join(root, name));
    return new Machine(root);
  }

  async script(path: string, body: string, mode = 0o755): Promise<string> {
    const file = join(this.#root, path);
    await placeScript(file, `#!/bin/sh\n${body}\n`, mode);
    return file;
  }

  path(name: string): string {
    return join(this.#root, name);
  }

  discover(changes: Env = {}, options: { uid?: number; except?: ReadonlySet<string>; signal?: AbortSignal } = {}) {
    return discover({ ...ports, env: { ...this.env, ...changes }, selfCommand: SELF, ...options });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#root, { recursive: true });
  }
}

Deno.test("discover() leaves out what is not to be looked for, and does not start it", async () => {
  await using machine = await Machine.create();
  await machine.script("first/claude", `touch ${machine.path("started")}; echo 2.1.328`);
  await machine.script("first/llm", "echo 1.2.3");
  const { found, skipped } = await machine.discover({}, { except: new Set(["claude", "demo"]) });
  assertEquals(found.map(({ provider }) => provider), ["llm"]);
  assertEquals(skipped.filter(({ provider, why }) => provider === "claude" || why !== "not-found"), []);
  await assertRejects(() => Deno.stat(machine.path("started")), Deno.errors.NotFound);
});

Deno.test("discover() finds the first usable command on PATH and its version", async () => {
  await using machine = await Machine.create();
  await machine.script("first/claude", "echo 9.9.9", 0o644);
  const real = await machine.script("second/claude", "echo 'update available'; echo '2.1.328 (Claude Code)'");
  const { found, skipped } = await machine.discover();
  assertEquals(found[0], {
    provider: "claude",
    family: "claude-stream-json",
    executable: real,
    fixedArgs: [],
    version: "2.1.328",
    env: found[0]?.env,
  });
  assertEquals(found[0]?.env?.IS_SANDBOX, undefined);
  const others = PROVIDERS.map(({ provider }) => provider).filter((name) => name !== "claude" && name !== "demo");
  assertEquals(skipped.map((row) => [row.provider, row.why]), others.map((name) => [name, "not-found"]));
});

Deno.test("discover() tells the CLI that root means it only where drover is root", async () => {
  await using machine = await Machine.create();
  await machine.script("first/claude", "echo 2.1.0");
  assertEquals((await machine.discover({}, { uid: 0 })).found[0]?.env?.IS_SANDBOX, "1");
  assertEquals((await machine.discover({}, { uid: 1000 })).found[0]?.env?.IS_SANDBOX, undefined);
});

Deno.test("discover() takes two numbers for a version where no minimum is asked for", async () => {
  await using machine = await Machine.create();
  await machine.script("second/llm", "echo 'llm, version 0.27'");
  const { found } = await machine.discover();
  assertEquals(found.map((runtime) => [runtime.provider, runtime.version]), [["llm", "0.27"], ["demo", ""]]);
});

Deno.test("discover() takes a CLI that cannot tell its version as it is, if it answers at all", async () => {
  await using machine = await Machine.create();
  await machine.script("first/codex-acp", '[ "$1" = --help ] && echo usage');
  const unversioned = (await machine.discover()).found.find(({ provider }) => provider === "codex-acp");
  assertEquals(unversioned?.version, "");
  await machine.script("first/codex-acp", "exit 1");
  assert(!(await machine.discover()).found.some(({ provider }) => provider === "codex-acp"));
});

Deno.test("discover() lists the demo agent last, always, as this program itself", async () => {
  await using machine = await Machine.create();
  const { found } = await machine.discover();
  assertEquals(found, [{
    provider: "demo",
    family: "claude-stream-json",
    executable: "/opt/drover",
    fixedArgs: ["more", "__demo-agent"],
    version: "",
  }]);
  assertEquals(PROVIDERS.at(-1)?.provider, "demo");
});

Deno.test("discover() skips a CLI with its reason and what to do about it", async (t) => {
  const rows: { name: string; prepare: (machine: Machine) => Promise<Env | void>; why: SkipReason; says: string }[] = [
    {
      name: "nothing there",
      prepare: () => Promise.resolve(),
      why: "not-found",
      says: "npm install -g @anthropic-ai/claude-code",
    },
    {
      name: "a file that is not executable",
      prepare: async (machine) => void await machine.script("first/claude", "echo 2.1.0", 0o644),
      why: "not-executable",
      says: "first/claude is not executable (chmod +x)",
    },
    {
      name: "a directory of that name",
      prepare: (machine) => Deno.mkdir(machine.path("first/claude")),
      why: "not-executable",
      says: "first/claude is a directory",
    },
    {
      name: "a link to nothing, as in the middle of an upgrade",
      prepare: (machine) => Deno.symlink("/gone", machine.path("second/claude")),
      why: "not-executable",
      says: "second/claude is a link to something that is gone",
    },
    {
      name: "a file without an interpreter",
      prepare: async (machine) => {
        await Deno.writeTextFile(machine.path("first/claude"), "#!/no/such/thing\n", { mode: 0o755 });
        await Deno.chmod(machine.path("first/claude"), 0o755);
      },
      why: "not-executable",
      says: "interpreter",
    },
    {
      name: "a stub that fails",
      prepare: async (machine) =>
        void await machine.script("first/claude", "echo native binary not installed >&2; exit 1"),
      why: "version-probe-failed",
      says: "ended with code 1: native binary not installed",
    },
    {
      name: "no version in what it prints",
      prepare: async (machine) => void await machine.script("first/claude", "echo hello"),
      why: "version-unreadable",
      says: "printed no version number, but: hello",
    },
    {
      name: "a version that is too old",
      prepare: async (machine) => void await machine.script("first/claude", "echo 1.0.99"),
      why: "version-too-old",
      says: "says 1.0.99, drover needs 2.0.0 or newer",
    },
    {
      name: "an override that leads nowhere, though PATH has one",
      prepare: async (machine) => {
        await machine.script("first/claude", "echo 2.1.0");
        return { DROVER_CLAUDE_PATH: machine.path("no") };
      },
      why: "not-found",
      says: "DROVER_CLAUDE_PATH=",
    },
    {
      name: "an override that is relative",
      prepare: () => Promise.resolve({ DROVER_CLAUDE_PATH: "bin/claude" }),
      why: "not-executable",
      says: "is not an absolute path",
    },
  ];
  for (const { name, prepare, why, says } of rows) {
    await t.step(name, async () => {
      await using machine = await Machine.create();
      const env = await prepare(machine);
      const { skipped } = await machine.discover(env ?? {});
      const row = skipped.find(({ provider }) => provider === "claude");
      assertEquals(row?.why, why, row?.detail);
      assertStringIncludes(row?.detail ?? "", says);
    });
  }
});

Deno.test("discover() follows the override instead of PATH", async () => {
  await using machine = await Machine.create();
  await machine.script("first/claude", "echo 2.1.0");
  const own = await machine.script("my-claude", "echo 2.2.0");
  const { found } = await machine.discover({ DROVER_CLAUDE_PATH: own });
  assertEquals([found[0]?.executable, found[0]?.version], [own, "2.2.0"]);
});

Deno.test("discover() ends at once when it is aborted, and its probes with it", async () => {
  await using machine = await Machine.create();
  await machine.script("first/claude", "exec /bin/sleep 600");
  const abort = new AbortController();
  const discovering = assertRejects(() => machine.discover({}, { signal: abort.signal }), Error, "enough");
  abort.abort(new Error("enough"));
  await discovering;
});

Deno.test("isOurselves() tells the row that starts this very program from those with programs of their own", () => {
  const runtime = { family: "plain-text", executable: "/bin/x", fixedArgs: [], version: "1" } as const;
  const providers = ["demo", "claude", "nobody"];
  assertEquals(providers.map((provider) => isOurselves({ provider, ...runtime })), [true, false, false]);
});

Deno.test("discoverProvider() looks at one row again, and refuses a name that is none", async () => {
  await using machine = await Machine.create();
  await machine.script("first/claude", "echo 2.1.0");
  const options = { ...ports, env: machine.env, selfCommand: SELF };
  const again = await discoverProvider("claude", options);
  assert("executable" in again && again.version === "2.1.0");
  const other = await machine.script("second/claude", "echo 2.2.0");
  const there = await discoverProvider("claude", { ...options, at: other });
  assert("executable" in there && there.version === "2.2.0" && there.executable === other);
  const gone = await discoverProvider("claude", { ...options, at: machine.path("third/claude") });
  assertEquals("why" in gone && gone.why, "version-probe-failed");
  const none = await discoverProvider("nobody", options);
  assertEquals("why" in none && none.why, "not-supported");
});
