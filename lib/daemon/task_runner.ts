/** The task runner: one claimed task from directory to outcome, with exactly one report and no process left behind. */
import type { Backend } from "../agents/backend.ts";
import { agentEnv } from "../core/agent_env.ts";
import type { Home } from "../core/home.ts";
import { LEASE } from "../core/lease.ts";
import { type AgentMessage, type Outcome, StopError, type StopReason, stopReasonOf } from "../core/message.ts";
import { type AgentTask, runtimeKey } from "../core/model.ts";
import type { Child, Clock, Env, Files } from "../core/ports.ts";
import type { Logger, Processes, Random } from "../core/ports.ts";
import { runAgent } from "./agent_run.ts";
import { agentTaskOf, withoutSession } from "./agent_task.ts";
import type { BinaryWatch } from "./binary_watch.ts";
import type { ClaimedTask, WireMessage } from "../wire/payloads.ts";
import type { Connection, RegisteredRuntime } from "./connection.ts";
import { createPump, type MessagePump } from "./message_pump.ts";
import type { Outbox, OutboxKind } from "./outbox.ts";
import { createPermissions, type PendingPermission, type PermissionAnswer, type Permissions } from "./permissions.ts";
import type { Slot } from "./pool.ts";
import { reportOf, usageBody } from "./report.ts";
import { createRunLimits, type RunLimits, type RunLimitSettings } from "./run_limits.ts";
import { createStatusWatch, type StatusWatch, stopReasonFor } from "./status_watch.ts";
import { waitForProgram } from "./task_launch.ts";
import { type PlaceOptions, takePlace, type TaskPlace } from "./task_place.ts";
import { reportStart } from "./task_start.ts";
import { createTranscript, type Transcript } from "./transcript.ts";
import type { Workdir } from "./workdir.ts";

/** What all runs of a daemon share. */
export interface RunnerContext extends RunLimitSettings, Pick<PlaceOptions, "locks" | "surfaceOf"> {
  readonly home: Home;
  readonly clock: Clock;
  readonly random: Random;
  readonly files: Files;
  readonly processes: Processes;
  readonly log: Logger;
  readonly outbox: Outbox;
  /** Of a provider of the table. */
  readonly backendFor: (provider: string) => Backend;
  /** Environment that agents inherit. */
  readonly env: () => Env;
  readonly sessionVariables: readonly string[];
  /** Whether an agent CLI can be started; absent where nobody watches them. */
  readonly launchable?: BinaryWatch["launchable"];
  /** Beginning of the mark of every process this instance starts; the task id follows. */
  readonly markPrefix: string;
  /** How a run ended, before anybody is told; `since`: when it began, in ms since 1970. */
  readonly onOutcome?: (run: { provider: string; outcome: Outcome; since: number }) => void;
  /** How long an agent's question waits for a person, in ms. */
  readonly askTimeoutMs?: number;
  /** Which inherited secrets the agents of a provider may see. */
  readonly secretsFor?: (provider: string) => readonly string[];
}

export type RunStage = "preparing" | "waiting" | "starting" | "running" | "reporting";

export interface RunView {
  readonly task: string;
  readonly agent: string;
  readonly provider: string;
  /** Which of the machine's runtimes, see `runtimeKey`. */
  readonly runtime: string;
  readonly stage: RunStage;
  readonly slot: number;
  readonly since: number;
  readonly pid: number | null;
  readonly messages: number;
  readonly workdir: string;
  /** What the agent waits for a person with. */
  readonly asks: readonly PendingPermission[];
}

export interface TaskRun {
  /** Resolves when the report is durable and delivered (or given up waiting for), and every process is gone. */
  readonly done: Promise<void>;
  /** Something about the task may have changed on the server: look now. */
  checkStatus(): void;
  stop(reason: StopReason): void;
  /** A person's word on a question of the agent's; false when there is no such question any more. */
  answer(requestId: string, answer: PermissionAnswer): boolean;
  view(): RunView;
}

/** How long a slot waits for its report to be delivered before the outbox carries it on alone. */
const DELIVERY_WAIT_MS = 30_000;

export function runTask(
  context: RunnerContext,
  claim: { task: ClaimedTask; connection: Connection; slot: Slot },
): TaskRun {
  return new Run(context, claim.task, claim.connection, claim.slot);
}

