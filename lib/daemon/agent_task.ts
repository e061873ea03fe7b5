/** What an agent is told of its task: the prompt, the directory, and the session it goes on with, where that can be. */
import type { AgentTask } from "../core/model.ts";
import type { ClaimedTask } from "../wire/payloads.ts";
import type { Workdir } from "./workdir.ts";

/** A session is only continued in the directory it was in. */
export function agentTaskOf(task: ClaimedTask, workdir: Workdir): AgentTask {
  const { prior_session_id: prior, prompt, permission, agent, id } = task;
  const resume = prior !== "" && workdir.reused;
  const note = prior !== "" && !resume
    ? "(The earlier session of this conversation could not be continued here; what was said in it is not known to you.)\n\n"
    : "";
  return {
    id,
    prompt: note + prompt,
    cwd: workdir.path,
    permission,
    ...(agent?.model ? { model: agent.model } : {}),
    ...(resume ? { resumeSession: prior } : {}),
  };
}
