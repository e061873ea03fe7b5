/** Records what a real agent CLI says in a scenario of the fake model, for the adapters' tests: tests/agents/golden/CLI-SCENARIO.jsonl. */
import { parseArgs } from "@std/cli/parse-args";
import { join } from "@std/path";
import type { ProviderRow } from "../lib/agents/provider_row.ts";
import { backendOf, rowOf } from "../lib/agents/registry.ts";
import { type Outcome, StopError } from "../lib/core/message.ts";
import type { AgentTask, Family, Permission } from "../lib/core/model.ts";
import type { Child, ChildExit, Logger, Processes, SpawnRequest } from "../lib/core/ports.ts";
import { runAgent } from "../lib/daemon/agent_run.ts";
import { createClock } from "../lib/host/clock.ts";
import { createProcesses } from "../lib/host/process.ts";
import { eventually } from "../tests/support/drover.ts";
import { type FakeLlm, SCENARIOS, type Scenarios, startFakeLlm } from "../tests/support/fake_llm.ts";
import { realCli } from "../tests/real/install.ts";
import { prepareHome } from "../tests/real/real_home.ts";
import { REAL_PROVIDERS, type RealProvider, SETUPS } from "../tests/real/setups.ts";
import { runScript } from "./command.ts";
import { ROOT, toolsDir } from "./project.ts";

const GOLDEN = join(ROOT, "tests", "agents", "golden");
const LIMIT_MS = 120_000;

/** How a recording differs from one prompt in the scenario of its own name, with everything allowed. */
interface Recording {
  /** Of the fake model. */
  readonly scenario?: string;
  readonly permission?: Permission;
  /** What the person who is asked says. */
  readonly allow?: boolean;
  /** In the session of a run before, which is not recorded. */
  readonly resumes?: true;
  /** A session that never was. */
  readonly unknownSession?: true;
  /** Sent to the CLI once its tool runs. */
  readonly signal?: "SIGTERM" | "SIGINT";
  /** The run is cancelled once its tool runs. */
  readonly cancel?: true;
  /** Nobody is logged in. */
  readonly withoutKey?: true;
  /** Where it is not the CLI's usual one. */
  readonly model?: string;
  /** How often the CLI tries again, as far as it can be told. */
  readonly retries?: number;
}

const RECORDINGS: Readonly<Record<string, Recording>> = {
  tool: { scenario: "default" },
  slowtool: {},
  // Of Codex only: this model gets its tools as functions of a program that it writes.
  codemode: { scenario: "default", model: "gpt-6-astra" },
  say: {},
  think: {},
  parallel: {},
  toolfail: {},
  write: {},
  resume: { scenario: "text", resumes: true },
  nosession: { scenario: "text", unknownSession: true },
  flaky: { retries: 3 },
  // With one retry, so that it is seen to be told.
  http401: { retries: 1 },
  http429: { retries: 1 },
  http500: { retries: 1 },
  midfail: { retries: 1 },
  errorevent: { retries: 1 },
  drop: { retries: 1 },
  nologin: { scenario: "text", withoutKey: true },
  "sigterm-in-tool": { scenario: "sleep", signal: "SIGTERM" },
  "sigint-in-tool": { scenario: "sleep", signal: "SIGINT" },
  "cancel-in-tool": { scenario: "sleep", cancel: true },
  "ask-allow": { scenario: "touch", permission: "ask", allow: true },
  "ask-deny": { scenario: "touch", permission: "ask", allow: false },
};

const MORE_SCENARIOS: Scenarios = {
  // No command that a CLI allows by itself.
  touch: [{ shell: "touch touched.txt" }, { text: "Touched." }],
  slowtool: [{ shell: "sleep 0.5; echo hello-from-tool; sleep 0.5" }, { text: "Tool said: {{toolResult}}" }],
};

/** Where the client's side decides what the agent says, it is recorded as well. */
const BOTH_DIRECTIONS: Readonly<Record<Family, boolean>> = {
  "claude-stream-json": false,
  "codex-app-server": true,
  acp: true,
  "exec-jsonl": false,
  "plain-text": false,
};

/** What went over the streams of one process, as it went. */
class Transcript {
  readonly #began = performance.now();
  readonly #entries: { at: number; side: "in" | "out"; line: string }[] = [];

