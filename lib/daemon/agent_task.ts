/** What an agent is told of its task: the prompt, the directory, and the session it goes on with, where that can be. */
import type { Outcome } from "../core/message.ts";
import type { AgentTask } from "../core/model.ts";
import type { ClaimedTask } from "../wire/payloads.ts";
import type { Workdir } from "./workdir.ts";

const FRESH_NOTE =
  "(The earlier session of this conversation could not be continued here; what was said in it is not known to you.)\n\n";

/** A session is only continued in the directory it was in. */
export function agentTaskOf(task: ClaimedTask, workdir: Workdir, newSession: string): AgentTask {
  const { prior_session_id: prior, prompt, permission, sandbox, agent, id } = task;
  const resume = prior !== "" && workdir.reused;
  const note = prior !== "" && !resume ? FRESH_NOTE : "";
  return {
    id,
    prompt: note + prompt,
    cwd: workdir.path,
    permission,
    newSession,
    ...(agent?.model ? { model: agent.model } : {}),
    ...(agent?.thinking_level ? { effort: agent.thinking_level } : {}),
    ...(sandbox ? { sandbox } : {}),
    ...(resume ? { resumeSession: prior } : {}),
  };
}

/** The same task without the session that the agent refused to continue; `undefined` where that is not what happened. */
export function withoutSession(task: AgentTask, outcome: Outcome): AgentTask | undefined {
  if (task.resumeSession === undefined || outcome.kind !== "failed" || !outcome.resumeRejected) return undefined;
  const { resumeSession: _, ...rest } = task;
  return { ...rest, prompt: FRESH_NOTE + task.prompt };
}
