/** `drover tasks approve` and `deny`: a person's word on what a running agent asks, from any terminal. */
import type { UserApi } from "../../app/control_client.ts";
import { DroverError } from "../../core/drover_error.ts";
import type { TaskView } from "../../wire/control.ts";
import type { AnswerPermission, PermissionView } from "../../wire/permissions.ts";
import type { Command, CommandContext, OptionSpec } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { permissionText } from "../permission_prompt.ts";
import { sessionFor, shortId } from "./tasks.ts";

const OPERANDS = { operands: "TASK [REQUEST]", minOperands: 1, maxOperands: 2 } as const;
const DETAILS =
  `TASK and REQUEST are ids or their first characters (at least 4). REQUEST may be left out where the agent asks one
thing only; drover tasks show TASK lists what it asks. What nobody answers in time (permission.ask_timeout) is denied.`;

const ALL: OptionSpec = { name: "all", summary: "everything that it asks at this moment" };
const REASON: OptionSpec = { name: "reason", value: "TEXT", summary: "why, for the agent to read" };

export const tasksApprove: Command = {
  name: "tasks approve",
  ...OPERANDS,
  options: [ALL, { name: "always", summary: "and the same tool for the rest of this run, without asking" }, REASON],
  details: DETAILS,
  examples: [["drover tasks approve 1f0c", "the one thing that task asks for"]],
  run: (context) => decide(context, { allow: true, always: context.args.switches.has("always") }),
};

export const tasksDeny: Command = {
  name: "tasks deny",
  ...OPERANDS,
  options: [ALL, REASON],
  details: DETAILS,
  examples: [['drover tasks deny 1f0c --reason "use the test database"', "the agent goes on without it"]],
  run: (context) => decide(context, { allow: false }),
};

async function decide(context: CommandContext, decision: AnswerPermission): Promise<number> {
  const { output, args } = context;
  const [wanted, request] = args.positional as [string, string?];
  const all = args.switches.has("all");
  if (all && request !== undefined) throw new DroverError("usage", "Cannot combine --all and REQUEST: choose one");
  const why = args.values.reason ?? (decision.allow ? "allowed by a person" : "denied by a person");
  using session = await sessionFor(context);
  const task = await taskNamed(session, wanted);
  const ids = request ? [request] : choose(task, await openOf(session, task), all);
  const answered: PermissionView[] = [];
  for (const id of ids) answered.push(await session.answerPermission(task.id, id, { ...decision, why }));
  const verb = decision.allow ? "Allowed" : "Denied";
  output.result({ task: task.id, allow: decision.allow, answered }, () => {
    for (const one of answered) output.line(`${verb}: ${permissionText(one)}`);
  });
  return EXIT_CODES.ok.code;
}

type Named = Pick<TaskView, "id" | "status">;

/** A task of a team server stands in no list of this home: only that it runs here is known of it. */
async function taskNamed(session: UserApi, wanted: string): Promise<Named> {
  try {
    return await session.showTask(wanted);
  } catch (error) {
    if (!(error instanceof DroverError && error.code === "task_unknown" && session.live)) throw error;
    await session.permissions(wanted);
    return { id: wanted, status: "running" };
  }
}

async function openOf(session: UserApi, task: Named): Promise<readonly PermissionView[]> {
  if (session.live) return await session.permissions(task.id);
  throw new DroverError(
    "not_running",
    `Cannot answer task ${shortId(task.id)}: no daemon is running, so nothing is asked`,
  );
}

function choose(task: Named, open: readonly PermissionView[], all: boolean): readonly string[] {
  if (open.length === 0) {
    throw new DroverError(
      "not_asked",
      `Cannot answer task ${shortId(task.id)}: it is ${task.status} and asks nothing`,
      {
        hint: `what it does: drover tasks messages ${shortId(task.id)}`,
      },
    );
  }
  if (open.length > 1 && !all) {
    throw new DroverError("usage", `Cannot tell what is meant: task ${shortId(task.id)} asks ${open.length} things`, {
      hint: `name one, or give --all: ${
        open.map((one) => `${one.request_id.slice(0, 8)} ${permissionText(one)}`).join("; ")
      }`,
    });
  }
  return open.map(({ request_id }) => request_id);
}
