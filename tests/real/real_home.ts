/** A home in which drover finds one real agent CLI, whose model is the fake one; nothing of it is left behind. */
import { basename, dirname, join } from "@std/path";
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
import { needsNode, npmInstall, realCli } from "./install.ts";
import { type FakeModel, type RealProvider, type RealSetup, SETUPS } from "./setups.ts";

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

export class RealHome implements AsyncDisposable {
  readonly provider: RealProvider;
  readonly home: TestHome;
  readonly llm: FakeLlm;
  /** Of drover, and through it of the agent. */
  readonly env: Record<string, string>;

  private constructor(provider: RealProvider, home: TestHome, llm: FakeLlm) {
    this.provider = provider;
    this.home = home;
    this.llm = llm;
    // The CLIs leave sockets and scratch folders in the directory for temporary files.
    this.env = { TMPDIR: join(home.root, "tmp"), ...SETUPS[provider].env(llm) };
  }

  /** `npm`: the version that npm installs into this very home, where it can be replaced. */
  static async create(
    provider: RealProvider,
    form: ProgramForm,
    options: { scenarios?: Scenarios; npm?: string } = {},
  ): Promise<RealHome> {
    await using stack = new AsyncDisposableStack();
    const llm = stack.use(await startFakeLlm(options));
    const home = stack.use(await TestHome.create(form));
    const test = new RealHome(provider, home, llm);
    await Deno.mkdir(test.env.TMPDIR!);
    if (options.npm) await test.npmInstall(options.npm);
    else await Deno.symlink(await realCli(SETUPS[provider].cli), join(home.bin, SETUPS[provider].cli));
    await prepareHome(provider, { home: join(home.root, "user"), bin: home.bin }, llm);
    stack.move();
    return test;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.home[Symbol.asyncDispose]();
    await this.llm[Symbol.asyncDispose]();
  }

  /** As a user does it, over the version that is there. */
  npmInstall(version: string): Promise<void> {
    return npmInstall(SETUPS[this.provider].cli, version, this.home.root);
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
    const { code, value } = await this.home.json(this.#runArgs(prompt, args), this.#with(options));
    if (!value.task) throw new Error(`No task from drover run: ${JSON.stringify(value)}; ${await this.home.log()}`);
    return { code, task: value.task, messages: value.messages };
  }

  /** `run` that is not waited for. */
  spawnRun(prompt: string, args: readonly string[] = ["--scratch"]): Deno.ChildProcess {
    return this.home.spawn(this.#runArgs(prompt, args), { ...this.#with({}), stdout: "null" });
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

  /** Waits until the agent's command runs. */
  async toolRuns(program = "tail"): Promise<void> {
    await eventually(async () => (await this.pidsOf(program)).length > 0, `${program} runs`, 30_000);
  }

  /** No process has anything of this home in its environment, its arguments or its directory. */
  async assertNothingLeft(): Promise<void> {
    await this.home.assertNoProcessLeft();
    let left: string[] = [];
    const gone = async () => (left = await processesNaming(this.home.root)).length === 0;
    await eventually(gone, "no process names this home", 5_000).catch((error: Error) => {
      throw new Error(`${error.message}: ${left.join("; ")}`);
    });
  }

  #runArgs(prompt: string, args: readonly string[]): string[] {
    return ["run", "--agent", this.provider, ...args, prompt];
  }

  #with(options: CommandOptions): CommandOptions {
    return { ...options, env: { ...this.env, ...options.env } };
  }
}

/** What a person who has set up this CLI for such a model has in HOME and on PATH. */
export async function prepareHome(
  provider: RealProvider,
  { home, bin }: { home: string; bin: string },
  model: FakeModel,
): Promise<void> {
  const { cli, files }: RealSetup = SETUPS[provider];
  for (const [path, text] of Object.entries(files?.(model) ?? {})) {
    await Deno.mkdir(dirname(join(home, path)), { recursive: true });
    await Deno.writeTextFile(join(home, path), text);
  }
  if (needsNode(cli)) await Deno.symlink(await realCli("node"), join(bin, "node"));
}

/** The name of its file; empty for one that is gone. */
async function programOf(pid: number): Promise<string> {
  const line = await Deno.readTextFile(`/proc/${pid}/cmdline`).catch(() => "");
  return basename(line.split("\0")[0] ?? "");
}

async function processesNaming(path: string): Promise<string[]> {
  if (Deno.build.os !== "linux") return [];
  const found: string[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const read = (file: string) => Deno.readTextFile(`/proc/${name}/${file}`).catch(() => "");
    const cwd = await Deno.readLink(`/proc/${name}/cwd`).catch(() => "");
    const command = await read("cmdline");
    // Empty for a zombie.
    if (`${command}${cwd}${await read("environ")}`.includes(path)) found.push(`${name} ${command} in ${cwd}`);
  }
  return found;
}

/** Without the later pieces of a text that went on: fragments are joined for half a second, and a slow machine takes longer. */
export function spoken(messages: readonly Said[]): readonly Said[] {
  const goesOn = ({ type }: Said, before: Said | undefined) =>
    (type === "text" || type === "thinking") && before?.type === type;
  return messages.filter((message, i) => !goesOn(message, messages[i - 1]));
}
