/** `drover tasks …`: looking at tasks and their messages, following and cancelling them. */
import type { UserApi } from "../../app/control_client.ts";
import { openUserSession } from "../../app/sessions.ts";
import { DroverError } from "../../core/drover_error.ts";
import { isTerminal, TASK_STATES } from "../../core/task_state.ts";
import type { MessageView, TaskView } from "../../wire/control.ts";
import type { PermissionView } from "../../wire/permissions.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES, exitCodeForTask } from "../exit_code.ts";
import { clockTime, followTask, messageLines, showOutcome, waitTeller } from "../follow.ts";
import { oneLine, plain, table } from "../output.ts";
import { PermissionPrompt, permissionText } from "../permission_prompt.ts";
import { openServer, resuming, SERVER_DETAILS, SERVER_OPTIONS, serverWish } from "../server_option.ts";

const TASK_OPERAND = { operands: "TASK", minOperands: 1, maxOperands: 1 } as const;
const TASK_DETAILS =
  `TASK is a task's id or its first characters (at least 4), as far as they are unambiguous.${SERVER_DETAILS}`;

export const tasksList: Command = {
  name: "tasks list",
  options: [
    { name: "status", value: "A,B", summary: `only these: ${TASK_STATES.join(", ")}` },
    { name: "limit", value: "N", summary: "at most N, 1 to 1000 (default 50)" },
    ...SERVER_OPTIONS,
  ],
  details: SERVER_DETAILS.trim(),
  async run(context) {
    const { output, args } = context;
    const limit = limitOf(args.values.limit);
    const status = statusOf(args.values.status);
    using session = await anySession(context);
    const tasks = session ? await session.listTasks({ limit, ...(status ? { status } : {}) }) : [];
    output.result({ tasks }, () => {
      if (tasks.length === 0) return output.line('No tasks. Queue one with: drover run "…"');
      const rows = tasks.map((
        task,
      ) => [shortId(task.id), task.status, task.agent, age(context, task.created_at), oneLine(plain(task.prompt), 70)]);
      for (const line of table([["TASK", "STATUS", "AGENT", "AGE", "PROMPT"], ...rows])) output.line(line);
    });
    return EXIT_CODES.ok.code;
  },
};

export const tasksShow: Command = {
  name: "tasks show",
  ...TASK_OPERAND,
  options: SERVER_OPTIONS,
  details: TASK_DETAILS,
  async run(context) {
    const { output } = context;
    using session = await sessionFor(context);
    const task = await session.showTask(context.args.positional[0]!);
    const asks = await asksOf(session, task);
    output.result({ task, asks }, () => {
      for (const line of table([...describe(task), ...asks.map(describeAsk)])) output.line(line);
      if (asks.length > 0) output.line(`answer with: drover tasks approve ${shortId(task.id)} (or: deny)`);
      showOutcome(task, output);
    });
    return EXIT_CODES.ok.code;
  },
};

export const tasksMessages: Command = {
  name: "tasks messages",
  ...TASK_OPERAND,
  options: [{ name: "since", value: "SEQ", summary: "only messages after this number" }, ...SERVER_OPTIONS],
  details: TASK_DETAILS,
  async run(context) {
    const { output, args } = context;
    using session = await sessionFor(context);
    const since = numberOf("since", args.values.since, { min: 0, fallback: 0 });
    const messages = await session.messages(args.positional[0]!, { since });
    output.result(
      { messages },
      () => messages.forEach((message) => messageLines(message).forEach((line) => output.line(line))),
    );
    return EXIT_CODES.ok.code;
  },
};

export const tasksFollow: Command = {
  name: "tasks follow",
  ...TASK_OPERAND,
  options: SERVER_OPTIONS,
  details: `${TASK_DETAILS}\nCtrl-C stops following; the task goes on.`,
  run: follow,
};

export const tasksCancel: Command = {
  name: "tasks cancel",
  ...TASK_OPERAND,
  options: SERVER_OPTIONS,
  details: TASK_DETAILS,
  async run(context) {
    const { output } = context;
    using session = await sessionFor(context);
    const before = await session.showTask(context.args.positional[0]!);
    const task = await session.cancelTask(before.id);
    const changed = before.status !== task.status;
    output.result(
      { task, changed },
      () =>
        output.line(
          changed
            ? `Task ${shortId(task.id)} is cancelled`
            : `Task ${shortId(task.id)} had ended already: ${task.status}`,
        ),
    );
    return EXIT_CODES.ok.code;
  },
};

