/** `drover service …`: the daemon as a service of systemd or launchd, which starts it at login and again when it fails. */
import { instancePorts } from "../../app/instance.ts";
import { type HomeService, installService, serviceStatus, uninstallService } from "../../app/service.ts";
import type { ManagerCall, ServiceState } from "../../app/service_state.ts";
import { SETTINGS } from "../../core/config.ts";
import type { Home } from "../../core/home.ts";
import type { Host } from "../../core/ports.ts";
import { startDaemon } from "../../lifecycle/instance.ts";
import { readPidfile, sameProcess } from "../../lifecycle/pidfile.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { type Output, paint, table } from "../output.ts";

const READY_MS = 30_000;

export const serviceInstall: Command = {
  name: "service install",
  options: [{ name: "no-enable", summary: "only write the service, neither enable nor start it" }],
  details: `
Writes a systemd user unit or a LaunchAgent for this home, enables it and starts it. Call it again after drover has moved,
or to freeze another PATH. From then on start and restart go through the service manager; stop is remembered until the
next start, over logins too.

The service knows this terminal's PATH, proxies, language and DROVER_…_PATH, and no other variable of your shell. What
agents need besides (API keys) belongs into ~/.config/environment.d/*.conf (systemd) or launchctl setenv (macOS).`,
  async run(context) {
    const { host, output, args } = context;
    const home = context.home();
    const { status, service, env, state, lingers } = await installService(host, home, {
      enable: !args.switches.has("no-enable"),
    });
    const taken = state.kind === "known" && state.enabled;
    const daemon = taken && !args.switches.has("no-enable") ? await started(context, home) : null;
    const notTaken = settingsInEnv(host);
    output.result({
      status,
      ...about(service),
      ...views(state, lingers),
      path: env.PATH,
      variables: Object.keys(env),
      settingsNotTaken: notTaken.map(({ variable }) => variable),
      daemon,
      home: home.root,
    }, () => {
      output.line(`${SAID[status]} ${service.file}`);
      output.line(`PATH it keeps: ${env.PATH}`);
      const others = Object.keys(env).filter((name) => name !== "PATH");
      output.line(paint.dim(`other variables it keeps: ${others.join(", ")}`));
      for (const { variable, key } of notTaken) {
        output.line(paint.yellow(`${variable} is set here and not kept: use drover config set ${key} VALUE`));
      }
      tellEnabled(output, service, state);
      if (daemon) output.line(daemonLine(daemon, service));
      tellLogout(output, service, { state, lingers });
      output.line(`undo: drover service uninstall`);
    });
    return EXIT_CODES.ok.code;
  },
};

export const serviceUninstall: Command = {
  name: "service uninstall",
  options: [],
  details: `
A daemon that the service runs ends too: running tasks may finish for a minute, then they are ended and tried again
later. drover start runs it without the service.`,
  async run(context) {
    const { host, output } = context;
    const { status, service, state } = await uninstallService(host, context.home(), {
      onStopping: () => output.note("drover: waiting for the service to end …"),
    });
    output.result({ status, ...about(service), ...views(state) }, () => {
      output.line(
        status === "uninstalled" ? `removed ${service.file}` : `there was no service of this home (${service.file})`,
      );
    });
    return EXIT_CODES.ok.code;
  },
};

export const serviceShow: Command = {
  name: "service status",
  options: [],
  async run(context) {
    const { host, output } = context;
    const home = context.home();
    const { service, installed, state, unitOutdated, env, lingers } = await serviceStatus(host, home);
    const runs = await runningDaemon(host, home);
    const path = env.PATH ?? null;
    output.result(
      { installed, ...about(service), ...views(state, lingers), unitOutdated, path, daemon: runs, home: home.root },
      () => {
        const known = state.kind === "known" ? `${state.enabled ? "enabled" : "not enabled"}, ${state.activity}` : "";
        const rows = [
          ["service", `${service.label} (${service.kind})`],
          ["file", installed ? service.file : `${service.file} (not installed)`],
          ["state", known + (state.why ? `${known ? ": " : "not known: "}${state.why}` : "")],
        ];
        if (installed) rows.push(["PATH", path ?? "none"]);
        if (runs) {
          rows.push(["daemon", `pid ${runs.pid}, ${runs.supervised ? "by the service" : "not by the service"}`]);
        }
        for (const line of table(rows)) output.line(line);
        if (unitOutdated) {
          output.line(
            paint.yellow("the file is not what this drover writes: drover service install brings it up to date"),
          );
        }
        if (!installed) output.line("drover service install installs it");
        else tellLogout(output, service, { state, lingers });
      },
    );
    return EXIT_CODES.ok.code;
  },
};

