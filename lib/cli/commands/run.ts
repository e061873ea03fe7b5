/** `drover run`: queues one task, follows it live, and ends with an exit code that tells how it went. */
import { remarksOnPause } from "../../app/agent_pause.ts";
import { chooseAgent } from "../../app/choose_agent.ts";
import { type DirectoryPlan, planDirectory } from "../../app/directory.ts";
import { FULL_MEANS, isFirstFullRun, type PermissionPlan, planPermission } from "../../app/permission_choice.ts";
import type { UserApi } from "../../app/control_client.ts";
import { openRunSession, type RunSession } from "../../app/sessions.ts";
import { readSettings } from "../../app/settings.ts";
import { readExtras } from "../../app/task_extras.ts";
import { parseDuration } from "../../core/config.ts";
import { DroverError } from "../../core/drover_error.ts";
import { type Permission, PERMISSIONS } from "../../core/model.ts";
import { type Host, HostError } from "../../core/ports.ts";
import type { CreateTask, MessageView, TaskView } from "../../wire/control.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES, exitCodeForTask } from "../exit_code.ts";
import { followTask, messageLines, showOutcome, waitTeller } from "../follow.ts";
import { paint } from "../output.ts";
import { PermissionPrompt } from "../permission_prompt.ts";
import { isServerSession, openServer, resuming, SERVER_OPTIONS, serverWish } from "../server_option.ts";
import { Interrupts } from "./run_interrupts.ts";

const MAX_PROMPT_BYTES = 4 * 1024 * 1024;

export const run: Command = {
  name: "run",
  operands: "PROMPT",
  minOperands: 1,
  maxOperands: 1,
  options: [
    { name: "agent", value: "NAME", short: "a", summary: "which agent (default: the first real one found)" },
    { name: "cwd", value: "DIR", summary: "work in place in DIR; changes are asked for first" },
    { name: "worktree", summary: "work in a git worktree of this repository (the default inside one)" },
    { name: "scratch", summary: "work in an empty directory (the default elsewhere)" },
    {
      name: "permission",
      value: "full|ask|read-only",
      summary: "what the agent may do: everything, what you allow, or read (default: full, with --cwd ask)",
    },
    { name: "sandbox", summary: "let the agent CLI use its own sandbox, where it has one" },
    { name: "model", value: "NAME", short: "m", summary: "the agent's model" },
    { name: "effort", value: "EFFORT", summary: "how hard the model is to think, in the agent's own words, e.g. high" },
    { name: "instructions", value: "TEXT", summary: "what the agent is to heed in this task: a text, or a file of it" },
    { name: "skill", value: "DIR", repeatable: true, summary: "a skill for the agent (a directory with a SKILL.md)" },
    { name: "mcp-config", value: "FILE", summary: "MCP servers for the agent instead of its own, as JSON" },
    { name: "resume", value: "TASK", summary: "continue the conversation and directory of an earlier task" },
    { name: "time-limit", value: "TIME", summary: "stop the task after TIME, e.g. 30m (default 2h)" },
    ...SERVER_OPTIONS,
    {
      name: "directory-mode",
      value: "scratch|in-place",
      summary: "with --server: work there in an empty directory (the default), or in the directory of --cwd",
    },
  ],
  details: `
PROMPT is one argument; "-" reads it from standard input. Without a running daemon the task runs in this
process, which then holds the home until it is done. Ctrl-C asks, a second one cancels the task.

What an agent with permission ask wants to do is asked in this terminal; drover tasks approve and deny answer from
any other. An agent sees the secrets in your environment (SSH_AUTH_SOCK, AWS_*, *_TOKEN, *_KEY and the like) only
where they are its own or the setting agents.env names them.

With --server the task is queued with a team server (see drover serve) and runs on whichever of its machines claims
it, in an empty directory and within what that machine's owner allows; what comes back is shown here.`,
  examples: [
    ['drover run "find the bug in parser.ts"', "in a worktree, when here is a git repository"],
    ['drover run --cwd . "what does this project do?"', "in place; you are asked before it changes anything"],
    ["drover run - < prompt.md", "the prompt from a file"],
    ['drover run --server --agent claude "…"', "on a machine of the team, at the server of drover login"],
  ],
  run: runTask,
};

