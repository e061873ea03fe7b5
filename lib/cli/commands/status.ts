/** `drover status`: what the daemon of this home is doing; starts nothing, changes nothing, answers within seconds. */
import type { ConfigView } from "../../app/config_watch.ts";
import type { HealthPort } from "../../app/health.ts";
import { checkHome } from "../../app/home_dir.ts";
import { instancePorts } from "../../app/instance.ts";
import { updateRows, type UpdateView } from "../update_text.ts";
import { type BreakerPosition, breakerPosition } from "../../core/breaker.ts";
import { BUILD } from "../../core/build_info.ts";
import { type HomeState, stateOf } from "../../core/handshake.ts";
import type { Home } from "../../core/home.ts";
import { todayText, type TodayView } from "../../core/day_limits.ts";
import { pauseText, type PauseView, personView } from "../../core/runtime_pause.ts";
import type { Desired, Operation } from "../../lifecycle/lifecycle_file.ts";
import { type Look, observe } from "../../lifecycle/observe.ts";
import { wentAway } from "../../lifecycle/verb.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { oneLine, paint, plain, table } from "../output.ts";
import { configRows, remoteRows, type SeenRemote } from "../remote_text.ts";

/** A daemon may end between two questions; its successor may too. */
const TRIES = 5;

export const status: Command = {
  name: "status",
  options: [],
  details: "Exits with 0 while a daemon answers, with 3 when none runs, and with 4 when one lives and does not answer.",
  async run(context) {
    const { host } = context;
    const home = context.home();
    if (!await checkHome(host, home)) return showAbsent(context, home, { state: "stopped", text: NEVER_USED });
    for (let tries = 1;; tries++) {
      using look = await observe(instancePorts(host, home, { ask: "status" }), home, { onlyLooking: true });
      const state = stateOf(look.observation);
      if (!look.control) return await showSilent(context, home, { state, look });
      const raw = await look.control.status().catch((error) => {
        if (!wentAway(error) || tries === TRIES) throw error;
      });
      if (raw) return await showRunning(context, { state, raw, update: await updateOf(context, home) });
    }
  },
};

interface StatusView {
  readonly phase: string;
  readonly mode: string;
  readonly pid: number;
  readonly version: string;
  readonly instance: string;
  readonly startedAt: number;
  readonly holding: string | null;
  readonly slots: { total: number; running: number };
  readonly tasks: readonly {
    task: string;
    agent: string;
    stage: string;
    since: number;
    messages: number;
    /** Absent in what a daemon of an older version says. */
    asks?: readonly { tool: string; title: string }[];
  }[];
  readonly connections: readonly {
    name: string;
    state: string;
    why: string;
    runtimes: readonly {
      provider: string;
      version: string;
      state?: string;
      paused?: { kind: string; until: number | null; why?: string; how: string };
    }[];
  }[];
  /** Absent in what a daemon of an older version says. */
  readonly waitingFor?: readonly { text: string }[];
  readonly paused?: { kind: string; until: number | null; why: string; how: string } | null;
  readonly today?: readonly TodayView[];
  readonly reloadPending?: { provider: string; reason: string; since: number; blockedBy: { why: string } } | null;
  readonly outbox: { waiting: number; degraded: boolean };
  readonly remote?: SeenRemote;
  readonly config?: ConfigView;
  readonly healthPort?: HealthPort;
}

/** Loaded here, as only what the installer made has any. */
async function updateOf({ host }: CommandContext, home: Home): Promise<UpdateView | undefined> {
  if (!host.system.compiled) return undefined;
  const { updateView } = await import("../../app/update_view.ts");
  return await updateView(host, home);
}

function showRunning(
  { host, home, output }: CommandContext,
  seen: { state: HomeState; raw: Record<string, unknown>; update: UpdateView | undefined },
): Promise<number> {
  const { raw, update } = seen;
  const view = raw as unknown as StatusView;
  const uptimeMs = host.clock.now() - view.startedAt;
  const degraded = view.outbox.degraded || view.connections.some(({ state }) => state !== "connected");
  const state = seen.state === "running" && degraded ? "degraded" : seen.state;
  const { root, logFile } = home();
  const about = { cliVersion: BUILD.version, home: root, log: logFile, update: update ?? null };
  output.result({ ...raw, state, uptimeMs, ...about }, () => {
    const connections = view.connections.map(({ name, state, why, runtimes }) => {
      const agents = runtimes.map((one) => agentText(one, host.clock.now())).join(", ") || "no agents";
      return [name, state === "connected" ? agents : `${state}: ${why}`];
    });
    const rows = [
      ["state", `${paint.bold(state)}${holdingText(view, host.clock.now())}`],
      ["process", `pid ${view.pid}, ${view.mode}, up ${since(uptimeMs)}`],
      ["version", view.version === BUILD.version ? view.version : `${view.version} (this command: ${BUILD.version})`],
      ["slots", `${view.slots.running} of ${view.slots.total} in use`],
      ...connections,
      ...(view.reloadPending ? [["reload", reloadText(view.reloadPending, host.clock.now())]] : []),
      ...(view.waitingFor ?? []).map(({ text }) => ["waiting", text]),
      ...(view.today ?? []).map((one) => ["today", `${one.provider} ${todayText(one)}`]),
      ...view.tasks.map((
        task,
      ) => [
        "task",
        `${task.task.slice(0, 13)} ${task.agent}, ${task.stage} for ${
          since(host.clock.now() - task.since)
        }, ${task.messages} messages`,
      ]),
      ...view.tasks.flatMap(({ task, asks = [] }) => asks.map((ask) => ["asks", askText(task, ask)])),
      ...(view.outbox.waiting > 0 ? [["undelivered", `${view.outbox.waiting} records`]] : []),
      ...remoteRows(view.remote, (at) => since(host.clock.now() - at)),
      ...configRows(view.config),
      ...healthRows(view.healthPort),
      ...updateRows(update, away(host.clock.now())),
      ["home", root],
      ["log", logFile],
    ];
    for (const line of table(rows)) output.line(line);
  });
  return Promise.resolve(EXIT_CODES.ok.code);
}

