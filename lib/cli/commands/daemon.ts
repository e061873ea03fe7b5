/** `drover daemon`: the daemon in the foreground, until it is told to stop. */
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { serve, type Serving } from "./daemon_serve.ts";
import { runSupervised, supervisedBy } from "./daemon_supervised.ts";

export const daemon: Command = {
  name: "daemon",
  options: [
    { name: "max-concurrent-tasks", value: "N", summary: "how many tasks run at once, 1 to 64 (default 4)" },
    { name: "log-level", value: "LEVEL", summary: "debug, info, warning or error (default info)" },
    { name: "health-port", value: "PORT", summary: "answer GET /health on this port of 127.0.0.1 (default: none)" },
    { name: "auto-reload-binaries", summary: "restart, when nothing runs, for an agent CLI that was replaced" },
    { name: "quiet", short: "q", summary: "log to the file only" },
    {
      name: "supervised",
      value: "KIND",
      summary: "run under a service manager: systemd or launchd (see service install)",
    },
  ],
  details: `
Ctrl-C (or SIGTERM) stops taking tasks and ends when the running ones are done; a second one ends them at once,
and those with an attempt left are tried again later; a third one leaves without waiting for anything.`,
  examples: [["drover daemon", "then, in another terminal: drover run …"]],
  run: runDaemon,
};

const BY_HAND: Serving = { supervisor: "none", codes: { exit: EXIT_CODES.ok.code, restart: EXIT_CODES.ok.code } };

async function runDaemon(context: CommandContext): Promise<number> {
  const kind = supervisedBy(context);
  return await (kind ? runSupervised(context, kind, (serving) => serve(context, serving)) : serve(context, BY_HAND));
}
