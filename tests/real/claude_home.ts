/** A home in which drover finds the real Claude Code, whose provider is the fake model; nothing of it is left behind. */
import { assertEquals } from "@std/assert";
import { basename, join } from "@std/path";
import type { TaskView } from "../../lib/wire/control.ts";
import {
  type CommandOptions,
  type CommandOutcome,
  eventually,
  type RunningDaemon,
  TestHome,
} from "../support/drover.ts";
import { type Asked, type FakeLlm, type Scenarios, startFakeLlm } from "../support/fake_llm.ts";
import type { ProgramForm } from "../support/program.ts";
import { realCli } from "./install.ts";

/** One message as `tasks messages --json` has it. */
export interface Said {
  readonly seq: number;
  readonly type: string;
  readonly tool: string | null;
  readonly content: string | null;
  readonly input: Record<string, unknown> | null;
  readonly output: string | null;
  readonly call_id: string | null;
}

export interface Ran {
  readonly code: number;
  readonly task: TaskView;
  readonly messages: readonly Said[];
}

export class ClaudeHome implements AsyncDisposable {
  readonly home: TestHome;
  readonly llm: FakeLlm;
  /** Of drover, and through it of the agent. */
  readonly env: Record<string, string>;

  private constructor(home: TestHome, llm: FakeLlm) {
    this.home = home;
    this.llm = llm;
    this.env = {
      // The CLI leaves sockets and scratch folders there.
      TMPDIR: join(home.root, "tmp"),
      ANTHROPIC_BASE_URL: llm.url,
      ANTHROPIC_API_KEY: "fake-key-that-opens-nothing",
      // Each failure is the last one, or a wrong key would take minutes.
      CLAUDE_CODE_MAX_RETRIES: "0",
    };
  }

  static async create(form: ProgramForm, options: { scenarios?: Scenarios } = {}): Promise<ClaudeHome> {
    const cli = await realCli("claude");
    await using stack = new AsyncDisposableStack();
    const llm = stack.use(await startFakeLlm(options));
    const home = stack.use(await TestHome.create(form));
    const test = new ClaudeHome(home, llm);
    await Deno.mkdir(test.env.TMPDIR!);
    await Deno.symlink(cli, join(home.bin, "claude"));
    stack.move();
    return test;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.home[Symbol.asyncDispose]();
    await this.llm[Symbol.asyncDispose]();
  }

  drover(args: readonly string[], options: CommandOptions = {}): Promise<CommandOutcome> {
    return this.home.drover(args, this.#with(options));
  }

  // deno-lint-ignore no-explicit-any
  async json(args: readonly string[], options: CommandOptions = {}): Promise<any> {
    const { value } = await this.home.json(args, this.#with(options));
    return value;
  }

  /** `run` to its end, in an empty directory unless `args` say otherwise. */
  async run(prompt: string, args: readonly string[] = ["--scratch"], options: CommandOptions = {}): Promise<Ran> {
    const { code, value } = await this.home.json(["run", "--agent", "claude", ...args, prompt], this.#with(options));
    if (!value.task) throw new Error(`No task from drover run: ${JSON.stringify(value)}; ${await this.home.log()}`);
    return { code, task: value.task, messages: value.messages };
  }

  /** `run` that is not waited for. */
  spawnRun(prompt: string, args: readonly string[] = ["--scratch"]): Deno.ChildProcess {
    return this.home.spawn(["run", "--agent", "claude", ...args, prompt], { ...this.#with({}), stdout: "null" });
  }

  daemon(args: readonly string[] = []): Promise<RunningDaemon> {
    return this.home.daemon({ ...this.#with({}), args });
  }

  /** Newest first. */
  async tasks(): Promise<TaskView[]> {
    return (await this.json(["tasks", "list"])).tasks;
  }

  /** The answered model requests of a scenario, oldest first; titles and the like are left out. */
  asked(scenario: string): Asked[] {
    return this.llm.requests.flatMap(({ asked }) => asked && !asked.side && asked.scenario === scenario ? [asked] : []);
  }

  /** Pids of the home's processes by the name of their program; zombies do not count. */
  async pidsOf(program: string): Promise<number[]> {
    const pids = await this.home.processes();
    const names = await Promise.all(pids.map((pid) => programOf(pid)));
    return pids.filter((_, i) => names[i] === program);
  }

  /** Waits until the agent's command runs, which must not be in the agent's own session: a group's end would reach it. */
  async toolRuns(program = "tail"): Promise<void> {
    await eventually(async () => (await this.pidsOf(program)).length > 0, `${program} runs`, 30_000);
    const [tool, agent] = await Promise.all([this.pidsOf(program), this.pidsOf("claude")]);
    const sessions = await Promise.all([...agent, ...tool].map(sessionOf));
    assertEquals(new Set(sessions).size, sessions.length, `sessions of ${agent} and ${tool}: ${sessions}`);
  }

  #with(options: CommandOptions): CommandOptions {
    return { ...options, env: { ...this.env, ...options.env } };
  }
}

/** The name of its file; empty for one that is gone. */
async function programOf(pid: number): Promise<string> {
  const line = await Deno.readTextFile(`/proc/${pid}/cmdline`).catch(() => "");
  return basename(line.split("\0")[0] ?? "");
}

/** The kernel's session of a process; -1 for one that is gone. */
async function sessionOf(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[3] ?? -1);
}

/** Without the later pieces of a text that went on: fragments are joined for half a second, and a slow machine takes longer. */
export function spoken(messages: readonly Said[]): readonly Said[] {
  const goesOn = ({ type }: Said, before: Said | undefined) =>
    (type === "text" || type === "thinking") && before?.type === type;
  return messages.filter((message, i) => !goesOn(message, messages[i - 1]));
}