async function runTask(context: CommandContext): Promise<number> {
  const { host, output, args } = context;
  const home = context.home();
  const prompt = await readPrompt(context);
  const permission = permissionOf(args.values.permission);
  const timeLimit = timeLimitOf(args.values["time-limit"]);
  const wish = serverWish(args);
  const plan = await planOf(context, wish !== undefined);
  const extras = await readExtras(host, {
    instructions: args.values.instructions,
    mcpConfig: args.values["mcp-config"],
    skills: args.lists.skill ?? [],
  });
  const { mode } = plan.directory;
  const sandbox = args.switches.has("sandbox");
  const { effort } = args.values;
  const settings = await readSettings(host, home);
  using interrupts = new Interrupts(context);
  const open = async (): Promise<RunSession> => {
    if (!wish) return await openHere();
    const api = await openServer(context, wish);
    return { api, kind: "server", finish: () => Promise.resolve(api[Symbol.dispose]()), abandon() {} };
  };
  const openHere = () =>
    openRunSession(host, home, {
      settings,
      args: context.argv,
      signal: interrupts.leaving,
      note: (text) => output.note(`drover: ${text}`),
    });
  const plans = (provider: string) => planPermission(provider, { mode, permission, sandbox, effort });
  const submitted = await submit(context, interrupts, { open, plans }, {
    prompt,
    directory: plan.directory,
    submitted_by: "run",
    ...(sandbox ? { sandbox } : {}),
    ...(effort ? { effort } : {}),
    ...(args.values.model ? { model: args.values.model } : {}),
    ...(args.values.resume ? { resume: args.values.resume } : {}),
    ...(timeLimit ? { time_limit_ms: timeLimit } : {}),
    ...extras,
  });
  if (!submitted) return EXIT_CODES.interrupted.code;
  const { session, task, remarks } = submitted;
  try {
    interrupts.follow(session, task.id);
    await introduce(context, session, task, [...plan.remarks, ...remarks]);
    const messages: MessageView[] = [];
    const ended = await follow(context, session, { task, messages, interrupts });
    if (!ended) return EXIT_CODES.interrupted.code;
    output.result({ task: ended, messages }, () => showOutcome(ended, output, messages));
    return exitCodeForTask(ended.status);
  } finally {
    await endSession(interrupts, session);
  }
}

async function planOf({ host, args }: CommandContext, elsewhere: boolean): Promise<DirectoryPlan> {
  const { cwd, "directory-mode": mode } = args.values;
  const worktree = args.switches.has("worktree");
  if (elsewhere) {
    const { planServerDirectory } = await import("../../app/server_api.ts");
    return { directory: planServerDirectory({ mode, cwd, worktree }), remarks: [] };
  }
  if (mode === undefined) return await planDirectory(host, { cwd, worktree, scratch: args.switches.has("scratch") });
  throw new DroverError("usage", "Cannot use --directory-mode without --server", {
    hint: "on this machine: --cwd DIR, --worktree or --scratch",
  });
}

/** How often a holder may be found that leaves before it has taken the task. */
const TRIES = 5;

/**
 * Gives the task to whoever takes it; a daemon that began to end since it was found takes none, and the next look finds
 * its successor or nobody. `undefined` when ctrl-C came first.
 */
async function submit(
  { host, args }: CommandContext,
  interrupts: Interrupts,
  { open, plans }: { open: () => Promise<RunSession>; plans: (provider: string) => PermissionPlan },
  body: Omit<CreateTask, "permission">,
): Promise<{ session: RunSession; task: TaskView; remarks: readonly string[] } | undefined> {
  for (let tries = 1;; tries++) {
    const session = await open();
    try {
      if (!interrupts.leaving.aborted) {
        const agents = await agentsOf(session);
        const agent = args.values.resume && !args.values.agent ? undefined : chooseAgent(
          agents,
          args.values.agent,
          isServerSession(session.api) ? session.api.server : undefined,
        );
        const provider = agent?.provider ?? (await session.api.showTask(body.resume!)).provider;
        const taker = agents.find((one) => agent ? one.name === agent.name : one.provider === provider);
        const waits = remarksOnPause(taker, {
          alone: session.kind === "joined" || session.kind === "own",
          clock: host.clock,
        });
        const { permission, remarks } = plans(provider);
        const request = { ...body, permission, ...(agent ? { agent: agent.name } : {}) };
        return { session, task: await session.api.createTask(request), remarks: [...waits, ...remarks] };
      }
    } catch (error) {
      if (isLeaving(error) && tries < TRIES) {
        await session.finish();
        continue;
      }
      await endSession(interrupts, session);
      throw error;
    }
    await endSession(interrupts, session);
    return undefined;
  }
}

/** Whoever was asked has said that it takes nothing any more; a connection that broke says nothing about the task. */
function isLeaving(error: unknown): boolean {
  if (!(error instanceof DroverError)) return false;
  return error.code === "draining" || (error.code === "not_running" && error.cause === undefined);
}

/** Nothing is lost by asking again, unlike with a task. */
async function agentsOf({ api }: RunSession): ReturnType<UserApi["agents"]> {
  try {
    return await api.agents();
  } catch (error) {
    if (!(error instanceof DroverError && error.code === "not_running")) throw error;
    throw new DroverError("draining", error.message, { hint: error.hint, cause: error });
  }
}

async function endSession(interrupts: Interrupts, session: RunSession): Promise<void> {
  interrupts.leave(session);
  await session.finish();
}

