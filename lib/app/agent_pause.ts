/** Agents that get no tasks for a while, for those who ask for agents: what the list says of them, and how a pause ends early. */
import { DroverError } from "../core/drover_error.ts";
import type { Clock } from "../core/ports.ts";
import { pauseText } from "../core/runtime_pause.ts";
import type { Daemon } from "../daemon/daemon.ts";
import type { AgentView, ControlError } from "../wire/control.ts";

type PauseSource = Pick<Daemon["pauses"], "view" | "ofAgent" | "resume">;

/** The answer to `GET /v1/agents`, with what the coordinator does not know. */
export async function withPauses(response: Response, pauses: PauseSource): Promise<Response> {
  if (!response.ok) return response;
  const body = await response.json() as { agents?: AgentView[] };
  const agents = (body.agents ?? []).map((agent) => ({ ...agent, paused: pauses.view(agent.provider) ?? null }));
  return Response.json({ ...body, agents });
}

const ROUTE = /^\/v1\/agents\/([^/]+)\/resume$/;

/** `POST /v1/agents/{name}/resume`; `undefined` for a request that is about something else. */
export function answerAboutResuming(
  request: Request,
  { pauses, knows }: { pauses: PauseSource; knows: (provider: string) => boolean },
): Response | undefined {
  const name = request.method === "POST" ? ROUTE.exec(new URL(request.url).pathname)?.[1] : undefined;
  if (name === undefined) return undefined;
  const agent = decodeURIComponent(name);
  const resumed = pauses.resume(agent);
  const limit = pauses.ofAgent(agent);
  if (limit?.kind === "limit") {
    const body: ControlError = {
      error: {
        code: "agent_paused",
        message: `Cannot resume ${agent}: its limit is reached (${limit.why})`,
        hint: `raise it: ${limit.how}`,
      },
    };
    return Response.json(body, { status: 409 });
  }
  if (resumed || knows(agent)) return Response.json({ agent, resumed });
  const body: ControlError = {
    error: {
      code: "agent_unknown",
      message: `Cannot resume the agent "${agent}": it is not among the agents found here`,
      hint: "drover agents shows those that are",
    },
  };
  return Response.json(body, { status: 404 });
}

/**
 * What is to be said before a paused agent gets a task, if anything. Throws `claims_paused` where a person has paused
 * everything, and `agent_paused` where the task would be waited for: `alone` means that no daemon is there to run it later.
 */
export function remarksOnPause(
  agent: Pick<AgentView, "name" | "paused"> | undefined,
  { alone, clock }: { alone: boolean; clock: Clock },
): readonly string[] {
  if (!agent?.paused) return [];
  const { kind, how, why, until } = agent.paused;
  const text = pauseText(agent.paused, clock.now());
  // Who has paused everything does not wait for it: nobody may ever take that back.
  if (kind === "person") {
    throw new DroverError("claims_paused", `Cannot run the task: this drover is ${text}`, {
      hint: "drover resume takes tasks again",
      details: { why, until },
    });
  }
  if (!alone) return [`${agent.name}: ${text}; the task waits in the queue until then`];
  throw new DroverError("agent_paused", `Cannot run the task: ${agent.name}: ${text}`, {
    hint: (HINTS[kind] ?? HINTS.quota!)(agent.name, how),
    details: { agent: agent.name, why, until },
  });
}

const HINTS: Readonly<Record<string, (agent: string, how: string) => string>> = {
  quota: (agent) => `drover agents resume ${agent} tries it at once`,
  login: (agent, how) => `log in (${how}), or choose another agent; drover agents resume ${agent} tries it at once`,
  limit: (_agent, how) => `choose another agent, or raise the limit: ${how}`,
  battery: (_agent, how) => `plug the machine in, or ${how}`,
};
