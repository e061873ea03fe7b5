/** `drover bootstrap`: a machine that is reached over SSH made ready, and what there is then as one JSON object. */
import { bootstrapMachine } from "../../app/bootstrap.ts";
import { refuseInsideTask } from "../../app/login.ts";
import type { Command } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";

export const bootstrap: Command = {
  name: "bootstrap",
  options: [
    { name: "remote", summary: "let the daemon take work from the configured server" },
    { name: "no-updater", summary: "start no updater, and leave update.auto as it is" },
  ],
  details: `
Checks the installation, starts the daemon and, where drover replaces itself, the updater; what runs already stays as it
is. Prints one JSON object, also without --json. Which workspaces may send work is still for drover enable remote.`,
  examples: [["ssh host drover bootstrap", "from another machine"]],
  async run({ host, home, args, output }) {
    refuseInsideTask(host.system);
    const seen = await bootstrapMachine(host, home(), {
      remote: args.switches.has("remote"),
      updater: !args.switches.has("no-updater"),
    });
    if (output.json) output.result({ ...seen });
    else host.terminal.out(JSON.stringify({ schemaVersion: 1, ok: true, ...seen }, null, 2) + "\n");
    return EXIT_CODES.ok.code;
  },
};
