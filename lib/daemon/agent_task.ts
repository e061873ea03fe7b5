/** What an agent is told of its task: the prompt, the directory, and the session it goes on with, where that can be. */
import type { Outcome } from "../core/message.ts";
import type { AgentTask } from "../core/model.ts";
import { isSecretVariable, matchesName } from "../core/secret_variables.ts";
import type { ClaimedTask } from "../wire/payloads.ts";
import type { Connection } from "./connection.ts";
import { onlyCalled } from "./mcp_config.ts";
import { plainSkill } from "./skills.ts";
import type { Workdir } from "./workdir.ts";

const FRESH_NOTE =
  "(The earlier session of this conversation could not be continued here; what was said in it is not known to you.)\n\n";

/** A session is only continued in the directory it was in. */
export function agentTaskOf(task: ClaimedTask, workdir: Workdir, newSession: string): AgentTask {
  const { prior_session_id: prior, prior_session_resume_unavailable: lost, prompt, permission, sandbox, agent, id } =
    task;
  const resume = prior !== "" && workdir.reused;
  const note = (prior !== "" || lost) && !resume ? FRESH_NOTE : "";
  const extraArgs = withheld(task) ? [] : agent?.custom_args ?? [];
  return {
    id,
    prompt: note + prompt,
    cwd: workdir.path,
    permission,
    newSession,
    ...(agent?.model ? { model: agent.model } : {}),
    ...(agent?.thinking_level ? { effort: agent.thinking_level } : {}),
    ...(extraArgs.length > 0 ? { extraArgs } : {}),
    ...(sandbox ? { sandbox } : {}),
    ...(resume ? { resumeSession: prior } : {}),
  };
}

/**
 * A task as its agent gets it, and what people should know of that. Options, variables and commands of a server's choosing
 * could give what the permission withholds, so that none is passed on; those of a task of one's own are one's own choice.
 */
export function confined(
  task: ClaimedTask,
  { remote }: Pick<Connection, "remote">,
): { readonly task: ClaimedTask; readonly remarks: readonly string[] } {
  const { permission, agent } = task;
  const options = withheld(task) ?? [];
  if (!remote || !agent || permission === "full") return { task, remarks: [options].flat() };
  const { config: mcp_config, commands, curious } = onlyCalled(agent.mcp_config);
  const skills = (agent.skills ?? []).map(plainSkill);
  const variables = Object.keys(agent.custom_env ?? {}).join(" ");
  const why = `with the permission ${permission} nothing of a server's may`;
  return {
    task: { ...task, agent: { ...agent, custom_env: {}, mcp_config, skills: skills.map(({ skill }) => skill) } },
    remarks: [
      options,
      variables === "" ? [] : `the agent's own variables (${variables}) are left out: ${why} change how its CLI runs`,
      commands.map((name) => `the MCP server ${name} is left out: it is a command, and ${why} start one unasked`),
      curious.map((name) => `the MCP server ${name} is left out: it asks for variables of this machine`),
      skills.filter(({ cut }) => cut.length > 0).map(({ skill: { name }, cut }) =>
        `the head of the skill ${name} is cut (${cut.join(" ")}): ${why} widen the permission`
      ),
    ].flat(),
  };
}

/** What begins with a slash could be a command of the CLI's instead of a wish. */
export function confinedPrompt(
  prompt: string,
  { permission }: Pick<ClaimedTask, "permission">,
  { remote }: Pick<Connection, "remote">,
): string {
  return remote && permission !== "full" && /^\s*\//.test(prompt) ? `The task:\n\n${prompt}` : prompt;
}

/** An option of the CLI could give what the permission withholds, so that none is passed on. What people should know of it. */
function withheld({ permission, agent }: Pick<ClaimedTask, "permission" | "agent">): string | undefined {
  const args = agent?.custom_args ?? [];
  if (permission === "full" || args.length === 0) return undefined;
  // Their values may be nobody's business.
  const names = args.filter((arg) => arg.startsWith("-")).map((arg) => arg.split("=", 1)[0]).join(" ");
  return `the agent's own options (${names}) are left out: with the permission ${permission} nothing may widen it`;
}

/** Places, programs and modes that say where and as whom a CLI calls. */
const ACCOUNT_VARIABLE = /(?:^|_)(?:URL|HOME|DIR|PATH|PROFILE)$|_USE_/;

/**
 * Whether its agent may run with a key, an account or a command that is not the CLI's own. `secrets`: the variables with
 * secrets that the CLI may see, as names or beginnings.
 */
export function ownAccount(
  { permission, agent }: Pick<ClaimedTask, "permission" | "agent">,
  secrets: readonly string[],
): boolean {
  const args = withheld({ permission, agent }) ? [] : agent?.custom_args ?? [];
  const of = (name: string) =>
    ACCOUNT_VARIABLE.test(name) || isSecretVariable(name) ||
    secrets.some((pattern) => pattern !== "*" && matchesName(name, pattern));
  return args.length > 0 || Object.keys(agent?.custom_env ?? {}).some(of);
}

/** The same task without the session that the agent refused to continue; `undefined` where that is not what happened. */
export function withoutSession(task: AgentTask, outcome: Outcome): AgentTask | undefined {
  if (task.resumeSession === undefined || outcome.kind !== "failed" || !outcome.resumeRejected) return undefined;
  const { resumeSession: _, ...rest } = task;
  return { ...rest, prompt: FRESH_NOTE + task.prompt };
}
