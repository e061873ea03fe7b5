/** Which agent a task gets when its user named none, and which name was probably meant. */
import { PROVIDERS } from "../agents/registry.ts";
import { DroverError } from "../core/drover_error.ts";
import type { AgentList } from "../wire/control.ts";

type AgentView = ReturnType<typeof AgentList.parse>["agents"][number];

/**
 * Throws `agent_unknown` or `no_agent`. The demo agent is never chosen by itself: it would look like a real answer.
 * `server`: where the agents are, if not here.
 */
export function chooseAgent(agents: readonly AgentView[], wanted: string | undefined, server?: string): AgentView {
  const online = agents.filter((agent) => agent.status === "online");
  const names = online.map((agent) => agent.name).join(", ");
  if (wanted !== undefined) {
    const found = online.find((agent) => agent.name === wanted);
    if (found) return found;
    throw new DroverError(
      "agent_unknown",
      `Cannot use the agent "${wanted}": it is not among the agents ${server ? `online at ${server}` : "found here"} (${
        names || "none"
      })`,
      {
        hint: server
          ? "drover agents --server shows those of all its machines"
          : "drover agents --all shows every agent drover knows and why some were skipped",
      },
    );
  }
  const ranked = PROVIDERS.filter((row) => !row.demo).flatMap((row) =>
    online.filter((agent) => agent.provider === row.provider)
  );
  // One that gets no tasks for now only where there is no other.
  const [paused, ready] = [true, false].map((is) => ranked.filter((agent) => Boolean(agent.paused) === is));
  // A custom way to launch one is a special case: it comes after all that were simply found.
  const best = (among: readonly AgentView[]) => among.find((agent) => agent.name === agent.provider) ?? among[0];
  const chosen = best(ready!) ?? best(paused!);
  if (chosen) return chosen;
  if (server) {
    throw new DroverError(
      "no_agent",
      `Cannot choose an agent: no machine offers one at ${server} now (${names || "none"})`,
      {
        hint:
          "on a machine with an agent CLI: drover login, drover enable remote, drover start; the demo agent has to be named",
      },
    );
  }
  throw new DroverError("no_agent", "Cannot choose an agent: no agent CLI was found on this machine", {
    hint: `install one (drover agents --all lists what drover looks for), or try the built-in demo: ${
      names ? `--agent ${names}` : "--agent demo"
    }`,
  });
}