async function readPrompt({ host, args }: CommandContext): Promise<string> {
  const given = args.positional[0]!;
  const prompt = given === "-" ? await readInput(host) : given;
  if (prompt.trim() !== "") return prompt;
  throw new DroverError("usage", "Cannot run an empty prompt", {
    hint: 'say what the agent should do: drover run "…", or drover run - with text on standard input',
  });
}

async function readInput(host: Host): Promise<string> {
  try {
    return await host.terminal.readAllInput(MAX_PROMPT_BYTES);
  } catch (error) {
    if (!(error instanceof HostError && error.code === "too-large")) throw error;
    const limit = `${MAX_PROMPT_BYTES / 1024 / 1024} MiB`;
    throw new DroverError("usage", `Cannot use the prompt on standard input: it is larger than ${limit}`, {
      hint: "put the bulk of it into a file that the agent can read, and name the file in the prompt",
      cause: error,
    });
  }
}

function permissionOf(text: string | undefined): Permission | undefined {
  const known = PERMISSIONS.find((one) => one === text);
  if (known || text === undefined) return known;
  throw new DroverError("usage", `Cannot use --permission ${text}: it must be full, ask or read-only`);
}

function timeLimitOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = parseDuration(text);
  if (ms) return ms;
  throw new DroverError("usage", `Cannot use --time-limit ${text}: it must be a duration such as 90s, 30m or 2h`);
}

async function introduce(
  { host, home, output }: CommandContext,
  session: RunSession,
  task: TaskView,
  remarks: readonly string[],
): Promise<void> {
  if (output.json) return;
  const where = {
    daemon: "queued with the daemon",
    joined: "joined a running drover run",
    own: "no daemon runs: working in this process",
    server: `queued at ${isServerSession(session.api) ? session.api.server : "the server"}`,
  };
  output.line(`${paint.bold(task.agent)} (${task.permission}), ${where[session.kind]}`);
  output.line(`task       ${task.id}`);
  for (const remark of remarks) output.line(`${paint.yellow("note")}       ${remark}`);
  // What the rest tells is about this machine.
  if (session.kind === "server") return;
  const { isTerminal, inputIsTerminal } = host.terminal;
  if (task.permission === "ask" && !(isTerminal && inputIsTerminal)) {
    output.line(
      `${paint.yellow("note")}       nobody can be asked here; answer with: drover tasks approve ${
        task.id.slice(0, 13)
      }`,
    );
  }
  if (task.permission === "full" && await isFirstFullRun(host, home())) {
    output.line(`${paint.yellow("note")}       ${FULL_MEANS}`);
  }
  if (session.kind !== "own") return;
  const { others } = await session.api.queue();
  if (others > 0) {
    output.line(
      `${paint.yellow("note")}       ${others} other queued task${others === 1 ? "" : "s"} left for the daemon`,
    );
  }
}

/** This process held the home, and nothing but another command ends it before its task is over. */
function endedByOthers(task: string, cause: DroverError): DroverError {
  return new DroverError("not_running", `Another command ended this drover; task ${task} waits for the next daemon`, {
    hint: `drover start starts one; look with: drover tasks follow ${task}`,
    cause,
  });
}

/** `undefined` when the user left before the end. */
async function follow(
  context: CommandContext,
  session: RunSession,
  { task, messages, interrupts }: { task: TaskView; messages: MessageView[]; interrupts: Interrupts },
): Promise<TaskView | undefined> {
  const { host, output } = context;
  let place = "";
  let announced = "";
  const tellWait = waitTeller((line) => prompt.print([line]));
  let { api } = session;
  const use = (next: UserApi | undefined) => (api = next ?? api, next);
  const prompt = new PermissionPrompt({ ...host, output, api: () => api });
  prompt.follow(task.id);
  const again = await resuming(context, session.api);
  const followed = followTask(session.api, task.id, {
    clock: host.clock,
    signal: interrupts.detached,
    ...(session.kind === "own"
      ? { lost: endedByOthers }
      : { ...again, reconnect: async () => use(await again.reconnect()) }),
    onMessage: (message) => {
      messages.push(message);
      prompt.print(messageLines(message));
      prompt.saw(message);
    },
    onTask: (view) => {
      interrupts.retarget(view.id);
      prompt.follow(view.id);
      tellWait(view);
      if (view.work_dir && view.work_dir !== place) {
        place = view.work_dir;
        prompt.print([`files      ${place}${view.branch_name ? ` (branch ${view.branch_name})` : ""}`]);
      }
      if (view.status === "failed" && view.retried_by && announced !== view.id) {
        announced = view.id;
        output.line(
          `${paint.yellow("retry")}      attempt ${view.attempt} failed (${view.failure_reason}), trying again`,
        );
      }
    },
  });
  return await followed.catch((error) => {
    if (interrupts.detached.aborted) return undefined;
    throw error;
  });
}
