/** The demo agent: no model, but a real process that speaks Claude's protocol, looks around and writes one file. */
import { join } from "@std/path";
import { type Host, HostError } from "../core/ports.ts";
import { type Directives, parseDirectives } from "./demo_directives.ts";
import { type DemoAnswer, DemoInbox } from "./demo_inbox.ts";
import { DemoLines } from "./demo_lines.ts";

/** What it needs of the machine. */
export type DemoHost = Pick<
  Host,
  "terminal" | "files" | "clock" | "random" | "signals" | "processes" | "system"
>;

/** Long enough to see the answer arrive piece by piece. */
const PAUSE_MS = 100;
const FILE_NAME = "drover-demo.md";
const WRITING_MODES = ["bypassPermissions", "acceptEdits"];
/** What it does to files where this stands is asked for first. */
const ASKING_MODE = "default";
const LISTED = 50;
const GRANDCHILD_SECONDS = 600;
const A_DAY_MS = 24 * 60 * 60_000;

/**
 * Answers each user message on stdin with one turn, until stdin ends. `args` are those of Claude Code; of them
 * `--permission-mode`, `--permission-prompt-tool`, `--resume` and `--model` mean something. Resolves to the exit code. Directives in the prompt
 * (`demo_directives.ts`) change the course of a turn.
 */
export async function runDemoAgent(host: DemoHost, args: readonly string[]): Promise<number> {
  const option = (name: string) => args[args.indexOf(name) + 1 || args.length];
  const mode = option("--permission-mode") ?? "default";
  const lines = new DemoLines(host, {
    sessionId: option("--resume") ?? host.random.uuid(),
    model: option("--model") ?? "demo",
    mode,
  });
  const inbox = new DemoInbox(host.terminal.stdin);
  const agent = new DemoAgent(host, lines, inbox, {
    write: WRITING_MODES.includes(mode) ? "always" : asks(mode, args) ? "when-allowed" : "never",
    resumed: args.includes("--resume"),
  });
  let turns = 0;
  for (let prompt = await inbox.next(); prompt !== undefined; prompt = await inbox.next()) {
    turns++;
    const code = await agent.turn(prompt);
    if (code !== 0) return code;
  }
  if (turns > 0) return 0;
  host.terminal.err("Cannot start: no user message came on standard input\n");
  return 1;
}

function asks(mode: string, args: readonly string[]): boolean {
  return mode === ASKING_MODE && args.includes("--permission-prompt-tool");
}

interface DemoOptions {
  readonly write: "always" | "when-allowed" | "never";
  readonly resumed: boolean;
}

class DemoAgent {
  readonly #host: DemoHost;
  readonly #lines: DemoLines;
  readonly #inbox: DemoInbox;
  readonly #options: DemoOptions;

  constructor(host: DemoHost, lines: DemoLines, inbox: DemoInbox, options: DemoOptions) {
    this.#host = host;
    this.#lines = lines;
    this.#inbox = inbox;
    this.#options = options;
  }