const SAID = { installed: "wrote", updated: "brought up to date", alreadyInstalled: "up to date:" } as const;

function about({ kind, label, file }: HomeService): Record<string, unknown> {
  return { kind, label, file };
}

function views(state: ServiceState, lingers?: boolean): Record<string, unknown> {
  return {
    manager: state.kind === "known" ? "reachable" : "unreachable",
    enabled: state.kind === "known" ? state.enabled : null,
    activity: state.kind === "known" ? state.activity : null,
    why: state.why || null,
    linger: lingers ?? null,
  };
}

interface RunningDaemon {
  readonly pid: number;
  readonly supervised: boolean;
}

/** Like `drover start`, and for the same reasons. */
async function started({ host, output }: CommandContext, home: Home): Promise<RunningDaemon & { status: string }> {
  const { status, hello } = await startDaemon(instancePorts(host, home), home, {
    args: [],
    timeoutMs: READY_MS,
    onWait: (holder) => output.note(`drover: waiting for ${holder} …`),
  });
  return { status, pid: hello.pid, supervised: (await runningDaemon(host, home))?.supervised ?? false };
}

async function runningDaemon({ files, system }: Host, home: Home): Promise<RunningDaemon | null> {
  const record = await readPidfile(files, home.pidfile);
  const lives = record?.mode === "daemon" && sameProcess(record, system.identityOf(record.pid));
  return lives ? { pid: record.pid, supervised: record.launch.supervisor !== "none" } : null;
}

function daemonLine({ pid, supervised, status }: RunningDaemon & { status: string }, { kind }: HomeService): string {
  if (supervised) return `${status === "alreadyRunning" ? "running" : "started"} by ${kind} (pid ${pid})`;
  return paint.yellow(`a daemon runs that ${kind} did not start (pid ${pid}): drover restart hands it over`);
}

function tellEnabled(output: Output, service: HomeService, state: ServiceState): void {
  if (state.kind === "known" && state.enabled) return output.line("enabled: it starts at login");
  const { commands } = service.manager;
  const lines = commands.enable(service).filter(({ mayFail }) => !mayFail).map((call) =>
    asTyped(commands.program, call)
  );
  if (state.kind === "unreachable") output.line(paint.yellow(`not enabled: it cannot be now (${state.why})`));
  else output.line("not enabled");
  output.line(`enable it with: ${lines.join(" && ")}`);
}

function asTyped(program: string, { args }: ManagerCall): string {
  const words = [program, ...args].map((word) =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
  );
  return words.join(" ");
}

function tellLogout(
  output: Output,
  { kind }: HomeService,
  { state, lingers }: { state: ServiceState; lingers: boolean | undefined },
): void {
  if (kind === "launchd") return output.line("at logout: it ends, and starts again at the next login");
  if (lingers) return output.line("at logout: it goes on (lingering is on for you)");
  if (lingers === undefined && state.kind === "unreachable") return;
  const how = "loginctl enable-linger keeps it running, and starts it at boot";
  output.line(
    lingers === undefined
      ? `at logout: not known whether it goes on; ${how}`
      : `at logout: it ends with its tasks, which are tried again after the next login; ${how}`,
  );
}

function settingsInEnv({ system }: Host): readonly { readonly variable: string; readonly key: string }[] {
  return Object.values(SETTINGS).filter(({ variable }) => system.env[variable]);
}
