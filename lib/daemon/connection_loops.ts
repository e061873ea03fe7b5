/** All that goes on with one server while the daemon runs: beats, hints, its WebSocket, its workspaces, and what it asks for. */
import type { Runtime } from "../core/model.ts";
import { CAPABILITIES } from "../wire/claim.ts";
import type { Hint } from "../wire/channel.ts";
import { identityHeaders } from "../wire/client.ts";
import { type ChannelLoop, createChannelLoop } from "./channel_loop.ts";
import { openConnection } from "./connect.ts";
import type { Connection } from "./connection.ts";
import type { ConnectionConfig, DaemonOptions } from "./daemon_contract.ts";
import { createHeartbeat, type Heartbeat } from "./heartbeat.ts";
import { createLocalSkills } from "./local_skills.ts";
import type { Outbox } from "./outbox.ts";
import { PendingActions } from "./pending_actions.ts";
import { pingAgent } from "./ping.ts";
import type { ProfileRuntimes } from "./profile_runtimes.ts";
import type { Registration } from "./registration.ts";
import type { Runs } from "./runs.ts";
import { createWorkspaceSync, type WorkspaceSync } from "./workspace_sync.ts";

/** What the daemon lends each of its connections. */
export interface LoopsHost {
  readonly options: DaemonOptions;
  readonly outbox: Outbox;
  readonly runs: () => Pick<Runs, "get" | "checkStatus" | "usesRuntime">;
  /** Tasks in hand, and claims on their way. */
  readonly inFlight: () => { readonly active: number; readonly claims: number };
  readonly holdClaims: () => Disposable;
  /** There may be something to claim. */
  readonly nudge: () => void;
  /** The server knows other runtimes now, or the same ones anew. */
  readonly onRegistered: () => void;
  /** The loop of that name came round. */
  readonly onTurn: (loop: string) => void;
}

/** Between two beats that the server asked for; the status of all tasks is not asked for more often either. */
const HINT_GAP_MS = 1_000;

export class ConnectionLoops {
  readonly connection: Connection;
  /** Custom runtimes of this server's workspaces. */
  readonly profiles: ProfileRuntimes | undefined;
  readonly #host: LoopsHost;
  readonly #config: ConnectionConfig;
  readonly #registration: Registration;
  readonly #heartbeat: Heartbeat;
  readonly #sync: WorkspaceSync;
  readonly #pending: PendingActions;
  readonly #channel: ChannelLoop | undefined;
  readonly #signal: AbortSignal;
  readonly #asked = new Map<string, number>();
  #lookedAt: number | undefined;

