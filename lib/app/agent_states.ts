/** The agent CLIs of this machine with what keeps each from getting tasks, as it is kept in the home and as a look at the login says. */
import { howToLogIn, lookAtLogin } from "../agents/login.ts";
import { rowOf } from "../agents/registry.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { Runtime, SkippedProvider } from "../core/model.ts";
import type { Env, Host } from "../core/ports.ts";
import { type DayLimits, limitView } from "../core/day_limits.ts";
import { pauseAfterCheck, type PauseView, personView, viewOf } from "../core/runtime_pause.ts";
import { readClaimPause, readToday } from "./claims_file.ts";
import { discoverAgents } from "./embedded_daemon.ts";
import { currentPauses, forgetPause } from "./pauses_file.ts";
import { connectControl } from "./reach.ts";

export interface AgentState extends Runtime {
  readonly paused: PauseView | null;
}

export async function agentsWithState(
  host: Host,
  home: Home,
  { env, variables, loginCheck, limits }: {
    env: Env;
    variables: readonly string[];
    loginCheck: boolean;
    limits: DayLimits;
  },
): Promise<{ found: readonly AgentState[]; skipped: readonly SkippedProvider[] }> {
  const { found, skipped } = await discoverAgents(host, { env, variables });
  const { clock, files } = host;
  const pauses = await currentPauses(files, home, clock.now());
  const person = await readClaimPause(files, home, clock.now());
  const today = await readToday(files, home, clock.now());
  const stateOf = async (runtime: Runtime): Promise<AgentState> => {
    const { provider } = runtime;
    const kept = pauses.get(provider);
    const now = host.clock.now();
    // Somebody may have logged in since it was written down.
    const pause = loginCheck
      ? pauseAfterCheck(kept, await lookAtLogin(runtime, { ...host, env, variables }), {
        how: howToLogIn(provider),
        now,
      })
      : kept;
    const own = pause ? viewOf(pause) : limitView(today, limits, { provider, now });
    return { ...runtime, paused: (person ? personView(person) : own) ?? null };
  };
  return { found: await Promise.all(found.map(stateOf)), skipped };
}

/** Whoever holds the home does it, else the file is changed; false when the agent was not paused. Throws `agent_unknown`. */
export async function resumeAgent(host: Host, home: Home, name: string): Promise<boolean> {
  using control = await connectControl(host, home);
  if (control) return await control.resumeAgent(name);
  if (await forgetPause(host.files, home, name)) return true;
  if (rowOf(name)) return false;
  throw new DroverError("agent_unknown", `Cannot resume the agent "${name}": drover knows no such agent`, {
    hint: "drover agents --all shows every agent drover knows",
  });
}
