/** What a daemon tells of its health: all that describes it and its work, nothing secret, in the words of Multica's daemon where it has them. */
import type { Home } from "../core/home.ts";
import type { Phase } from "../core/phase.ts";
import { DEFAULT_PROFILE, profileOf } from "../core/profile.ts";
import { redactValue } from "../core/redact.ts";
import type { PauseView } from "../core/runtime_pause.ts";
import type { DaemonStatus, ReloadPending } from "../daemon/status.ts";
import type { Pidfile } from "../lifecycle/pidfile.ts";
import type { Hello } from "../wire/control.ts";

export type HealthPort =
  | { readonly kind: "off" }
  | { readonly kind: "listening"; readonly port: number }
  /** The daemon goes on without it; `why` is for people. */
  | { readonly kind: "failed"; readonly port: number; readonly why: string };

/** Read anew for each answer. */
export interface HealthFacts {
  readonly home: Home;
  readonly hello: Hello;
  readonly status: DaemonStatus;
  readonly record: Pick<Pidfile, "binary" | "digest" | "controlSocket" | "startReason" | "launch">;
  readonly daemonId: string;
  readonly deviceName: string;
  readonly os: string;
  readonly port: HealthPort;
  /** Of the team server; absent or empty without one. */
  readonly serverUrl?: string;
  /** Wall clock, ms since 1970. */
  readonly now: number;
}

/** `GET /health`. Fields are only ever added. Times are RFC 3339, durations ms unless the name is Multica's. */
export interface HealthView {
  readonly status: "starting" | "running" | "draining" | "stopping";
  /** The same, with `degraded` for a daemon that runs and cannot do all of its work. */
  readonly state: HealthView["status"] | "degraded";
  readonly pid: number;
  readonly os: string;
  /** Whole seconds as Go writes them, such as `1h2m3s`. */
  readonly uptime: string;
  readonly uptime_ms: number;
  readonly started_at: string;
  /** Empty for the plain home; there in any case, so that nobody takes one daemon for another. */
  readonly profile: string;
  readonly home: string;
  readonly daemon_id: string;
  readonly device_name: string;
  /** Empty while the daemon works for its own queue alone. */
  readonly server_url: string;
  /** Of the program that runs, as is `daemon_version`. */
  readonly cli_version: string;
  readonly daemon_version: string;
  readonly protocol: number;
  readonly instance: string;
  readonly mode: Hello["mode"];
  readonly binary: string;
  /** SHA-256 of the binary in hex; empty until it has been read. */
  readonly digest: string;
  readonly control_socket: string;
  readonly log: string;
  readonly start_reason: Pidfile["startReason"];
  readonly supervisor: Pidfile["launch"]["supervisor"];
  readonly active_task_count: number;
  readonly running_task_count: number;
  readonly resource_wait_task_count: number;
  readonly slots: DaemonStatus["slots"];
  readonly holding: DaemonStatus["holding"];
  /** Why no agent gets tasks for now; `until` is null where a person or a plug has to help. */
  readonly paused: NonNullable<HealthView["runtimes"][number]["paused"]> | null;
  readonly today: DaemonStatus["today"];
  readonly waiting_for: DaemonStatus["waitingFor"];
  readonly tasks: readonly { id: string; agent: string; provider: string; stage: string; since: string }[];
  readonly agents: readonly string[];
  readonly skipped_agents: Readonly<Record<string, string>>;
  readonly workspaces: readonly { id: string; runtimes: readonly string[] }[];
  readonly runtimes: readonly {
    id: string;
    provider: string;
    version: string;
    workspace: string;
    connection: string;
    /** Of its program: the first 12 hex digits of its SHA-256, and since when it is so; where it is watched. */
    digest?: string;
    since?: string;
    /** Of its files, while something is going on with them. */
    state?: string;
    /** Why it gets no tasks for now; `until` is null where somebody has to log in. */
    paused?: { kind: string; since: string; until: string | null; why: string; how: string };
  }[];
  readonly connections: readonly { name: string; state: string; why: string; dropped_batches: number }[];
  readonly outbox: DaemonStatus["outbox"];
  readonly reload_pending: ReloadPendingView | null;
  readonly health_port: HealthPort;
}