  /** Nothing is sent yet. All ends with the signal. */
  constructor(config: ConnectionConfig, host: LoopsHost, signal: AbortSignal) {
    const { options, outbox } = host;
    const { clock, random, getLogger } = options;
    this.#config = config;
    this.#host = host;
    this.#signal = signal;
    const opened = openConnection(config, {
      ...options,
      outbox,
      nudge: host.nudge,
      busy: (id) => host.runs().usesRuntime(id),
      onRegistered: () => (host.onRegistered(), host.nudge()),
    });
    this.connection = opened.connection;
    this.profiles = opened.profiles;
    this.#registration = opened.registration;
    this.#sync = createWorkspaceSync({ ...opened, clock, random });
    this.#pending = this.#makePending();
    this.#heartbeat = createHeartbeat({
      connection: this.connection,
      clock,
      random,
      log: getLogger("heartbeat"),
      onGone: (ids) => this.#heal(ids),
      onAnswer: (id, answer) => this.#pending.take(id, answer),
      isFresh: (id) => this.#channel?.isFresh(id) ?? false,
      onTurn: () => host.onTurn(`heartbeat ${config.name}`),
    });
    const headers = () => identityHeaders({ ...config, ...options, capabilities: CAPABILITIES });
    this.#channel = config.dial && createChannelLoop({
      connection: this.connection,
      dial: config.dial,
      baseUrl: config.baseUrl,
      headers,
      routes: opened.routes,
      clock,
      random,
      log: getLogger("channel"),
      onHint: (hint) => this.#hear(hint),
      onConnected: () => this.#connected(),
    });
  }

  /** Work that comes is told of at this moment, or there is nobody who could have any. */
  get hinted(): boolean {
    const { remote, runtimes } = this.connection;
    return !remote || runtimes.size === 0 || (this.#channel?.open ?? false);
  }

  /** Resolves when the server knows these; claims are made for what it knows before that. */
  offer(runtimes: readonly Runtime[]): Promise<void> {
    return this.#registration.offer(runtimes, { signal: this.#signal });
  }

  /** The same, for whom it is all the same when; a failure is in the log. */
  tellOf(runtimes: readonly Runtime[]): void {
    this.#tell(() => this.offer(runtimes));
  }

  beat(signal: AbortSignal): Promise<void> {
    return this.#heartbeat.beat(signal);
  }

  deregister(signal: AbortSignal): Promise<void> {
    return this.#registration.deregister({ signal });
  }

  async run(): Promise<void> {
    const { consent } = this.#config;
    using _consent = consent?.onChange(() => this.#sync.now());
    await Promise.all([
      this.#listen(),
      this.#heartbeat.run(this.#signal),
      // The server of this process has one workspace, for ever.
      this.connection.remote && this.#sync.run(this.#signal),
      this.#channel?.run(this.#signal),
    ]);
  }

  async #listen(): Promise<void> {
    for await (const wakeup of this.connection.wakeups.subscribe(this.#signal)) {
      if (wakeup.kind === "task-available") this.#host.nudge();
      else if (wakeup.kind === "profiles-changed") this.#checkProfiles();
      else if (wakeup.kind === "pending-work" && wakeup.runtimeId) this.#beatNow(wakeup.runtimeId);
      else if (wakeup.taskId) this.#host.runs().get(wakeup.taskId)?.checkStatus();
    }
  }

  #hear(hint: Hint): void {
    switch (hint.kind) {
      case "ack":
        if (hint.answer.runtime_gone) return this.#heal([hint.answer.runtime_id]);
        return this.#pending.take(hint.answer.runtime_id, hint.answer);
      case "task-available":
        return this.#host.nudge();
      case "profiles-changed":
        return this.#checkProfiles(hint.workspace);
      case "workspaces-changed":
        return this.#sync.now();
      case "pending-work":
        return this.#beatNow(hint.runtime);
    }
  }

  /** Hints of the time before are lost. */
  #connected(): void {
    const now = this.#host.options.clock.monotonic();
    this.#host.nudge();
    this.#sync.now();
    if (this.#lookedAt !== undefined && now - this.#lookedAt < HINT_GAP_MS) return;
    this.#lookedAt = now;
    this.#host.runs().checkStatus();
  }

  #beatNow(runtime: string): void {
    const now = this.#host.options.clock.monotonic();
    const last = this.#asked.get(runtime);
    if (!this.connection.runtimes.has(runtime) || (last !== undefined && now - last < HINT_GAP_MS)) return;
    // Infinitely far away while its answer is awaited.
    this.#asked.set(runtime, Infinity);
    void this.#heartbeat.beat(this.#signal, [runtime]).then(() => this.#asked.set(runtime, now));
  }

  #heal(ids: readonly string[]): void {
    this.#tell(() => this.#registration.heal({ signal: this.#signal, ids }));
  }

  #checkProfiles(workspace?: string): void {
    this.#tell(() => this.#registration.checkProfiles({ signal: this.#signal, ...(workspace ? { workspace } : {}) }));
  }

  /** For what a server is told beside the loops: when it fails, they go on. */
  #tell(tell: () => Promise<void>): void {
    void tell().catch((error) =>
      this.#signal.aborted ||
      this.#host.options.getLogger("daemon").error("registering failed", { error: String(error) })
    );
  }

  #makePending(): PendingActions {
    const { options, inFlight, holdClaims } = this.#host;
    const { clock, files, surroundings, surfaceOf, getLogger, updates, daemonId, instance } = options;
    const log = getLogger("pending");
    const env = () => surroundings.env();
    return new PendingActions({
      connection: this.connection,
      clock,
      log,
      signal: this.#signal,
      inFlight,
      holdClaims,
      ...(updates ? { updates } : {}),
      skillsOf({ provider }) {
        const folder = surfaceOf?.(provider)?.skills;
        const { HOME } = env();
        return folder && HOME ? createLocalSkills(`${HOME}/${folder}`, `~/${folder}`, files, log) : undefined;
      },
      ping: (runtime, signal) =>
        pingAgent(runtime, { ...options, env, log, markPrefix: `${daemonId}:${instance}:` }, signal),
    });
  }
}
