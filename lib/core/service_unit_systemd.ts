/** The systemd user unit of a home's daemon: its text, and reading back the environment in it. */
import type { Env } from "./ports.ts";
import { type ServiceSpec, SUPERVISED_DRAIN_S, SUPERVISED_EXIT } from "./service_unit_spec.ts";

/** After its own deadline the daemon still ends its tasks and tells their servers. */
const STOP_S = SUPERVISED_DRAIN_S + 60;

export function systemdUnit(spec: ServiceSpec): string {
  const { config, restart, stoodDown } = SUPERVISED_EXIT;
  return `# Written by drover service install, which also brings it up to date; drover service uninstall removes it.
[Unit]
Description=drover daemon (home ${literal(spec.home)}), runs coding agents
StartLimitIntervalSec=300
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
ExecStart=${command(spec.argv)}
${Object.entries(spec.env).map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}`).join("\n")}
Restart=on-failure
RestartSec=5
RestartForceExitStatus=${restart}
RestartPreventExitStatus=${config} ${stoodDown}
SuccessExitStatus=${restart} ${stoodDown}
KillMode=mixed
TimeoutStopSec=${STOP_S}
WatchdogSec=120
# One agent that runs out of memory is no reason to end the others.
OOMPolicy=continue
UMask=0077

[Install]
WantedBy=default.target
`;
}

export function systemdEnv(text: string): Env {
  const assignments = [...text.matchAll(/^Environment="((?:[^"\\]|\\.)*)"$/gm)].map(([, inner]) => unquoted(inner!));
  return Object.fromEntries(assignments.map((assignment) => {
    const at = assignment.indexOf("=");
    return [assignment.slice(0, at), assignment.slice(at + 1)];
  }));
}

/** systemd refuses quotes and backslashes in the path of the program alone, so there a shell becomes the program. */
function command(argv: readonly string[]): string {
  const [program = "", ...args] = argv;
  if (/["'\\]/.test(program)) return command(["/bin/sh", "-c", 'exec "$0" "$@"', ...argv]);
  // A dollar begins a variable in every word but the first, which is taken as it stands.
  return [quoted(program), ...args.map((word) => quoted(word).replaceAll("$", "$$$$"))].join(" ");
}

/** One word: a percent sign begins a specifier, a backslash an escape. */
function quoted(text: string): string {
  return `"${literal(text).replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

function unquoted(text: string): string {
  return text.replace(/\\(.)/g, "$1").replaceAll("%%", "%");
}

function literal(text: string): string {
  return text.replaceAll("%", "%%");
}
