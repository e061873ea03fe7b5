/** The control socket's server: what it still answers when the process behind it is ending. */
import { assertEquals } from "@std/assert";
import { controlHandler, type ControlSources } from "../../lib/app/control_server.ts";
import type { Phase } from "../../lib/core/phase.ts";

function handlerIn(phase: Phase): (request: Request) => Response | Promise<Response> {
  const sources = {
    phase: () => phase,
    userApi: () => Promise.resolve(Response.json({})),
    instance: "i",
    upkeep: () => undefined,
  };
  return controlHandler(sources as unknown as ControlSources);
}

const PHASES: readonly (readonly [phase: Phase, agents: number, submit: number])[] = [
  [{ kind: "running" }, 200, 200],
  [{ kind: "draining", to: "exit", since: 0 }, 409, 409],
  [{ kind: "stopped", to: "exit" }, 409, 409],
  // A task taken now is run by the successor; the agents have signed off all the same.
  [{ kind: "draining", to: "restart", since: 0 }, 200, 200],
  [{ kind: "stopped", to: "restart" }, 409, 200],
];

for (const [phase, agents, submit] of PHASES) {
  const to = "to" in phase ? ` to ${phase.to}` : "";
  Deno.test(`a process that is ${phase.kind}${to} answers for agents with ${agents} and for a task with ${submit}`, async () => {
    const ask = async (path: string, method: string) =>
      (await handlerIn(phase)(new Request(`http://d${path}`, { method }))).status;
    assertEquals([await ask("/v1/agents", "GET"), await ask("/v1/tasks", "POST")], [agents, submit]);
  });
}
