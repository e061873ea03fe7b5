/** A home of its own with drover in it, for end-to-end tests: commands, a daemon, fake agent CLIs, and nothing left behind. */
import { assertEquals, fail } from "@std/assert";
import { join } from "@std/path";
import { createNetwork } from "../../lib/host/network.ts";
import type { ProgramForm } from "./program.ts";
import { placeScript } from "./program_file.ts";

export interface CommandOutcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly stdin?: string;
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  /** Another program than this home's own. */
  readonly form?: ProgramForm;
  /** A command that takes longer is killed. */
  readonly deadlineMs?: number;
}

const DEADLINE_MS = 90_000;

export class TestHome implements AsyncDisposable {
  /** Everything of this test is below it. */
  readonly root: string;
  readonly home: string;
  /** First on PATH: put fake agent CLIs here. */
  readonly bin: string;
  /** An empty directory that is no git repository. */
  readonly cwd: string;
  readonly #form: ProgramForm;
  readonly #children: { child: Deno.ChildProcess; piped: readonly ("stdin" | "stdout" | "stderr")[] }[] = [];

  private constructor(form: ProgramForm, root: string) {
    this.#form = form;
    this.root = root;
    this.home = join(root, "home");
    this.bin = join(root, "bin");
    this.cwd = join(root, "cwd");
  }

  static async create(form: ProgramForm): Promise<TestHome> {
    const test = new TestHome(form, await Deno.realPath(await Deno.makeTempDir({ prefix: "drover-e2e-" })));
    for (const directory of [test.bin, test.cwd, join(test.root, "user")]) await Deno.mkdir(directory);
    return test;
  }

  get env(): Record<string, string> {
    const user = Deno.env.get("HOME") ?? "/";
    return {
      PATH: `${this.bin}:/usr/local/bin:/usr/bin:/bin`,
      HOME: join(this.root, "user"),
      DROVER_HOME: this.home,
      // From source the program needs the modules that this test run has.
      DENO_DIR: Deno.env.get("DENO_DIR") ?? join(user, ".cache", "deno"),
      DENO_NO_UPDATE_CHECK: "1",
      // What /etc/profile adds differs from machine to machine, and with it which agents there are.
      DROVER_LOGIN_PATH: "false",
    };
  }

