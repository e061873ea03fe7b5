/** `drover __updater`: the updater's process, and the guard of a trial; started by drover, not by people. */
import type { Command } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";

export const updater: Command = {
  name: "__updater",
  options: [],
  async run({ host, home, args: { positional } }) {
    const { PROBE_ANSWER, runUpdater } = await import("../../app/updater.ts");
    const once = positional.includes("--once");
    if (positional.includes("--probe")) host.terminal.out(`${PROBE_ANSWER}\n`);
    else if (positional.includes("--guard")) {
      const { guardTrial } = await import("../../app/updater_guard.ts");
      await guardTrial(host, home(), { once });
    } else await runUpdater(host, home(), { once });
    return EXIT_CODES.ok.code;
  },
};