/** A replaced program that was not acted upon yet. */
export interface ReloadPendingView {
  readonly since: string;
  readonly reason: ReloadPending["reason"];
  readonly provider: string;
  readonly binary: string;
  readonly oldDigest: string;
  readonly newDigest: string;
  readonly blockedBy: ReloadPending["blockedBy"];
  readonly deadline: string | null;
}

const STATUS: { readonly [K in Phase["kind"]]: HealthView["status"] } = {
  starting: "starting",
  running: "running",
  "reload-pending": "running",
  draining: "draining",
  stopped: "stopping",
};

export function healthView({ home, hello, status, record, ...facts }: HealthFacts): HealthView {
  const runtimes = status.connections.flatMap((connection) =>
    connection.runtimes.map(({ since, paused, ...runtime }) => ({
      ...runtime,
      ...(since === undefined ? {} : { since: new Date(since).toISOString() }),
      ...(paused ? { paused: pausedView(paused) } : {}),
      connection: connection.name,
    }))
  );
  const { profile } = profileOf(home.root);
  const phase = STATUS[hello.phase];
  const degraded = status.outbox.degraded || status.connections.some(({ state }) => state !== "connected");
  const uptimeMs = Math.max(0, facts.now - status.startedAt);
  return redactValue<HealthView>({
    status: phase,
    state: phase === "running" && degraded ? "degraded" : phase,
    pid: hello.pid,
    os: facts.os,
    uptime: goDuration(uptimeMs),
    uptime_ms: uptimeMs,
    started_at: new Date(status.startedAt).toISOString(),
    profile: profile === DEFAULT_PROFILE ? "" : profile,
    home: home.root,
    daemon_id: facts.daemonId,
    device_name: facts.deviceName,
    server_url: facts.serverUrl ?? "",
    cli_version: hello.version,
    daemon_version: hello.version,
    protocol: hello.protocol,
    instance: hello.instance,
    mode: hello.mode,
    binary: record.binary,
    digest: record.digest,
    control_socket: record.controlSocket,
    log: home.logFile,
    start_reason: record.startReason,
    supervisor: record.launch.supervisor,
    active_task_count: status.tasks.length,
    running_task_count: status.tasks.filter(({ pid }) => pid !== null).length,
    resource_wait_task_count: 0,
    slots: status.slots,
    holding: status.holding,
    paused: status.paused && pausedView(status.paused),
    today: status.today,
    waiting_for: status.waitingFor,
    tasks: status.tasks.map(({ task, agent, provider, stage, since }) => ({
      id: task,
      agent,
      provider,
      stage,
      since: new Date(since).toISOString(),
    })),
    agents: [...new Set(runtimes.map(({ provider }) => provider))],
    skipped_agents: Object.fromEntries(status.skipped.map(({ provider, detail }) => [provider, detail])),
    workspaces: workspacesOf(runtimes),
    runtimes,
    connections: status.connections.map(({ name, state, why, droppedBatches }) => ({
      name,
      state,
      why,
      dropped_batches: droppedBatches,
    })),
    outbox: status.outbox,
    reload_pending: pendingView(status.reloadPending),
    health_port: facts.port,
  });
}

function pendingView(pending: ReloadPending | null): ReloadPendingView | null {
  if (!pending) return null;
  const { since, deadline, ...rest } = pending;
  return {
    ...rest,
    since: new Date(since).toISOString(),
    deadline: deadline === null ? null : new Date(deadline).toISOString(),
  };
}

function pausedView(paused: PauseView): NonNullable<HealthView["runtimes"][number]["paused"]> {
  const { since, until, ...rest } = paused;
  return {
    ...rest,
    since: new Date(since).toISOString(),
    until: until === null ? null : new Date(until).toISOString(),
  };
}

function workspacesOf(runtimes: HealthView["runtimes"]): HealthView["workspaces"] {
  const ids = [...new Set(runtimes.map(({ workspace }) => workspace))];
  return ids.map((id) => ({
    id,
    runtimes: runtimes.filter(({ workspace }) => workspace === id).map((runtime) => runtime.id),
  }));
}

function goDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  return `${h > 0 ? `${h}h` : ""}${h > 0 || m > 0 ? `${m}m` : ""}${s}s`;
}