  /** Lines as they pass; the bytes are not touched. */
  tap(side: "in" | "out"): TransformStream<Uint8Array, Uint8Array> {
    const decoder = new TextDecoder();
    let rest = "";
    const add = (line: string) => this.#entries.push({ at: performance.now() - this.#began, side, line });
    return new TransformStream({
      transform(chunk, controller) {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
        rest = lines.pop() ?? "";
        lines.forEach(add);
        controller.enqueue(chunk);
      },
      flush: () => void (rest && add(rest)),
    });
  }

  text(both: boolean): string {
    const entries = this.#entries.filter(({ side }) => both || side === "out");
    return entries.map(({ at, side, line }) => {
      return both ? `{"t":${(at / 1000).toFixed(3)},"${side}":${messageIn(line)}}\n` : `${line}\n`;
    }).join("");
  }
}

/** What is no message is recorded as a string. */
function messageIn(line: string): string {
  try {
    JSON.parse(line);
    return line.trim();
  } catch {
    return JSON.stringify(line);
  }
}

/** The process's own streams, with a transcript in between. */
function tapped(child: Child, transcript: Transcript): Child {
  const input = child.stdin && transcript.tap("in");
  void input?.readable.pipeTo(child.stdin!).catch(() => {});
  return {
    pid: child.pid,
    stdin: input?.writable ?? null,
    stdout: child.stdout.pipeThrough(transcript.tap("out")),
    stderrTail: () => child.stderrTail(),
    exit: child.exit,
    stop: (options) => child.stop(options),
  };
}

/** One CLI in a place of its own. */
class Studio implements AsyncDisposable {
  readonly #provider: RealProvider;
  readonly #row: ProviderRow;
  readonly #root: string;
  readonly #llm: FakeLlm;
  readonly #login: Readonly<Record<string, string>>;
  readonly #clock = createClock();
  readonly #processes: Processes = createProcesses({ clock: this.#clock });

  private constructor({ provider, row, root, llm, login }: {
    provider: RealProvider;
    row: ProviderRow;
    root: string;
    llm: FakeLlm;
    login: Readonly<Record<string, string>>;
  }) {
    this.#provider = provider;
    this.#row = row;
    this.#root = root;
    this.#llm = llm;
    this.#login = login;
  }

