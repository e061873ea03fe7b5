/** The demo agent's process: the agent's side of the protocol, spoken over this process's own streams. */
import { runDemoAgent } from "../agents/demo_agent.ts";
import type { Host } from "../core/ports.ts";

export function demoAgentProcess(host: Host, args: readonly string[]): Promise<number> {
  return runDemoAgent(host, args);
}