  spawn(args: readonly string[], options: CommandOptions & { stdout?: "piped" | "null" } = {}): Deno.ChildProcess {
    const [executable, ...first] = (options.form ?? this.#form).argv;
    const child = new Deno.Command(executable, {
      args: [...first, ...args],
      env: { ...this.env, ...options.env },
      clearEnv: true,
      cwd: options.cwd ?? this.cwd,
      stdin: options.stdin === undefined ? "null" : "piped",
      stdout: options.stdout ?? "piped",
      stderr: "piped",
    }).spawn();
    const piped = [options.stdin === undefined ? [] : ["stdin"], options.stdout === "null" ? [] : ["stdout"], [
      "stderr",
    ]];
    this.#children.push({ child, piped: piped.flat() as ("stdin" | "stdout" | "stderr")[] });
    return child;
  }

  /** Runs a command to its end. */
  async drover(args: readonly string[], options: CommandOptions = {}): Promise<CommandOutcome> {
    const child = this.spawn(args, options);
    const timer = setTimeout(() => child.kill("SIGKILL"), options.deadlineMs ?? DEADLINE_MS);
    try {
      if (options.stdin !== undefined) {
        const writer = child.stdin.getWriter();
        await writer.write(new TextEncoder().encode(options.stdin)).catch(() => {});
        await writer.close().catch(() => {});
      }
      const { code, stdout, stderr } = await child.output();
      return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
    } finally {
      clearTimeout(timer);
    }
  }

  /** The same with `--json`: the one object on stdout, or the error's on stderr. */
  // deno-lint-ignore no-explicit-any
  async json(args: readonly string[], options: CommandOptions = {}): Promise<{ code: number; value: any }> {
    // What follows two dashes is not drover's.
    const end = args.includes("--") ? args.indexOf("--") : args.length;
    const outcome = await this.drover([...args.slice(0, end), "--json", ...args.slice(end)], options);
    const text = outcome.stdout.trim() || outcome.stderr.trim().split("\n").at(-1) || "";
    try {
      return { code: outcome.code, value: JSON.parse(text) };
    } catch {
      throw new Error(`No JSON object from drover ${args.join(" ")}: ${JSON.stringify(outcome)}`);
    }
  }

  /** A daemon that has said it is running. */
  async daemon(options: CommandOptions & { args?: readonly string[] } = {}): Promise<RunningDaemon> {
    const child = this.spawn(["daemon", "--quiet", ...(options.args ?? [])], options);
    const daemon = new RunningDaemon(child);
    await daemon.ready();
    return daemon;
  }

  /** An executable shell script on PATH. */
  async script(name: string, body: string): Promise<void> {
    await placeScript(join(this.bin, name), `#!/bin/sh\n${body}\n`);
  }

  /** What the log says, for failures. */
  async log(): Promise<string> {
    return await Deno.readTextFile(join(this.home, "logs", "daemon.log")).catch(() => "(no log)");
  }

  /**
   * The daemon's own answer about itself, without a process of our own: for whoever looks again and again. `undefined`
   * while nobody answers.
   */
  // deno-lint-ignore no-explicit-any
  seen(): Promise<any> {
    return this.#ask("/v1/status");
  }

  /** The same about its tasks in a state. */
  // deno-lint-ignore no-explicit-any
  async seenTasks(status: string): Promise<any[]> {
    return (await this.#ask(`/v1/tasks?status=${status}`))?.tasks ?? [];
  }

  // deno-lint-ignore no-explicit-any
  async #ask(path: string): Promise<any> {
    const record = await Deno.readTextFile(join(this.home, "daemon.json")).then(JSON.parse).catch(() => undefined);
    if (typeof record?.controlSocket !== "string") return undefined;
    using client = createNetwork().unixClient(record.controlSocket);
    try {
      return await (await client.fetch(new Request(`http://drover.local${path}`))).json();
    } catch {
      return undefined;
    }
  }

  /** Pids of live processes that were started with this test's home in their environment. */
  async processes(): Promise<number[]> {
    const found: number[] = [];
    for await (const entry of Deno.readDir("/proc")) {
      if (!/^\d+$/.test(entry.name)) continue;
      try {
        const environ = await Deno.readTextFile(`/proc/${entry.name}/environ`);
        const stat = await Deno.readTextFile(`/proc/${entry.name}/stat`);
        const state = stat.slice(stat.lastIndexOf(")") + 2)[0];
        const ours = [`DROVER_HOME=${this.home}\0`, `DROVER_HOME=${this.home}/profiles/`];
        if (ours.some((mark) => environ.includes(mark)) && state !== "Z") found.push(Number(entry.name));
      } catch {
        // Gone meanwhile, or somebody else's.
      }
    }
    return found;
  }

  async assertNoProcessLeft(): Promise<void> {
    if (Deno.build.os !== "linux") return;
    await eventually(async () => (await this.processes()).length === 0, "no process of this home is left");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child, piped } of this.#children) {
      try {
        child.kill("SIGKILL");
      } catch {
        // It ended by itself.
      }
      for (const name of piped) {
        if (name === "stdin") await child.stdin.close().catch(() => {});
        else if (!child[name].locked) await child[name].cancel().catch(() => {});
      }
      await child.status;
    }
    for (const pid of Deno.build.os === "linux" ? await this.processes() : []) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It ended by itself.
      }
    }
    await Deno.remove(this.root, { recursive: true });
  }
}

export class RunningDaemon {
  readonly #child: Deno.ChildProcess;
  #said = "";
  #errors = "";
  readonly #reading: Promise<unknown>;

  constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#reading = Promise.all([
      collect(child.stdout, (text) => this.#said += text),
      collect(child.stderr, (text) => this.#errors += text),
    ]);
  }

  get pid(): number {
    return this.#child.pid;
  }

  get stdout(): string {
    return this.#said;
  }

  get stderr(): string {
    return this.#errors;
  }

  async ready(): Promise<void> {
    let ended: number | undefined;
    const note = this.#child.status.then(({ code }) => void (ended = code));
    await eventually(
      () => this.#said.includes("ctrl-C stops it") || ended !== undefined,
      "the daemon says it runs",
      30_000,
    );
    if (ended === undefined) return;
    await note;
    throw new Error(`The daemon ended with code ${ended}: ${this.#said} ${this.#errors}`);
  }

  signal(name: Deno.Signal): void {
    this.#child.kill(name);
  }

  async ended(): Promise<number> {
    const { code } = await this.#child.status;
    await this.#reading;
    return code;
  }

  /** SIGTERM and a clean end. */
  async stop(): Promise<void> {
    this.signal("SIGTERM");
    assertEquals(await this.ended(), 0, this.#errors);
  }

  async kill(): Promise<void> {
    this.signal("SIGKILL");
    await this.ended();
  }
}

async function collect(stream: ReadableStream<Uint8Array>, add: (text: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  for await (const chunk of stream) add(decoder.decode(chunk, { stream: true }));
}

/**
 * Waits for a condition by looking again and again, with a deadline: every few milliseconds, and where a look takes longer,
 * with ten times its time in between, or the looks would take the very time that what they wait for needs.
 */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 30_000,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const from = performance.now();
    if (await condition()) return;
    if (Date.now() > deadline) fail(`Not within ${timeoutMs} ms: ${what}`);
    const pauseMs = Math.min(Math.max(15, 10 * (performance.now() - from)), 500);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