class Run implements TaskRun {
  readonly done: Promise<void>;
  readonly #context: RunnerContext;
  readonly #task: ClaimedTask;
  readonly #connection: Connection;
  readonly #slot: Slot;
  readonly #stop = new AbortController();
  readonly #pump: MessagePump;
  readonly #transcript: Transcript;
  readonly #since: number;
  #registered: RegisteredRuntime | undefined;
  #workdir: Workdir = { path: "", reused: false };
  #place: TaskPlace | undefined;
  #stage: RunStage = "preparing";
  #child: Child | undefined;
  #permissions: Permissions | undefined;
  /** The session that was to be continued and could not be. */
  #retiredSession = "";
  readonly #watch: StatusWatch;

  constructor(context: RunnerContext, task: ClaimedTask, connection: Connection, slot: Slot) {
    this.#context = context;
    this.#task = task;
    this.#connection = connection;
    this.#slot = slot;
    this.#since = context.clock.now();
    this.#transcript = createTranscript(`${context.home.transcripts}/${encodeURIComponent(task.id)}.jsonl`, context);
    this.#pump = createPump({
      clock: context.clock,
      emit: (messages) => this.#emit(messages),
      onSession: (id) => this.#put("session", { session_id: id, work_dir: this.#workdir.path }),
    });
    this.#watch = createStatusWatch(connection.client, task.id, {
      clock: context.clock,
      onStop: (reason) => this.stop(reason),
    });
    this.done = this.#run();
  }

  checkStatus(): void {
    this.#watch.look();
  }

  stop(reason: StopReason): void {
    if (!this.#stop.signal.aborted) this.#stop.abort(new StopError(reason));
  }

  answer(requestId: string, answer: PermissionAnswer): boolean {
    return this.#permissions?.answer(requestId, answer) ?? false;
  }

  view(): RunView {
    return {
      task: this.#task.id,
      agent: this.#task.agent?.name ?? "",
      provider: this.#registered?.runtime.provider ?? "",
      runtime: this.#registered ? runtimeKey(this.#registered.runtime) : "",
      stage: this.#stage,
      slot: this.#slot.index,
      since: this.#since,
      pid: this.#child?.pid ?? null,
      messages: this.#pump.count,
      workdir: this.#workdir.path,
      asks: this.#permissions?.pending ?? [],
    };
  }

  async #run(): Promise<void> {
    const { log, clock } = this.#context;
    const task = this.#task.id;
    using _slot = this.#slot;
    try {
      const outcome = await this.#outcome();
      this.#stage = "reporting";
      if (outcome) this.#context.onOutcome?.({ provider: this.view().provider, outcome, since: this.#since });
      if (outcome) await this.#report(outcome);
    } catch (error) {
      // A defect of ours must not leave the task without an outcome.
      log.error("run failed unexpectedly", { task, error: (error as Error).stack ?? String(error) });
      await this.#child?.stop().catch((why) => log.error("agent could not be ended", { task, error: String(why) }));
      this.#pump.close();
      this.#put("fail", { error: `The run failed inside drover: ${(error as Error).message}` });
    }
    this.#pump.close();
    await this.#transcript.close();
    await this.#settle();
    log.info("task left its slot", { task, ms: clock.now() - this.#since });
  }

  /** The slot stays taken until the server knows, so that its caps and ours agree; on disk is enough after a while. */
  async #settle(): Promise<void> {
    const { outbox } = this.#context;
    const { delivery } = this.#connection;
    while (!(await delivery.settled(this.#task.id, { timeoutMs: DELIVERY_WAIT_MS }))) {
      if (delivery.closed || !outbox.degraded || outbox.persist()) return;
    }
  }

  /** `undefined`: nothing was started and nobody is to be told. */
  async #outcome(): Promise<Outcome | undefined> {
    const refusal = this.#identityGate();
    if (refusal) return refusal;
    const scope = new AbortController();
    const background = [this.#watch.run(scope.signal), this.#renewLease(scope.signal)];
    try {
      const prepared = await this.#prepare();
      if (prepared) return prepared;
      // Before the start: while it waits its lease goes on, and if this daemon dies the task was never begun.
      const held = await this.#waitForProgram();
      if (held) return held;
      this.#stage = "starting";
      const verdict = await reportStart(this.#connection.client, this.#task.id, {
        ...this.#context,
        signal: this.#stop.signal,
      });
      if (this.#stop.signal.aborted) return stopped(this.#stop.signal);
      if (verdict.kind === "drop") {
        this.#context.log.warn("task was not started", { task: this.#task.id, why: verdict.why });
        return undefined;
      }
      if (verdict.kind === "unknown") {
        return failed("runtime_recovery", `Nobody could say whether the start was accepted: ${verdict.why}`);
      }
      if (verdict.kind === "refused") return failed("agent_error.unknown", `Start was refused: ${verdict.why}`);
      this.#stage = "running";
      return await this.#execute();
    } finally {
      scope.abort();
      await Promise.all(background);
      await this.#place?.release();
    }
  }

  /** Refuses what must never be run (wire protocol 1.4): a task that is not certainly ours, or without its own token. */
  #identityGate(): Outcome | undefined {
    const { id, workspace_id, agent, agent_id, auth_token, runtime_id } = this.#task;
    // Both ids become names of directories, where "../.." would lead out of the home.
    const plain = [id, workspace_id].every((name) => /^[\w-]+$/.test(name));
    if (!plain || !agent || agent.id !== agent_id || !auth_token.startsWith("mat_")) {
      return failed("invalid_task_identity", "The claim names no workspace, no agent of its own, or no task token");
    }
    this.#registered = this.#connection.runtimes.get(runtime_id);
    if (!this.#registered) return failed("runtime_offline", `This daemon has no runtime ${runtime_id} any more`);
    return undefined;
  }

  async #prepare(): Promise<Outcome | undefined> {
    const { signal } = this.#stop;
    const place = await takePlace(this.#task, {
      ...this.#context,
      connection: this.#connection,
      provider: this.#registered!.runtime.provider,
      signal,
      stop: (reason) => this.stop(reason),
      onStage: (stage) => this.#stage = stage,
    });
    if ("kind" in place) return place;
    this.#place = place;
    this.#workdir = place.workdir;
    return signal.aborted ? stopped(signal) : undefined;
  }

  /** Why its agent cannot be started; nothing when it can. */
  async #waitForProgram(distrust = false): Promise<Outcome | undefined> {
    const { signal } = this.#stop;
    const held = await waitForProgram(runtimeKey(this.#registered!.runtime), { ...this.#context, signal, distrust });
    return signal.aborted ? stopped(signal) : held;
  }

  /** The agent, and once more with a fresh session when the one it was to continue is not there (nothing was done yet). */
  async #execute(): Promise<Outcome> {
    const { clock, askTimeoutMs, random } = this.#context;
    const signal = this.#stop.signal;
    using limits = createRunLimits({
      ...this.#context,
      ...(this.#task.time_limit_ms > 0 ? { timeLimitMs: this.#task.time_limit_ms } : {}),
      waiting: () => (this.#permissions?.pending ?? []).length > 0,
      stop: (reason) => this.stop(reason),
    });
    const say = (message: AgentMessage) => this.#pump.push(message);
    using permissions = createPermissions({ clock, random, say, limitMs: askTimeoutMs });
    this.#permissions = permissions;
    const refuse = () => permissions[Symbol.dispose]();
    signal.addEventListener("abort", refuse, { once: true });
    for (const text of this.#place!.remarks) this.#pump.push({ kind: "error", text });
    const task = this.#place!.dress(agentTaskOf(this.#task, this.#workdir, random.uuid()));
    const outcome = await this.#attempt(task, limits, permissions);
    const fresh = withoutSession(task, outcome);
    if (!fresh || this.#pump.usedTools || signal.aborted) return outcome;
    this.#context.log.info("session was refused, the agent begins a new one", { task: this.#task.id });
    this.#retiredSession = task.resumeSession ?? "";
    this.#pump.forgetSession();
    return await this.#attempt(fresh, limits, permissions);
  }

  async #attempt(task: AgentTask, limits: RunLimits, permissions: Permissions): Promise<Outcome> {
    const { log, launchable, backendFor, markPrefix } = this.#context;
    const { runtime } = this.#registered!;
    return await runAgent({
      ...this.#context,
      backend: backendFor(runtime.provider),
      runtime,
      task,
      env: (adapter) => this.#environment({ ...adapter, ...this.#place!.env }),
      mark: `${markPrefix}${this.#task.id}`,
      signal: this.#stop.signal,
      ask: (request, withdrawn) => permissions.ask(request, withdrawn),
      ...(launchable ? { wait: (distrust: boolean) => this.#waitForProgram(distrust) } : {}),
      onStarted: (child) => {
        this.#child = child;
        // Said now and not with the session, which some agents reveal only at their end.
        this.#put("session", { session_id: "", work_dir: this.#workdir.path });
        log.info("agent started", { task: this.#task.id, provider: runtime.provider, pid: child.pid });
      },
      onMessage: (message) => {
        limits.saw(message);
        this.#pump.push(message);
      },
      // Its time does not run on while it leaves.
      onOutcome: (outcome) => {
        if (!withoutSession(task, outcome)) limits[Symbol.dispose]();
      },
    });
  }

  #environment(adapter: Env): Env {
    const { env, sessionVariables, secretsFor, home } = this.#context;
    const { id, agent, workspace_id, auth_token } = this.#task;
    return agentEnv({
      inherited: env(),
      sessionVariables,
      secrets: secretsFor?.(this.#registered!.runtime.provider) ?? [],
      custom: agent?.custom_env ?? {},
      adapter,
      task: {
        DROVER_TASK_ID: id,
        DROVER_TASK_SLOT: String(this.#slot.index),
        DROVER_AGENT_NAME: agent?.name ?? "",
        DROVER_WORKSPACE_ID: workspace_id,
        DROVER_TOKEN: auth_token,
        DROVER_HOME: home.root,
      },
      binDirectory: home.bin,
    });
  }

  async #report(outcome: Outcome): Promise<void> {
    this.#pump.flush();
    if (!this.#stop.signal.aborted) {
      // A task cancelled in the last moments is not completed.
      const reason = await stopReasonFor(this.#connection.client, this.#task.id);
      if (reason) this.stop(reason);
    }
    const report = reportOf({
      outcome,
      ...(this.#stop.signal.aborted ? { stopped: stopReasonOf(this.#stop.signal) } : {}),
      sessionId: this.#pump.sessionId,
      workDir: this.#workdir.path,
      branch: this.#workdir.branch ?? "",
      retiredSession: this.#retiredSession,
    });
    this.#transcript.append([{ outcome: report }]);
    if (report.kind === "nothing") return;
    if (this.#pump.usage.length > 0) {
      this.#put("usage", usageBody(this.#registered?.runtime.provider ?? "", this.#pump.usage));
    }
    this.#put(report.kind, report.body);
  }

  #emit(messages: readonly WireMessage[]): void {
    this.#transcript.append(messages);
    this.#put("messages", { messages }, messages);
  }

  #put(kind: OutboxKind, body: Record<string, unknown>, messages: readonly WireMessage[] = []): void {
    this.#context.outbox.put({
      connection: this.#connection.name,
      workspace: this.#task.workspace_id,
      runtime: this.#task.runtime_id,
      task: this.#task.id,
      kind,
      payload: JSON.stringify(body),
      ...(messages.length > 0 ? { seqFrom: messages[0]!.seq, seqTo: messages.at(-1)!.seq } : {}),
    });
    this.#connection.delivery.kick(this.#task.id);
  }

  async #renewLease(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#context;
    while (!signal.aborted) {
      await clock.sleep(LEASE.renewMs, { signal }).catch(() => {});
      if (signal.aborted || !["preparing", "waiting"].includes(this.#stage)) return;
      const result = await this.#connection.client.prepareLease(this.#task.runtime_id, this.#task.id, { signal });
      if (result.kind !== "ok" && !signal.aborted) {
        log.warn("prepare lease was not renewed", { task: this.#task.id, why: result.detail });
      }
    }
  }
}

function failed(reason: Extract<Outcome, { kind: "failed" }>["reason"], detail: string): Outcome {
  return { kind: "failed", reason, detail };
}

function stopped(signal: AbortSignal): Outcome {
  return failed("cancelled", `The run was stopped: ${stopReasonOf(signal).kind}`);
}
