/** `drover __demo-agent`: the demo agent's process; started by the daemon, not by people. */
import type { Command } from "../command.ts";

export const demoAgent: Command = {
  name: "__demo-agent",
  options: [],
  async run({ host, args }) {
    const { demoAgentProcess } = await import("../../app/demo.ts");
    return await demoAgentProcess(host, args.positional);
  },
};
