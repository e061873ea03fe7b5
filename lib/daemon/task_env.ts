/** The environment of a task's agent: who it is for drover and, of a team server's task, for the server's own command line as well. */
import { agentEnv } from "../core/agent_env.ts";
import type { Home } from "../core/home.ts";
import type { Env } from "../core/ports.ts";
import type { ClaimedTask } from "../wire/payloads.ts";
import type { Connection } from "./connection.ts";

export interface TaskEnvOptions {
  readonly inherited: Env;
  readonly sessionVariables: readonly string[];
  /** Which inherited secrets it may see. */
  readonly secrets: readonly string[];
  /** What its adapter and its place ask for. */
  readonly adapter: Env;
  readonly home: Pick<Home, "root" | "bin" | "workspaces">;
  readonly slot: number;
  /** Of the health port, on which the server's command line looks for its daemon; absent where there is none. */
  readonly port?: number;
}

export function taskEnv(
  task: ClaimedTask,
  connection: Pick<Connection, "remote" | "serverUrl">,
  { inherited, sessionVariables, secrets, adapter, home, slot, port }: TaskEnvOptions,
): Env {
  const env: Env = {
    TASK_ID: task.id,
    TASK_SLOT: String(slot),
    AGENT_NAME: task.agent?.name ?? "",
    WORKSPACE_ID: task.workspace_id,
    // Absent from a server that gives none: then its agents cannot call it.
    ...(task.auth_token ? { TOKEN: task.auth_token } : {}),
  };
  const server: Env = connection.remote ? { SERVER_URL: connection.serverUrl } : {};
  return agentEnv({
    inherited,
    sessionVariables,
    secrets,
    custom: task.agent?.custom_env ?? {},
    adapter,
    task: {
      ...prefixed("DROVER_", { ...env, ...server, HOME: home.root }),
      ...(connection.remote ? prefixed("MULTICA_", { ...env, ...server, ...multica(task, home, port) }) : {}),
    },
    binDirectory: home.bin,
  });
}

/** What Multica's own daemon says besides (wire protocol 1.4), so that its command line works where it is installed. */
function multica(task: ClaimedTask, home: Pick<Home, "workspaces">, port: number | undefined): Env {
  const told = {
    AGENT_ID: task.agent_id,
    TASK_WORKSPACES_ROOT: home.workspaces,
    DAEMON_PORT: port ? String(port) : "",
    AUTOPILOT_RUN_ID: task.autopilot_run_id,
    AUTOPILOT_ID: task.autopilot_id,
    QUICK_CREATE_TASK_ID: task.quick_create_prompt === "" ? "" : task.id,
    QUICK_CREATE_ATTACHMENT_IDS: task.quick_create_attachment_ids.length === 0
      ? ""
      : JSON.stringify(task.quick_create_attachment_ids),
  };
  return Object.fromEntries(Object.entries(told).filter(([, value]) => value !== ""));
}

function prefixed(prefix: string, env: Env): Env {
  return Object.fromEntries(Object.entries(env).map(([name, value]) => [prefix + name, value]));
}
