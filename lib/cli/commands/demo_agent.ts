/** `drover __demo-agent`: the demo agent's process; started by the daemon, not by people. */
import { demoAgentProcess } from "../../app/demo.ts";
import type { Command } from "../command.ts";

export const demoAgent: Command = {
  name: "__demo-agent",
  summary: "the demo agent",
  hidden: true,
  options: [],
  run: ({ host, args }) => demoAgentProcess(host, args.positional),
};
