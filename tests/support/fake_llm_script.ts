/** What the fake model says: scenarios of steps, and which step a request is at, worked out from its conversation alone. */

/** One assistant turn. The parts may be combined; without any it is an empty answer. */
export interface Step {
  /** `{{toolResult}}` stands for the last tool result, `{{prompt}}` for the user's prompt. */
  readonly text?: string;
  readonly thinking?: string;
  /** Runs a command with whatever shell tool the client offers. */
  readonly shell?: string;
  /** Writes a file with whatever tool the client offers for it. */
  readonly write?: { readonly path: string; readonly content: string };
  /** Calls exactly this tool. */
  readonly tool?: string;
  readonly args?: Readonly<Record<string, unknown>>;
  /** Parallel calls. */
  readonly calls?: readonly Pick<Step, "shell" | "write" | "tool" | "args">[];
  readonly usage?: Partial<Usage>;
  /** An HTTP error in the dialect's shape. */
  readonly status?: number;
  readonly message?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Only the first so many requests of this step and prompt fail; then the other parts apply. */
  readonly times?: number;
  /** Status 200, then an error event in the stream. */
  readonly errorEvent?: string;
  /** Milliseconds before the headers, and between chunks. */
  readonly delayMs?: number;
  readonly chunkMs?: number;
  /** Answers only when this is settled. */
  readonly until?: Promise<unknown>;
  /** Accepts the request and never answers. */
  readonly hang?: true;
  /** Sends so many chunks and then nothing more on an open connection, or breaks it. */
  readonly stallAfter?: number;
  readonly dropAfter?: number;
}

export interface Usage {
  readonly input: number;
  readonly output: number;
  readonly cached: number;
  readonly cacheWrite: number;
}

export type Scenarios = Readonly<Record<string, readonly Step[]>>;

/** Chosen by the last `@fake:NAME` in what the user wrote; `default` without one. */
export const SCENARIOS: Scenarios = {
  default: [{ shell: "echo hello-from-tool" }, { text: "Final answer after tool. Tool said: {{toolResult}}" }],
  text: [{ text: "Just text." }],
  think: [
    { thinking: "Let me think.", shell: "echo hello-from-tool" },
    { thinking: "More.", text: "Thought and done." },
  ],
  say: [{ text: "I will run it.", shell: "echo hello-from-tool" }, { text: "Done." }],
  // Not among the commands that CLIs hold for safe, so it is one they ask about.
  touch: [{ shell: "touch touched.txt" }, { text: "Touched." }],
  write: [{ write: { path: "hello.txt", content: "hello from fake-llm\n" } }, { text: "Wrote the file." }],
  toolfail: [{ shell: "echo to-stderr >&2; exit 3" }, { text: "The command failed: {{toolResult}}" }],
  parallel: [{ calls: [{ shell: "echo one" }, { shell: "echo two" }] }, { text: "Both ran." }],
  // Claude Code refuses a plain `sleep 300`.
  sleep: [{ shell: "tail -f /dev/null" }, { text: "Slept." }],
  stubborn: [{ shell: "trap '' HUP INT TERM; while :; do tail -f /dev/null & wait; done" }, { text: "Outlived." }],
  http401: [{ status: 401 }],
  http429: [{ status: 429, headers: { "retry-after": "1" } }],
  http500: [{ status: 500 }],
  flaky: [{ status: 500, times: 2, text: "Recovered after two 500s." }],
  midfail: [{ shell: "echo hello-from-tool" }, { status: 500 }],
  errorevent: [{ errorEvent: "Overloaded (fake)" }],
  hang: [{ hang: true }],
  stall: [{ text: "one two three four five six seven eight", stallAfter: 3 }],
  drop: [{ text: "one two three four five six seven eight", dropAfter: 3 }],
  slow: [{ text: "slow words arrive one by one here", chunkMs: 300 }],
};

/** A request of any dialect, reduced to what the script needs. */
export interface Conversation {
  readonly turns: readonly Turn[];
  readonly tools: readonly Tool[];
  readonly stream: boolean;
  /** The JSON schema the answer must have, if the client demands one. */
  readonly schema?: Schema;
  /** Where it is not a member of the body. */
  readonly model?: string;
}

export interface Turn {
  readonly who: "user" | "model" | "tool";
  readonly text: string;
}

export interface Tool {
  readonly name: string;
  /** Missing for a tool that the model's server would run itself. */
  readonly schema?: Schema;
  /** Takes one text instead of arguments. */
  readonly freeform?: true;
  readonly namespace?: string;
}

export interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minItems?: number;
  readonly minimum?: number;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
}

export interface Call {
  readonly name: string;
  /** A text for a freeform tool. */
  readonly args: Readonly<Record<string, unknown>> | string;
  readonly namespace?: string;
}

/** Where in which scenario a request is. */
export interface Place {
  readonly scenario: string;
  readonly index: number;
  readonly step: Step;
  readonly prompt: string;
  readonly toolResult: string;
}

/** Prompts and tool results can share a message; the mark tells a prompt from the notes that CLIs add to results. */
export const MARK = /@fake:([\w-]+)/;

/**
 * The step is the number of assistant turns since the last prompt. No memory between requests, so a retry gets the same
 * answer, a resumed session goes on where it was, and one server serves many tests at once.
 */
