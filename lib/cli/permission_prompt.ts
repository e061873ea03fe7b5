/** What is done where a running agent asks for permission: a person at this terminal is asked, anybody else is told what to type. */
import type { UserApi } from "../app/control_client.ts";
import type { Clock, Terminal } from "../core/ports.ts";
import type { MessageView } from "../wire/control.ts";
import type { AnswerPermission } from "../wire/permissions.ts";
import { oneLine, type Output, paint, plain } from "./output.ts";

export interface PromptOptions {
  readonly terminal: Pick<Terminal, "isTerminal" | "inputIsTerminal" | "out" | "readLine">;
  readonly clock: Pick<Clock, "monotonic">;
  readonly output: Output;
  /** Whoever is followed now. */
  readonly api: () => UserApi;
}

/** Nobody reads a question faster: what was typed then was meant for what stood there before. */
const TOO_SOON_MS = 300;

interface Question {
  readonly task: string;
  readonly id: string;
  readonly tool: string;
  /** As a person reads it. */
  readonly text: string;
  /** Answered elsewhere, or not asked any more. */
  readonly gone: PromiseWithResolvers<"gone">;
}

/** What a typed line means; `undefined`: nothing. */
export function answerOf(line: string, tool: string): AnswerPermission | undefined {
  const word = line.trim().toLowerCase();
  if (["y", "yes"].includes(word)) return { allow: true, why: "allowed at the terminal" };
  if (["n", "no"].includes(word)) return { allow: false, why: "denied at the terminal" };
  if (!["a", "always"].includes(word) || tool === "") return undefined;
  return { allow: true, always: true, why: `${tool} is allowed for this run, at the terminal` };
}

/** `Bash: make test` */
export function permissionText({ tool, title }: { readonly tool: string; readonly title: string }): string {
  return [plain(tool), oneLine(plain(title), 160)].filter(Boolean).join(": ");
}

/** One at a time, in the order they come. Nothing is read from the terminal while nothing is asked. */
export class PermissionPrompt {
  readonly #options: PromptOptions;
  readonly #asks: boolean;
  readonly #queue: Question[] = [];
  #task = "";
  /** Stands on the last line of the screen. */
  #shown: string | undefined;
  #working = false;
  /** A read cannot be taken back: the next question gets what it brings. */
  #reading: Promise<string | undefined> | undefined;
  #inputEnded = false;

  constructor(options: PromptOptions) {
    this.#options = options;
    const { terminal, output } = options;
    this.#asks = terminal.isTerminal && terminal.inputIsTerminal && !output.json;
  }

  /** The attempt whose messages come now. */
  follow(task: string): void {
    if (task === this.#task) return;
    this.#task = task;
    for (const question of this.#queue) question.gone.resolve("gone");
  }

  /** Each message of the task, after it was printed. */
  saw({ type, call_id, tool, content }: MessageView): void {
    if (call_id === null) return;
    if (type === "permission_answer") this.#queue.find(({ id }) => id === call_id)?.gone.resolve("gone");
    if (type !== "permission_request") return;
    const gone = Promise.withResolvers<"gone">();
    const text = permissionText({ tool: tool ?? "", title: content ?? "" });
    this.#queue.push({ task: this.#task, id: call_id, tool: tool ?? "", text, gone });
    if (!this.#working) void this.#work();
  }

  /** Lines of the run: above the question, which is put again below them. */
  print(lines: readonly string[]): void {
    const { terminal, output } = this.#options;
    if (lines.length === 0) return;
    if (this.#shown) terminal.out("\n");
    for (const line of lines) output.line(line);
    if (this.#shown) terminal.out(this.#shown);
  }

  async #work(): Promise<void> {
    this.#working = true;
    for (let question = this.#queue[0]; question; question = this.#queue[0]) {
      // Of a run that is followed from its beginning most are answered long since.
      if (await this.#isOpen(question)) await this.#handle(question);
      this.#queue.shift();
    }
    this.#working = false;
  }

  async #isOpen({ task, id }: Question): Promise<boolean> {
    const open = await this.#options.api().permissions(task).catch(() => []);
    return open.some(({ request_id }) => request_id === id);
  }

  async #handle(question: Question): Promise<void> {
    if (!this.#asks || this.#inputEnded) return this.#tell(question);
    const choice = question.tool === "" ? "" : `, [a]lways for ${plain(question.tool)} in this run`;
    for (;;) {
      this.#show(`allow ${question.text}? [y]es, [n]o${choice}: `);
      const since = this.#options.clock.monotonic();
      const line = await Promise.race([this.#read(), question.gone.promise]);
      this.#shown = undefined;
      if (line === "gone") return this.#options.terminal.out("\n");
      if (line === undefined) {
        this.#inputEnded = true;
        this.#options.terminal.out("\n");
        return this.#tell(question);
      }
      const late = this.#options.clock.monotonic() - since >= TOO_SOON_MS;
      const answer = late ? answerOf(line.text, question.tool) : undefined;
      if (answer) return await this.#answer(question, answer);
    }
  }

  #show(text: string): void {
    this.#shown = paint.yellow(text);
    this.#options.terminal.out(this.#shown);
  }

  async #read(): Promise<{ readonly text: string } | undefined> {
    this.#reading ??= this.#options.terminal.readLine();
    const text = await this.#reading;
    this.#reading = undefined;
    return text === undefined ? undefined : { text };
  }

  async #answer({ task, id }: Question, answer: AnswerPermission): Promise<void> {
    await this.#options.api().answerPermission(task, id, answer)
      .catch((error) => this.#options.output.note(`drover: ${(error as Error).message}`));
  }

  /** Where a person looks: beside the run, or on stderr where stdout holds one JSON object. */
  #tell({ task, id, text }: Question): void {
    const { output } = this.#options;
    const [what, which] = [task.slice(0, 13), id.slice(0, 8)];
    const how = `drover tasks approve ${what} ${which} (or: deny)`;
    if (output.json) output.note(`drover: task ${what} asks: ${text}; answer with: ${how}`);
    else this.print([`${paint.yellow("answer")}     ${text}: ${how}`]);
  }
}