  static async open(provider: RealProvider, retries?: number): Promise<Studio> {
    const row = rowOf(provider);
    if (!row) throw new Error(`Cannot record ${provider}: it has no row in the table of agent CLIs`);
    const root = await Deno.realPath(await Deno.makeTempDir({ prefix: "drover-golden-" }));
    const llm = await startFakeLlm({ scenarios: { ...SCENARIOS, ...MORE_SCENARIOS } });
    for (const name of ["home", "bin", "tmp", "work"]) await Deno.mkdir(join(root, name));
    const model = { url: llm.url, retries };
    await prepareHome(provider, { home: join(root, "home"), bin: join(root, "bin") }, model);
    return new Studio({ provider, row, root, llm, login: SETUPS[provider].env(model) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#llm[Symbol.asyncDispose]();
    await Deno.remove(this.#root, { recursive: true });
  }

  /** Into the directory; how it ended. */
  async record(name: string, recording: Recording, directory: string): Promise<string> {
    let session: string | undefined = recording.unknownSession && UNKNOWN_SESSION;
    if (recording.resumes) {
      const before = await this.#run("before", { scenario: "say" });
      session = before.outcome.sessionId;
      if (!session) throw new Error(`Cannot record ${name}: the run before it has no session: ${told(before)}`);
    }
    const run = await this.#run(name, recording, session);
    const text = this.#redacted(run.transcript.text(BOTH_DIRECTIONS[this.#row.family]));
    await Deno.writeTextFile(join(directory, `${this.#provider}-${name}.jsonl`), text);
    return told(run);
  }

  async #run(name: string, recording: Recording, resumeSession?: string): Promise<Run> {
    const { scenario = name, permission = "full", allow = false } = recording;
    const task: AgentTask = {
      id: name,
      prompt: `please run it @fake:${scenario}`,
      cwd: join(this.#root, "work"),
      permission,
      newSession: crypto.randomUUID(),
      ...(resumeSession ? { resumeSession } : {}),
      ...(recording.model ? { model: recording.model } : {}),
    };
    const transcript = new Transcript();
    const exit = Promise.withResolvers<ChildExit>();
    const stop = new AbortController();
    const env = this.#env(recording.withoutKey === true);
    const outcome = await runAgent({
      backend: backendOf(this.#row),
      runtime: {
        provider: this.#provider,
        family: this.#row.family,
        executable: await realCli(SETUPS[this.#provider].cli),
        fixedArgs: [],
        version: "",
        env: { ...this.#row.env, ...(Deno.uid() === 0 ? this.#row.rootEnv : {}) },
      },
      task,
      env: (adapter) => ({ ...env, ...adapter }),
      mark: `golden-${crypto.randomUUID()}`,
      signal: AbortSignal.any([stop.signal, AbortSignal.timeout(LIMIT_MS)]),
      ask: () => Promise.resolve({ allow, why: "so says the recording" }),
      onStarted: (child) => {
        void child.exit.then(exit.resolve);
        if (recording.signal) void this.#toolRuns().then(() => Deno.kill(child.pid, recording.signal!));
        const cancelled = new StopError({ kind: "cancelled", by: "user" });
        if (recording.cancel) void this.#toolRuns().then(() => stop.abort(cancelled));
      },
      onMessage: () => {},
      onOutcome: () => {},
      clock: this.#clock,
      processes: {
        ...this.#processes,
        spawn: (request: SpawnRequest) => tapped(this.#processes.spawn(request), transcript),
      },
      log: SILENT,
    });
    return { transcript, outcome, exit: await exit.promise };
  }

  #env(withoutKey: boolean): Record<string, string> {
    const login = Object.entries(this.#login).filter(([name]) => !withoutKey || !name.endsWith("_KEY"));
    return {
      PATH: `${join(this.#root, "bin")}:/usr/local/bin:/usr/bin:/bin`,
      HOME: join(this.#root, "home"),
      TMPDIR: join(this.#root, "tmp"),
      TERM: "dumb",
      ...Object.fromEntries(login),
    };
  }

  /** Resolves when the scenario's endless command is there. */
  async #toolRuns(): Promise<void> {
    const runs = async () => {
      for await (const { name } of Deno.readDir("/proc")) {
        const command = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
        const cwd = await Deno.readLink(`/proc/${name}/cwd`).catch(() => "");
        if (command.startsWith("tail\0") && cwd.startsWith(this.#root)) return true;
      }
      return false;
    };
    await eventually(runs, "the tool runs", 30_000);
  }

  /** Without what is of this machine and this run; ids stay, as lines belong together by them. */
  #redacted(text: string): string {
    const places: [string, string][] = [
      ...["home", "work", "tmp", "bin"].map((name): [string, string] => [join(this.#root, name), name]),
      [this.#root, "root"],
      [join(toolsDir(), "real"), "inst"],
      [this.#llm.url, "http://127.0.0.1:1"],
    ];
    return places.reduce(
      (redacted, [from, to]) => redacted.replaceAll(from, to).replaceAll(from.replaceAll("/", "-"), `-${to}`),
      text,
    );
  }
}

interface Run {
  readonly transcript: Transcript;
  readonly outcome: Outcome;
  readonly exit: ChildExit;
}

const UNKNOWN_SESSION = "00000000-0000-4000-8000-000000000000";
const quiet = () => {};
const SILENT = { debug: quiet, info: quiet, warn: quiet, error: quiet } as unknown as Logger;

function told({ outcome, exit }: Run): string {
  const end = outcome.kind === "failed" ? `${outcome.reason}: ${outcome.detail.split("\n")[0]}` : outcome.kind;
  return `${end} (exit ${exit.signal ?? exit.code})`;
}

async function main(args: readonly string[]): Promise<number> {
  const { all, to, _: words } = parseArgs([...args], { boolean: ["all"], string: ["to"] });
  const [provider, ...names] = words.map(String);
  const cli = REAL_PROVIDERS.find((name) => name === provider);
  if (!cli) throw new Error(`Cannot record ${provider}: it can be ${REAL_PROVIDERS.join(", ")}`);
  const wanted = all ? Object.keys(RECORDINGS) : names;
  for (const name of wanted) {
    const recording = RECORDINGS[name];
    if (!recording) throw new Error(`Cannot record ${name}: it can be ${Object.keys(RECORDINGS).join(", ")}, or --all`);
    await using studio = await Studio.open(cli, recording.retries);
    console.log(`${cli}-${name}: ${await studio.record(name, recording, String(to ?? GOLDEN))}`);
  }
  return 0;
}

if (import.meta.main) await runScript(() => main(Deno.args));