export function locate(turns: readonly Turn[], scenarios: Scenarios): Place {
  let [scenario, prompt, toolResult] = ["default", "", ""];
  let index = 0;
  let inModel = false;
  for (const turn of turns) {
    if (turn.who === "user") {
      scenario = [...turn.text.matchAll(new RegExp(MARK, "g"))].at(-1)?.[1] ?? scenario;
      const typed = withoutInjected(turn.text);
      if (typed) [prompt, index, toolResult] = [typed, 0, ""];
    } else if (turn.who === "tool") {
      toolResult = turn.text;
    } else if (!inModel) {
      index++;
    }
    inModel = turn.who === "model";
  }
  const steps = scenarios[scenario] ?? [{ text: `(fake model: no scenario "${scenario}")` }];
  const last = steps.at(-1);
  const beyond = last?.status || last?.hang ? last : { text: "(script exhausted)" };
  return { scenario, index, step: steps[index] ?? beyond, prompt, toolResult };
}

/** What CLIs put in the user's name (`<system-reminder>` and the like) is no prompt. */
function withoutInjected(text: string): string {
  const typed = text.replace(/<([a-zA-Z_-]+)(?:\s[^>]*)?>[\s\S]*?<\/\1>/g, "").trim();
  return typed || (MARK.test(text) ? text : "");
}

/** The smallest value that fits a schema. */
export function synthesize(schema: Schema | undefined, depth = 0): unknown {
  if (!schema || depth > 6) return "x";
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  const choice = (schema.anyOf ?? schema.oneOf)?.[0];
  if (choice) return synthesize(choice, depth + 1);
  const type = typeof schema.type === "string" ? schema.type : schema.type?.[0];
  switch (type?.toLowerCase() ?? "object") {
    case "object": {
      const required = schema.required ?? [];
      return Object.fromEntries(required.map((key) => [key, synthesize(schema.properties?.[key], depth + 1)]));
    }
    case "array":
      return schema.minItems ? [synthesize(schema.items, depth + 1)] : [];
    case "integer":
    case "number":
      return schema.minimum ?? 1;
    case "boolean":
      return false;
    case "null":
      return null;
    default:
      return "fake";
  }
}

const SHELL_TOOLS = ["exec_command", "shell_command", "run_shell_command", "bash", "shell", "execute_bash", "terminal"];
const WRITE_TOOLS = ["write", "write_file", "create_file", "create"];

/** The tool calls of a step, in the client's own tools; a text that says what is missing when it offers none that fits. */
export function callsOf(step: Step, tools: readonly Tool[]): Call[] | string {
  const calls: Call[] = [];
  for (const part of [step, ...(step.calls ?? [])]) {
    const call = callOf(part, tools);
    if (typeof call === "string") return call;
    if (call) calls.push(call);
  }
  return calls;
}

function callOf(
  part: Pick<Step, "shell" | "write" | "tool" | "args">,
  tools: readonly Tool[],
): Call | string | undefined {
  if (part.tool !== undefined) {
    const namespace = tools.find(({ name }) => name === part.tool)?.namespace;
    return { name: part.tool, args: part.args ?? {}, namespace };
  }
  if (part.shell !== undefined) return shellCall(part.shell, tools) ?? missing(SHELL_TOOLS, tools);
  if (part.write === undefined) return undefined;
  const { path, content } = part.write;
  return fit(WRITE_TOOLS, tools, [[PATH_KEYS, path], [BODY_KEYS, content]]) ?? patchCall(path, content, tools) ??
    shellCall(`printf %s ${quoted(content)} > ${quoted(path)}`, tools) ?? missing(WRITE_TOOLS, tools);
}

const SHELL_KEYS = ["command", "cmd", "script", "input"];
const PATH_KEYS = ["file_path", "filePath", "absolute_path", "path", "filename"];
const BODY_KEYS = ["content", "contents", "file_text", "text"];

function shellCall(command: string, tools: readonly Tool[]): Call | undefined {
  const code = `const r = await tools.exec_command({cmd: ${
    JSON.stringify(command)
  }});\ntext(r.output ?? JSON.stringify(r));`;
  return fit(SHELL_TOOLS, tools, [[SHELL_KEYS, command]]) ?? freeform("exec", tools, code);
}

/** Codex changes files by patches, given as such or, to models that write programs, from within one. */
function patchCall(path: string, content: string, tools: readonly Tool[]): Call | undefined {
  const lines = content.replace(/\n$/, "").split("\n").map((line) => `+${line}\n`);
  const patch = `*** Begin Patch\n*** Add File: ${path}\n${lines.join("")}*** End Patch\n`;
  const code = `text(await tools.apply_patch(${JSON.stringify(patch)}));`;
  return freeform("apply_patch", tools, patch) ?? freeform("exec", tools, code);
}

function freeform(name: string, tools: readonly Tool[], text: string): Call | undefined {
  const tool = tools.find((other) => other.freeform && other.name === name);
  return tool && { name, args: text, namespace: tool.namespace };
}

function fit(
  names: readonly string[],
  tools: readonly Tool[],
  values: readonly (readonly [keys: readonly string[], value: string])[],
): Call | undefined {
  const tool = names.flatMap((name) => tools.filter((other) => other.schema && other.name.toLowerCase() === name))[0];
  if (!tool) return undefined;
  const args = synthesize({ ...tool.schema, type: "object" }) as Record<string, unknown>;
  const properties = tool.schema?.properties ?? {};
  for (const [keys, value] of values) {
    const key = keys.find((name) => properties[name]) ?? keys[0] ?? "";
    args[key] = properties[key]?.type === "array" ? ["bash", "-lc", value] : value;
  }
  return { name: tool.name, args, namespace: tool.namespace };
}

function missing(names: readonly string[], tools: readonly Tool[]): string {
  return `The client offers none of ${names.join(", ")}, but ${tools.map(({ name }) => name).join(", ")}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