function holdingText({ holding, paused }: StatusView, now: number): string {
  if (!holding) return "";
  return ` (takes no tasks: ${paused ? pauseText(paused, now) : holding})`;
}

function askText(task: string, { tool, title }: { tool: string; title: string }): string {
  const what = oneLine(plain([tool, title].filter(Boolean).join(": ")), 100);
  return paint.yellow(`${what}; drover tasks approve ${task.slice(0, 13)} (or: deny)`);
}

function agentText(runtime: StatusView["connections"][number]["runtimes"][number], now: number): string {
  const { provider, version, state, paused } = runtime;
  const name = `${provider} ${version}`.trim();
  const remarks = [
    ...(state === undefined || state === "reverted" ? [] : [state]),
    ...(paused ? [pauseText(paused, now)] : []),
  ];
  return remarks.length === 0 ? name : `${name} (${remarks.join("; ")})`;
}

function reloadText({ provider, reason, since: at, blockedBy }: NonNullable<StatusView["reloadPending"]>, now: number) {
  const what = reason === "agent_binary_gone" ? "is gone" : "was replaced";
  return `${provider} ${what} ${since(now - at)} ago; waits: ${blockedBy.why}`;
}

function healthRows(port: HealthPort = { kind: "off" }): string[][] {
  if (port.kind === "off") return [];
  if (port.kind === "listening") return [["health", `http://127.0.0.1:${port.port}/health`]];
  return [["health", paint.yellow(`port ${port.port} is not open: ${port.why}`)]];
}

const NEVER_USED = "no daemon runs; drover start starts one";

const TEXTS: { readonly [S in HomeState]: (look: Look, home: Home) => string } = {
  running: () => "",
  starting: () => "a daemon is starting and does not answer yet",
  draining: () => "",
  stopping: () => "the daemon is ending",
  stopped: () => NEVER_USED,
  degraded: ({ record }, home) => `pid ${record?.pid} lives and does not answer; look at ${home.logFile}`,
  unmanaged: (_look, home) => `an unknown process holds ${home.daemonLock}; find it with fuser or lsof`,
  crashed: ({ record }) =>
    record
      ? `the daemon (pid ${record.pid}) ended without saying so; drover start recovers its tasks`
      : "the record of the daemon is damaged and nobody holds the home; drover start mends that",
};

/** Nobody answers: lock, record and the process it names tell the rest. */
async function showSilent(
  context: CommandContext,
  home: Home,
  { state, look }: { state: HomeState; look: Look },
): Promise<number> {
  // Loaded here, as a daemon that answers says all there is to say.
  const { readLifecycle } = await import("../../lifecycle/lifecycle_file.ts");
  const { desired, operation, breaker } = await readLifecycle(context.host.files, home);
  const text = [TEXTS[state](look, home)];
  if (state === "stopped" && desired?.state === "stopped") text.push(`(since drover ${desired.by} at ${desired.at})`);
  if (operation && desired?.state !== "stopped") text.push("(a restart was cut off; drover start completes it)");
  const paused = await pausedHere(context, home);
  if (paused) text.push(`(${pauseText(paused, context.host.clock.now())})`);
  const position = breakerPosition(breaker, context.host.clock.now());
  if (position.kind !== "closed") text.push("(its last starts failed)");
  const live = look.observation.record.kind === "live" ? look.record?.pid : undefined;
  const rest = { pid: live, desired, operation, breaker: position, paused };
  return showAbsent(context, home, { state, text: text.join(" "), ...rest, update: await updateOf(context, home) });
}

/** Said to daemons that are not there yet. */
async function pausedHere({ host }: CommandContext, home: Home): Promise<PauseView | null> {
  const { readClaimPause } = await import("../../app/claims_file.ts");
  const pause = await readClaimPause(host.files, home, host.clock.now());
  return pause ? personView(pause) : null;
}

interface Absence {
  readonly state: HomeState;
  readonly text: string;
  readonly pid?: number;
  readonly desired?: Desired | null;
  readonly operation?: Operation | null;
  readonly breaker?: BreakerPosition;
  readonly paused?: PauseView | null;
  readonly update?: UpdateView;
}

function away(now: number) {
  return { since: (at: number) => since(now - at), until: (at: number) => since(Math.max(0, at - now)) };
}

function showAbsent({ host, output }: CommandContext, home: Home, absence: Absence): number {
  const { state, text, pid = null, desired = null, operation = null, paused = null } = absence;
  const { breaker = { kind: "closed" } } = absence;
  const { root, logFile } = home;
  output.result(
    {
      ...{ state, pid, cliVersion: BUILD.version, home: root, log: logFile, desired, operation, breaker, paused },
      update: absence.update ?? null,
    },
    () => {
      output.line(`${paint.bold(state)}: ${text}`);
      for (const [name, value] of updateRows(absence.update, away(host.clock.now()))) {
        output.line(`${name}: ${value}`);
      }
      output.line(`home: ${root}`);
    },
  );
  return state === "stopped" || state === "crashed" ? EXIT_CODES.notRunning.code : EXIT_CODES.busy.code;
}

function since(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const units: readonly (readonly [number, string])[] = [[86_400, "d"], [3_600, "h"], [60, "min"]];
  const unit = units.find(([size]) => seconds >= size);
  return unit ? `${Math.floor(seconds / unit[0])} ${unit[1]}` : `${seconds} s`;
}
