/** Everything before a task's start: what its claim only refers to is fetched, its place is made, and its prompt is written. */
import { LEASE } from "../core/lease.ts";
import { type Outcome, stopReasonOf } from "../core/message.ts";
import { isTerminal } from "../core/task_state.ts";
import type { ClaimedTask, Skill, SkillRef } from "../wire/payloads.ts";
import { confined, confinedPrompt } from "./agent_task.ts";
import type { TeamServer } from "./brief.ts";
import type { Connection } from "./connection.ts";
import { readIssueText } from "./issue_text.ts";
import { ownDirectory } from "./project_directory.ts";
import { promptOf } from "./prompt.ts";
import { resolveSkills } from "./skill_cache.ts";
import { type PlaceOptions, takePlace, type TaskPlace } from "./task_place.ts";

export interface PreparationOptions extends PlaceOptions {
  /** Under which the server knows this machine. */
  readonly daemonId: string;
}

export interface Prepared {
  /** With everything in it that its agent is to know. */
  readonly task: ClaimedTask;
  readonly place: TaskPlace;
}

/** Set for a task whose wish is in the fields of a team's server; one of drover's own brings its prompt as it is. */
export function teamOf(task: ClaimedTask, connection: Pick<Connection, "remote">): TeamServer | undefined {
  if (!connection.remote || task.prompt !== "") return undefined;
  return task.auth_token === "" ? "without-token" : "with-token";
}

/** `drop`: it is not ours to prepare any more, and nobody is to be told. Otherwise why there is nothing to start. */
export async function prepareTask(
  task: ClaimedTask,
  options: PreparationOptions,
): Promise<Prepared | Outcome | "drop"> {
  const skills = await fetchSkills(task, options);
  if (skills === "drop" || "kind" in skills) return skills;
  const { task: whole, remarks } = confined({
    ...withDirectory(task, options),
    ...(task.agent ? { agent: { ...task.agent, skills: [...skills] } } : {}),
  }, options.connection);
  const taken = await takePlace(whole, options);
  if ("kind" in taken) return taken;
  const place = { ...taken, remarks: [...taken.remarks, ...remarks] };
  try {
    const prompt = options.team ? await teamPrompt(whole, options) : whole.prompt;
    return { task: { ...whole, prompt: confinedPrompt(prompt, whole, options.connection) }, place };
  } catch (error) {
    await place.release();
    throw error;
  }
}

function withDirectory(task: ClaimedTask, { team, daemonId }: PreparationOptions): ClaimedTask {
  const directory = team && !task.directory ? ownDirectory(task, daemonId) : undefined;
  return directory ? { ...task, directory } : task;
}

/** Last, as the discussion may go on while a task waits for its directory. */
async function teamPrompt(task: ClaimedTask, { connection, clock, signal }: PreparationOptions): Promise<string> {
  const text = task.issue_id === ""
    ? undefined
    : await readIssueText(task, { client: connection.client, clock, signal });
  return promptOf(task, text);
}

/**
 * For a CLI without a folder for skills they stay where they are, and people are told of each. Not of those that every
 * server brings by itself: they are about its own command line, and nobody chose them.
 */
function unfetched(refs: readonly SkillRef[]): Skill[] {
  const chosen = refs.filter(({ source }) => source !== "builtin");
  return chosen.map(({ name, id }) => ({ name: name || id, description: "", content: "", files: [] }));
}

/** Those of the claim itself, and those it refers to. */
async function fetchSkills(
  task: ClaimedTask,
  options: PreparationOptions,
): Promise<readonly Skill[] | Outcome | "drop"> {
  const skills = task.agent?.skills ?? [];
  const refs = task.agent?.skill_refs ?? [];
  if (refs.length === 0) return skills;
  if (!options.surfaceOf?.(options.provider)?.skills) return [...skills, ...unfetched(refs)];
  const { connection: { client }, clock, signal, home, stop } = options;
  const limitMs = LEASE.prepareLimitMs;
  using _limit = clock.after(limitMs, () => stop({ kind: "time-limit", limitMs }));
  try {
    const result = await resolveSkills(task, refs, { ...options, client, directory: home.skillCache });
    if (result.kind === "resolved") return [...skills, ...result.skills];
    // "Not preparing" (wire protocol 1.16): a good run of the same task elsewhere must not be failed.
    const status = result.conflict ? await client.status(task.id, { signal }) : undefined;
    if (status?.kind === "ok" && (status.value === "running" || isTerminal(status.value))) return "drop";
    return { kind: "failed", reason: "skill_bundle_unavailable", detail: result.why };
  } catch (error) {
    if (!signal.aborted) throw error;
    return { kind: "failed", reason: "cancelled", detail: `The run was stopped: ${stopReasonOf(signal).kind}` };
  }
}
