/** Following a task to its end: shows what comes, survives a daemon that goes away for a moment, goes on with a retry. */
import type { UserApi } from "../app/control_client.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Clock } from "../core/ports.ts";
import type { MessageView, TaskView } from "../wire/control.ts";
import { permissionText } from "./permission_prompt.ts";
import { oneLine, type Output, paint, plain } from "./output.ts";

export interface FollowOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onMessage: (message: MessageView) => void;
  readonly onTask: (task: TaskView) => void;
  /** A new connection after the old one broke; `undefined` while nobody answers. */
  readonly reconnect?: () => Promise<UserApi | undefined>;
  /** What there is to say of a task whose holder has ended, where there is no other to connect to. */
  readonly lost?: (task: string, cause: DroverError) => DroverError;
  /** Where it is no daemon of this machine that went away. */
  readonly patience?: {
    readonly ms: number;
    /** What to do when that was not enough. */
    readonly hint: (task: string) => string;
  };
}

/** How long a daemon that went away may take to come back. */
const PATIENCE = {
  ms: 15_000,
  hint: (task: string) => `start the daemon again (drover daemon) and look with: drover tasks follow ${task}`,
};
const RETRY_MS = 300;

/** The task as it ended; where it was tried again, the last attempt. Throws `not_running` when the daemon stays away. */
export async function followTask(first: UserApi, id: string, options: FollowOptions): Promise<TaskView> {
  let api: UserApi = first;
  let current = id;
  let since = 0;
  for (;;) {
    try {
      const ended = await followOnce(api, current, { ...options, since, onSeq: (seq) => since = seq });
      if (ended.retried_by === null || ended.retried_by === undefined) return ended;
      current = ended.retried_by;
      since = 0;
    } catch (error) {
      options.signal.throwIfAborted();
      if (!(error instanceof DroverError && error.code === "not_running")) throw error;
      if (!options.reconnect) throw options.lost?.(current, error) ?? error;
      api = await comeBack(options, current, error);
    }
  }
}

async function followOnce(
  api: UserApi,
  id: string,
  options: FollowOptions & { since: number; onSeq: (seq: number) => void },
): Promise<TaskView> {
  for await (const event of api.follow(id, { since: options.since, signal: options.signal })) {
    if (event.kind === "message") {
      options.onSeq(event.message.seq);
      options.onMessage(event.message);
      continue;
    }
    options.onTask(event.task);
    if (event.kind === "end") return event.task;
  }
  throw new DroverError("not_running", "Cannot follow the task: the stream ended too early");
}

async function comeBack(options: FollowOptions, id: string, cause: DroverError): Promise<UserApi> {
  const { clock, reconnect, signal, patience = PATIENCE } = options;
  const deadline = clock.monotonic() + patience.ms;
  while (clock.monotonic() < deadline) {
    const api = await reconnect!().catch(() => undefined);
    if (api) return api;
    await clock.sleep(RETRY_MS, { signal });
  }
  throw new DroverError("not_running", `${cause.message}; task ${id} is not lost`, {
    hint: patience.hint(id),
    cause,
  });
}

const LABELS: Record<string, (text: string) => string> = {
  text: (text) => text,
  thinking: paint.dim,
  tool_use: paint.cyan,
  tool_result: paint.dim,
  error: paint.red,
  permission_request: paint.yellow,
  permission_answer: paint.yellow,
};

const MAX_LINES = 12;

/** A message as lines of time, kind, and text. */
export function messageLines(message: MessageView): string[] {
  const time = clockTime(message.created_at);
  const color = LABELS[message.type] ?? ((text: string) => text);
  const label = labelOf(message).padEnd(11);
  const lines = bodyOf(message);
  return lines.map((line, i) =>
    `${paint.dim(i === 0 ? time : " ".repeat(time.length))} ${color(`${i === 0 ? label : " ".repeat(11)} ${line}`)}`
      .trimEnd()
  );
}

function labelOf({ type, output }: MessageView): string {
  if (type === "permission_request") return "asks";
  return type === "permission_answer" ? output ?? "answered" : type.replace("_", "-");
}

function bodyOf(message: MessageView): string[] {
  if (message.type === "tool_use") {
    return [`${message.tool ?? "tool"} ${oneLine(plain(JSON.stringify(message.input ?? {})), 160)}`];
  }
  if (message.type === "permission_request") {
    return [permissionText({ tool: message.tool ?? "", title: message.content ?? "" })];
  }
  const lines = plain(message.type === "tool_result" ? message.output ?? "" : message.content ?? "").trim().split("\n");
  if (message.type !== "tool_result" || lines.length <= MAX_LINES) return lines;
  return [...lines.slice(0, MAX_LINES), `… ${lines.length - MAX_LINES} more lines (drover tasks messages shows all)`];
}

/** Says what a task waits for before it can begin, once for each thing. */
export function waitTeller(say: (line: string) => void): (task: TaskView) => void {
  let said = "";
  return ({ status, progress }) => {
    if (status !== "waiting_local_directory" || !progress || progress === said) return;
    said = progress;
    say(`${paint.yellow("waiting")}    ${plain(progress)}`);
  };
}

/** Local time of day. */
export function clockTime(iso: string): string {
  const date = new Date(iso);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** The outcome for people, last thing on the screen. An answer that stands there already is not said twice. */
export function showOutcome(task: TaskView, output: Output, said: readonly MessageView[] = []): void {
  const took = task.started_at && task.completed_at
    ? ` after ${((Date.parse(task.completed_at) - Date.parse(task.started_at)) / 1000).toFixed(1)} s`
    : "";
  const verdict = task.status === "completed" ? paint.green("completed") : paint.red(task.status);
  output.line();
  output.line(`${paint.bold("outcome")}    ${verdict}${took}${task.attempt > 1 ? ` (attempt ${task.attempt})` : ""}`);
  if (task.failure_reason) output.line(`reason     ${task.failure_reason}`);
  if (task.error) output.line(`error      ${plain(task.error).trim().split("\n").join("\n           ")}`);
  const answered = said.findLast((message) => message.type === "text")?.content?.trim() === task.output?.trim();
  if (task.output && task.status === "completed" && !answered) {
    output.line(`answer     ${plain(task.output).trim().split("\n").join("\n           ")}`);
  }
  if (task.work_dir) {
    output.line(`files      ${task.work_dir}${task.branch_name ? ` (branch ${task.branch_name})` : ""}`);
  }
  const tokens = task.usage.map((usage) =>
    `${
      usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    } in, ${usage.output_tokens} out (${usage.model})`
  );
  if (tokens.length > 0) output.line(`tokens     ${tokens.join("; ")}`);
  output.line(`task       ${task.id}`);
}