async function follow(context: CommandContext): Promise<number> {
  const { host, output, args } = context;
  using session = await sessionFor(context);
  const { id, status } = await session.showTask(args.positional[0]!);
  if (!session.live && !isTerminal(status)) {
    throw new DroverError(
      "not_running",
      `Cannot follow task ${shortId(id)}: it is ${status}, and no daemon is running`,
      {
        hint: "start one (drover daemon), then follow the task",
      },
    );
  }
  const abort = new AbortController();
  using _signals = host.signals.on(
    ["SIGINT", "SIGTERM"],
    () => abort.abort(new DroverError("internal", "Interrupted")),
  );
  const messages: MessageView[] = [];
  let api: UserApi = session;
  const prompt = new PermissionPrompt({ ...host, output, api: () => api });
  prompt.follow(id);
  const tellWait = waitTeller((line) => prompt.print([line]));
  const use = (next: UserApi | undefined) => (api = next ?? api, next);
  const again = await resuming(context, session);
  try {
    const task = await followTask(session, id, {
      clock: host.clock,
      signal: abort.signal,
      ...again,
      reconnect: async () => use(await again.reconnect()),
      onMessage: (message) => {
        messages.push(message);
        prompt.print(messageLines(message));
        prompt.saw(message);
      },
      onTask: (view) => {
        prompt.follow(view.id);
        tellWait(view);
      },
    });
    output.result({ task, messages }, () => showOutcome(task, output, messages));
    return exitCodeForTask(task.status);
  } catch (error) {
    if (abort.signal.aborted) return EXIT_CODES.interrupted.code;
    throw error;
  }
}

function noting({ output }: CommandContext): { note: (text: string) => void } {
  return { note: (text) => output.note(`drover: ${text}`) };
}

async function anySession(context: CommandContext): Promise<UserApi | undefined> {
  const wish = serverWish(context.args);
  if (wish) return await openServer(context, wish);
  return await openUserSession(context.host, context.home(), noting(context));
}

export async function sessionFor(context: CommandContext): Promise<UserApi> {
  const session = await anySession(context);
  if (session) return session;
  const wanted = context.args.positional[0];
  throw new DroverError("task_unknown", `Cannot find task ${wanted}: this home has no tasks yet`, {
    hint: "drover tasks list shows the tasks there are; DROVER_HOME says which home is used",
  });
}

/** A daemon of a version that knows no permissions has none open. */
async function asksOf(session: UserApi, { id, status }: TaskView): Promise<readonly PermissionView[]> {
  if (status !== "running") return [];
  return await session.permissions(id).catch((error) => {
    if (error instanceof DroverError && error.code === "invalid_request") return [];
    throw error;
  });
}

function describeAsk({ tool, title, request_id, expires_at }: PermissionView): string[] {
  return ["asks", `${permissionText({ tool, title })} (${request_id.slice(0, 8)}, until ${clockTime(expires_at)})`];
}

function describe(task: TaskView): string[][] {
  const directory = task.directory.path ? `${task.directory.mode} of ${task.directory.path}` : task.directory.mode;
  return [
    ["task", task.id],
    ["status", task.status],
    ...(task.status === "waiting_local_directory" && task.progress ? [["waiting", plain(task.progress)]] : []),
    ["agent", task.agent],
    ["prompt", oneLine(plain(task.prompt), 200)],
    ["directory", `${directory}, ${task.permission}${task.sandbox ? ", sandbox" : ""}`],
    ...(task.effort ? [["effort", task.effort]] : []),
    ["attempt", `${task.attempt} of at most ${task.max_attempts}`],
    ["created", task.created_at],
    ["started", task.started_at ?? "not yet"],
    ["session", task.session_id ?? "none"],
    ...(task.retry_of ? [["retries", task.retry_of]] : []),
    ...(task.retried_by ? [["retried by", task.retried_by]] : []),
  ];
}

export function shortId(id: string): string {
  return id.slice(0, 13);
}

function age(context: CommandContext, iso: string): string {
  const seconds = Math.max(0, Math.round((context.host.clock.now() - Date.parse(iso)) / 1000));
  const units: [number, string][] = [[86_400, "d"], [3_600, "h"], [60, "m"]];
  const unit = units.find(([size]) => seconds >= size);
  return unit ? `${Math.floor(seconds / unit[0])}${unit[1]}` : `${seconds}s`;
}

function limitOf(text: string | undefined): number {
  return numberOf("limit", text, { min: 1, max: 1000, fallback: 50 });
}

function numberOf(
  name: string,
  text: string | undefined,
  range: { min: number; max?: number; fallback: number },
): number {
  if (text === undefined) return range.fallback;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= range.min && value <= (range.max ?? Number.MAX_SAFE_INTEGER)) return value;
  const to = range.max === undefined ? " or more" : ` to ${range.max}`;
  throw new DroverError("usage", `Cannot use --${name} ${text}: it must be a whole number, ${range.min}${to}`);
}

function statusOf(text: string | undefined): string | undefined {
  const wrong = text?.split(",").find((word) => !(TASK_STATES as readonly string[]).includes(word));
  if (wrong === undefined) return text;
  throw new DroverError("usage", `Cannot use --status ${wrong}: it must be one of ${TASK_STATES.join(", ")}`);
}
