/** The task runner: one claimed task from directory to outcome, with exactly one report and no process left behind. */
import { LEASE } from "../core/lease.ts";
import { type AgentMessage, type Outcome, StopError, type StopReason, stopReasonOf } from "../core/message.ts";
import { type AgentTask, runtimeKey } from "../core/model.ts";
import type { Child, Env } from "../core/ports.ts";
import { runAgent } from "./agent_run.ts";
import { agentTaskOf, ownAccount, withoutSession } from "./agent_task.ts";
import type { ClaimedTask, WireMessage } from "../wire/payloads.ts";
import type { Connection, RegisteredRuntime } from "./connection.ts";
import { admit } from "./identity_gate.ts";
import { createPump, type MessagePump } from "./message_pump.ts";
import type { OutboxKind } from "./outbox.ts";
import { createPermissions, type PermissionAnswer, type Permissions } from "./permissions.ts";
import type { Slot } from "./pool.ts";
import { reportOf, usageBody } from "./report.ts";
import { createRunLimits, type RunLimits } from "./run_limits.ts";
import { createStatusWatch, type StatusWatch, stopReasonFor } from "./status_watch.ts";
import { waitForProgram } from "./task_launch.ts";
import { taskEnv } from "./task_env.ts";
import type { TaskPlace } from "./task_place.ts";
import { type PreparationOptions, prepareTask, teamOf } from "./task_preparation.ts";
import type { RunnerContext, RunStage, RunView, TaskRun } from "./task_run.ts";
import { reportStart } from "./task_start.ts";
import { createTranscript, type Transcript } from "./transcript.ts";
import { verdict, wantsNoWork } from "./verdict.ts";
import type { Workdir } from "./workdir.ts";

export type { RunnerContext, RunStage, RunView, TaskRun } from "./task_run.ts";

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
  #task: ClaimedTask;
  readonly #team: PreparationOptions["team"];
  readonly #connection: Connection;
  readonly #slot: Slot;
  readonly #stop = new AbortController();
  readonly #pump: MessagePump;
  readonly #transcript: Transcript;
  readonly #since: number;
  /** On the clock that never goes back. */
  readonly #began: number;
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
    this.#team = teamOf(task, connection);
    this.#connection = connection;
    this.#slot = slot;
    this.#since = context.clock.now();
    this.#began = context.clock.monotonic();
    this.#transcript = createTranscript(`${context.home.transcripts}/${encodeURIComponent(task.id)}.jsonl`, context);
    this.#pump = createPump({
      clock: context.clock,
      emit: (messages) => this.#emit(messages),
      onSession: (id) => this.#put("session", { session_id: id, work_dir: this.#workdir.path }),
      onUsage: (usage) => context.day?.used(task.id, usage),
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
      if (outcome) this.#tell(outcome);
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
    log.info("task left its slot", { task, ms: clock.monotonic() - this.#began });
  }

  /** A key, an account or a command that somebody chose says nothing of the CLI as others use it. */
  #tell(outcome: Outcome): void {
    const runtime = this.#registered?.runtime;
    const secrets = runtime ? this.#context.secretsFor?.(runtime.provider) ?? [] : [];
    if (!runtime || runtime.profile || ownAccount(this.#task, secrets)) return;
    this.#context.onOutcome?.({ provider: runtime.provider, outcome, began: this.#began });
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
    const idle = wantsNoWork(this.#task);
    const able = (provider: string) => this.#context.backendFor(provider).permissions;
    const admitted = admit(this.#task, this.#connection, idle ? {} : { able });
    if (admitted.kind !== "admitted") return admitted;
    this.#registered = admitted.registered;
    this.#task = admitted.task;
    const scope = new AbortController();
    const background = [this.#watch.run(scope.signal), this.#renewLease(scope.signal)];
    try {
      const prepared = idle ? undefined : await this.#prepare();
      if (prepared) return prepared === "drop" ? undefined : prepared;
      // Before the start: while it waits its lease goes on, and if this daemon dies the task was never begun.
      const held = idle ? undefined : await this.#waitForProgram();
      if (held) return held;
      this.#stage = "starting";
      const start = await reportStart(this.#connection.client, this.#task.id, {
        ...this.#context,
        signal: this.#stop.signal,
      });
      if (this.#stop.signal.aborted) return stopped(this.#stop.signal);
      if (start.kind === "drop") return this.#dropped(start.why);
      if (start.kind === "unknown") {
        return failed("runtime_recovery", `Nobody could say whether the start was accepted: ${start.why}`);
      }
      if (start.kind === "refused") return failed("agent_error.unknown", `Start was refused: ${start.why}`);
      if (idle) return this.#nothing();
      this.#stage = "running";
      const outcome = await this.#execute();
      return this.#team ? verdict(this.#task, outcome) : outcome;
    } finally {
      scope.abort();
      await Promise.all(background);
      await this.#place?.release();
    }
  }

  #dropped(why: string): undefined {
    this.#context.log.warn("task was not started", { task: this.#task.id, why });
  }

  /** Its report must keep what the server holds of earlier runs: a completion without them clears them. */
  #nothing(): Outcome {
    const { prior_session_id: sessionId, prior_work_dir: path } = this.#task;
    this.#workdir = { path, reused: false };
    return { kind: "completed", output: "", sessionId };
  }

  async #prepare(): Promise<Outcome | "drop" | undefined> {
    const { signal } = this.#stop;
    const prepared = await prepareTask(this.#task, {
      ...this.#context,
      team: this.#team,
      connection: this.#connection,
      provider: this.#registered!.runtime.provider,
      runtime: this.#registered!.runtime,
      signal,
      stop: (reason) => this.stop(reason),
      onStage: (stage) => this.#stage = stage,
    });
    if (prepared === "drop") this.#dropped("it is not in preparation any more");
    if (prepared === "drop") return prepared;
    if ("kind" in prepared) return prepared;
    this.#task = prepared.task;
    this.#place = prepared.place;
    this.#workdir = prepared.place.workdir;
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
        this.#context.day?.began(this.#task.id);
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
    const { env, secretsFor } = this.#context;
    return taskEnv(this.#task, this.#connection, {
      ...this.#context,
      inherited: env(),
      secrets: secretsFor?.(this.#registered!.runtime.provider) ?? [],
      adapter,
      slot: this.#slot.index,
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
      // As it is registered: what a task says of itself may be spelt otherwise, and its orphans are recovered by this.
      workspace: this.#connection.runtimes.get(this.#task.runtime_id)?.workspace ?? this.#task.workspace_id,
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
