/** `drover agents`: the agent CLIs found on this machine and, on request, every other one drover knows and why it was skipped. */
import { openLoginPath } from "../../app/login_path.ts";
import { readSettings } from "../../app/settings.ts";
import type { Command } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { paint, table } from "../output.ts";

export const agents: Command = {
  name: "agents",
  summary: "show the agent CLIs found here",
  options: [{ name: "all", summary: "also every other one drover knows, and why it was skipped" }],
  async run({ host, output, args, home }) {
    const { loginPath } = await readSettings(host, home());
    // As the daemon sees it: with what the login shell told it last.
    const { discoverAgents } = await import("../../app/daemon_host.ts");
    const { found, skipped } = await discoverAgents(host, {
      env: (await openLoginPath(host, home(), { enabled: loginPath })).env(),
    });
    const all = args.switches.has("all");
    output.result({ agents: found, ...(all ? { skipped } : {}) }, () => {
      const rows = found.map((
        runtime,
      ) => [runtime.provider, runtime.version || "-", runtime.family, runtime.executable]);
      for (const line of table([["AGENT", "VERSION", "PROTOCOL", "EXECUTABLE"], ...rows])) output.line(line);
      if (all && skipped.length > 0) {
        output.line();
        const why = skipped.map((row) => [row.provider, row.why, row.detail]);
        for (const line of table([["SKIPPED", "WHY", "DETAIL"], ...why])) output.line(paint.dim(line));
      } else if (skipped.length > 0) {
        output.line(paint.dim(`${skipped.length} more known, not usable here: drover agents --all`));
      }
    });
    return EXIT_CODES.ok.code;
  },
};