  /** The exit code to end with now, 0 to go on. */
  async turn(prompt: string): Promise<number> {
    const directives = parseDirectives(prompt);
    using stack = new DisposableStack();
    if (directives.has("ignore-term")) stack.use(this.#host.signals.on(["SIGTERM"], () => {}));
    await this.#lines.begin(prompt);
    await this.#think(directives);
    const seen = await this.#look(directives);
    await this.#askAround(directives);
    await this.#misbehave(directives);
    const end = await this.#endEarly(directives);
    if (end !== undefined) return end;
    const written = await this.#write(prompt, directives);
    await this.#pause(directives);
    await this.#lines.say("text", this.#answer(prompt, seen, written));
    await this.#lines.result();
    return 0;
  }

  async #think(directives: Directives): Promise<void> {
    await this.#pause(directives);
    const { resumed, write } = this.#options;
    const next = write !== "never" ? `then I write ${FILE_NAME}` : "and nothing else, as this run may only read";
    await this.#lines.say(
      "thinking",
      `${resumed ? "We have met before. " : ""}First I look at the directory, ${next}.`,
    );
  }

  async #look(directives: Directives): Promise<string> {
    const { files, system } = this.#host;
    await this.#pause(directives);
    const callId = await this.#lines.useTool("LS", { path: system.cwd });
    await this.#pause(directives);
    try {
      const names = await files.list(system.cwd);
      const more = names.length > LISTED ? [`… and ${names.length - LISTED} more`] : [];
      await this.#lines.toolResult(callId, [...names.slice(0, LISTED), ...more].join("\n") || "(empty)");
      return names.length === 1 ? "1 entry" : `${names.length} entries`;
    } catch (error) {
      await this.#lines.toolResult(callId, (error as Error).message, true);
      return "nothing, as it cannot be read,";
    }
  }

  async #write(prompt: string, directives: Directives): Promise<string> {
    if (this.#options.write === "never") return "wrote nothing, because this run may only read";
    const path = join(this.#host.system.cwd, FILE_NAME);
    const when = new Date(this.#host.clock.now()).toISOString();
    const content = `# Written by the demo agent of drover\n\nAt ${when}, when asked:\n\n> ${
      prompt.trim().replaceAll("\n", "\n> ")
    }\n`;
    await this.#pause(directives);
    const input = { file_path: path, content };
    const callId = await this.#lines.useTool("Write", input);
    const answer = await this.#mayUse("Write", callId, input);
    if (!answer.allow) {
      await this.#lines.toolResult(callId, answer.why, true);
      return `wrote nothing, because I was not allowed to (${answer.why})`;
    }
    try {
      await this.#host.files.writeAtomic(path, content, { mode: 0o644 });
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      await this.#lines.toolResult(callId, error.message, true);
      return `could not write ${FILE_NAME}`;
    }
    await this.#lines.toolResult(callId, `Wrote ${path}`);
    return `wrote ${FILE_NAME}`;
  }

  async #mayUse(tool: string, callId: string, input: Record<string, unknown>): Promise<DemoAnswer> {
    if (this.#options.write !== "when-allowed") return { allow: true, why: "" };
    return await this.#ask(tool, callId, input);
  }

  async #ask(tool: string, callId: string, input: Record<string, unknown>): Promise<DemoAnswer> {
    const id = this.#host.random.uuid();
    const answer = this.#inbox.answerTo(id);
    await this.#lines.askFor(tool, input, { callId, id });
    return await answer;
  }

  /** Several questions before there is any answer; whatever it is told, nothing is done. */
  async #askAround(directives: Directives): Promise<void> {
    const asking = Array.from({ length: directives.get("ask") ?? 0 }, async (_, i) => {
      const input = { command: `echo ${i + 1}` };
      const callId = await this.#lines.useTool("Bash", input);
      const { allow, why } = await this.#ask("Bash", callId, input);
      await this.#lines.toolResult(callId, allow ? "allowed" : `denied: ${why}`, !allow);
    });
    await Promise.all(asking);
  }

  #answer(prompt: string, seen: string, written: string): string {
    const start = this.#options.resumed ? `Continuing session ${this.#lines.sessionId}. ` : "";
    return `${start}I am the demo agent: there is no model behind me. I saw ${seen} in ${this.#host.system.cwd} and ` +
      `${written}. You said: ${prompt.trim()}`;
  }

  async #misbehave(directives: Directives): Promise<void> {
    const { clock } = this.#host;
    await clock.sleep(directives.get("sleep") ?? 0);
    if (directives.has("garbage")) await this.#lines.garbage();
    for (let i = 1; i <= (directives.get("flood") ?? 0); i++) await this.#lines.say("text", `flood ${i}`);
    const bytes = directives.get("huge-line");
    if (bytes) await this.#lines.toolResult(await this.#lines.useTool("Read", {}), "x".repeat(bytes));
    if (directives.has("grandchild")) this.#leaveGrandchild();
    while (directives.has("hang")) await clock.sleep(A_DAY_MS);
  }

  async #endEarly(directives: Directives): Promise<number | undefined> {
    if (directives.has("signal")) await this.#killMyself();
    if (directives.has("exit")) return directives.get("exit");
    if (!directives.has("fail")) return undefined;
    await this.#lines.failedResult(directives.get("fail") || 500);
    return 1;
  }

  async #pause(directives: Directives): Promise<void> {
    if (!directives.has("fast")) await this.#host.clock.sleep(PAUSE_MS);
  }

  /** It leads a session of its own and never ends by itself: only our mark in its environment leads to it. */
  #leaveGrandchild(): void {
    const { env, cwd } = this.#host.system;
    this.#host.processes.spawn({
      executable: "/bin/sh",
      // Our own stdout: a grandchild that holds it open is what keeps a careless reader waiting.
      args: ["-c", `exec sleep ${GRANDCHILD_SECONDS} >/proc/$PPID/fd/1 2>&1`],
      cwd,
      env,
      stdin: "null",
      mark: env.DROVER_TASK_MARK ?? "demo",
    });
  }

  async #killMyself(): Promise<void> {
    await this.#host.processes.run(
      { executable: "/bin/sh", args: ["-c", "kill -KILL $PPID"] },
      { timeoutMs: PAUSE_MS * 100 },
    );
  }
}
