/** The tasks of the fake Multica server: the states of the protocol, whose turn it is, and a refusal of every move that is none. */

export type TaskStatus =
  | "queued"
  | "dispatched"
  | "running"
  | "waiting_local_directory"
  | "completed"
  | "failed"
  | "cancelled";

export interface FakeTask {
  readonly id: string;
  readonly runtime_id: string;
  readonly workspace_id: string;
  readonly agent_id: string;
  /** Empty for one that is about no issue. */
  readonly issue_id: string;
  readonly attempt: number;
  /** Added to the claim as it is. */
  readonly more: Readonly<Record<string, unknown>>;
  status: TaskStatus;
  token: string;
  dispatchedAt: number;
  leaseUntil: number;
  claims: number;
  starts: number;
  messages: { seq: number; type: string; content?: string }[];
  usage: FakeUsage[];
  session_id: string;
  work_dir: string;
  output: string;
  error: string;
  failure_reason: string;
  retired_session_id: string;
  cancelAcks: number;
  /** Counts the ends of all tasks; 0 before its own. */
  ended: number;
}

export interface FakeUsage {
  readonly provider: string;
  readonly model: string;
  readonly input_tokens: number;
  readonly output_tokens: number;
}

const ACTIVE: readonly TaskStatus[] = ["dispatched", "running", "waiting_local_directory"];
const TERMINAL: readonly TaskStatus[] = ["completed", "failed", "cancelled"];
const RETRIED = ["runtime_offline", "runtime_recovery", "timeout", "agent_error.provider_network"];
/** A session that failed like this is not offered again. */
const UNSAFE = ["iteration_limit", "agent_fallback_message", "api_invalid_request", "agent_error.context_overflow"];
const REDELIVER_MS = 90_000;
const LEASE_MS = 45_000;
/** Of whom nobody says which agent is meant. */
const AGENT = "44444444-4444-4444-8444-444444444444";
const MOST = 50;

export class FakeTasks {
  readonly all = new Map<string, FakeTask>();
  /** How many tasks an agent may have in hand, by its id; the most that there may be where nothing is said. */
  readonly caps = new Map<string, number>();
  readonly #now: () => number;
  readonly #old: boolean;
  readonly #onEnd: (task: FakeTask) => void;
  #issues = 0;
  #ends = 0;

  /** `onEnd`: what waited for the end of this one may be claimed. */
  constructor(options: { now: () => number; old: boolean; onEnd?: (task: FakeTask) => void }) {
    this.#now = options.now;
    this.#old = options.old;
    this.#onEnd = options.onEnd ?? (() => {});
  }

  get(id: string): FakeTask {
    const task = this.all.get(id);
    if (!task) throw new Error(`The fake server has no task ${id}`);
    return task;
  }

  /** In its place, where one of the same issue and agent is pending: the one that is there (wire protocol 3.2). */
  add(
    place: { runtime_id: string; workspace_id: string },
    more: Record<string, unknown> = {},
    attempt = 1,
  ): FakeTask {
    const agent_id = (more.agent as { id?: string } | undefined)?.id ?? String(more.agent_id ?? AGENT);
    const issue_id = String(more.issue_id ?? this.#newIssue());
    const pending = [...this.all.values()].find((one) =>
      issue_id !== "" && one.issue_id === issue_id && one.agent_id === agent_id &&
      ["queued", "dispatched"].includes(one.status)
    );
    if (pending) return pending;
    const task: FakeTask = {
      runtime_id: place.runtime_id,
      workspace_id: place.workspace_id,
      agent_id,
      issue_id,
      id: crypto.randomUUID(),
      attempt,
      more,
      status: "queued",
      token: "",
      dispatchedAt: 0,
      leaseUntil: 0,
      claims: 0,
      starts: 0,
      messages: [],
      usage: [],
      session_id: "",
      work_dir: "",
      output: "",
      error: "",
      failure_reason: "",
      retired_session_id: "",
      cancelAcks: 0,
      ended: 0,
    };
    this.all.set(task.id, task);
    return task;
  }

  /** The one of the first enqueued is always the same. */
  #newIssue(): string {
    return `55555555-5555-4555-8555-${555_555_555_555 + this.#issues++}`;
  }

  /** Those that a claim hands out: stale deliveries first, then at most one of each agent (wire protocol 3.3). */
  claim(runtimes: readonly string[], max: number): FakeTask[] {
    const mine = [...this.all.values()].filter(({ runtime_id }) => runtimes.includes(runtime_id));
    const stale = this.#old ? [] : mine.filter((task) => this.#isLost(task));
    const turns = mine.filter((task) => task.status === "queued" && this.#hasTurn(task));
    const fresh = [...Map.groupBy(turns, ({ agent_id }) => agent_id).values()].map(([first]) => first!);
    return [...stale, ...fresh].slice(0, max).map((task) => {
      task.status = "dispatched";
      task.dispatchedAt = this.#now();
      task.leaseUntil = this.#now() + LEASE_MS;
      task.claims++;
      task.token = this.#old ? "" : `mat_${crypto.randomUUID().replaceAll("-", "")}01234567`;
      return task;
    });
  }

  /** Within its agent's cap, and beside no other task of the same issue, chat, or neither. */
  #hasTurn(task: FakeTask): boolean {
    const busy = [...this.all.values()].filter(({ agent_id, status }) =>
      agent_id === task.agent_id && ACTIVE.includes(status)
    );
    if (busy.length >= (this.caps.get(task.agent_id) ?? MOST)) return false;
    const thread = ({ issue_id, more }: FakeTask) => issue_id || `chat ${more.chat_session_id ?? ""}`;
    return task.more.autopilot_run_id !== undefined || busy.every((one) => thread(one) !== thread(task));
  }

  #isLost({ status, dispatchedAt, leaseUntil }: FakeTask): boolean {
    return status === "dispatched" && this.#now() - dispatchedAt >= REDELIVER_MS && this.#now() >= leaseUntil;
  }

  lease(task: FakeTask): boolean {
    if (task.status !== "dispatched" && task.status !== "waiting_local_directory") return false;
    task.leaseUntil = this.#now() + LEASE_MS;
    return true;
  }

  wait(task: FakeTask): boolean {
    if (task.status !== "dispatched") return false;
    task.status = "waiting_local_directory";
    return this.lease(task);
  }

  start(task: FakeTask): boolean {
    if (task.status !== "dispatched" && task.status !== "waiting_local_directory") return false;
    task.status = "running";
    task.starts++;
    return true;
  }

  complete(task: FakeTask, body: Record<string, unknown>): void {
    if (task.status !== "running") return;
    task.output = String(body.output ?? "");
    // Absent overwrites.
    task.session_id = String(body.session_id ?? "");
    task.work_dir = String(body.work_dir ?? "");
    task.retired_session_id = String(body.retired_session_id ?? "");
    this.#end(task, "completed");
  }

  #end(task: FakeTask, status: TaskStatus): void {
    task.status = status;
    task.ended = ++this.#ends;
    this.#onEnd(task);
  }

  fail(task: FakeTask, body: Record<string, unknown>): void {
    if (!ACTIVE.includes(task.status)) return;
    task.error = String(body.error ?? "");
    task.failure_reason = String(body.failure_reason ?? "") || "agent_error.unknown";
    task.session_id = String(body.session_id || task.session_id);
    task.work_dir = String(body.work_dir || task.work_dir);
    task.retired_session_id = String(body.retired_session_id ?? "");
    // Before anybody hears that it is over: the next attempt is made in the same moment.
    task.status = "failed";
    if (RETRIED.includes(task.failure_reason) && task.attempt < 2) this.#repeat(task);
    this.#end(task, "failed");
  }

  #repeat(task: FakeTask): void {
    const resume = { prior_session_id: task.session_id, prior_work_dir: task.work_dir };
    const { issue_id, agent_id } = task;
    this.add(task, { issue_id, agent_id, ...task.more, ...resume, parent_task_id: task.id }, task.attempt + 1);
  }

  cancel(task: FakeTask): void {
    if (!TERMINAL.includes(task.status)) this.#end(task, "cancelled");
  }

  /** Only while it is in hand, or into the empty place of one that was cancelled. */
  pin(task: FakeTask, { session_id, work_dir }: { session_id?: string; work_dir?: string }): void {
    const open = task.status === "dispatched" || task.status === "running";
    if (!open && (task.status !== "cancelled" || task.session_id !== "")) return;
    task.session_id = session_id || task.session_id;
    task.work_dir = work_dir || task.work_dir;
  }

  /** Of a model that was told of before, the last numbers count. */
  use(task: FakeTask, usage: readonly FakeUsage[]): void {
    const key = ({ provider, model }: FakeUsage) => `${provider} ${model}`;
    const told = new Set(usage.map(key));
    task.usage = [...task.usage.filter((one) => !told.has(key(one))), ...usage];
  }

  /** What the next task of an issue goes on with (wire protocol 3.8). */
  #resume(task: FakeTask): Record<string, string> {
    const past = [...this.all.values()]
      .filter((one) => one.issue_id !== "" && one.issue_id === task.issue_id && one.agent_id === task.agent_id)
      .filter(({ status }) => TERMINAL.includes(status)).toSorted((a, b) => b.ended - a.ended);
    const retired = new Set(past.map(({ retired_session_id }) => retired_session_id));
    const newest = past.find(({ session_id: session }, nth) => {
      const latest = past.findIndex((one) => one.session_id === session);
      return session !== "" && !retired.has(session) && latest === nth && !UNSAFE.includes(past[nth]!.failure_reason);
    });
    if (!newest) return {};
    const { session_id, work_dir } = newest;
    return {
      ...(newest.runtime_id === task.runtime_id ? { prior_session_id: session_id } : {}),
      ...(work_dir ? { prior_work_dir: work_dir } : {}),
    };
  }

  recover(runtime: string): number {
    const orphans = [...this.all.values()].filter((one) => one.runtime_id === runtime && ACTIVE.includes(one.status));
    for (const task of orphans) this.fail(task, { failure_reason: "runtime_recovery", error: "daemon restarted" });
    return orphans.length;
  }

  /** As a claim answers it. */
  payload(task: FakeTask): Record<string, unknown> {
    return {
      id: task.id,
      agent_id: task.agent_id,
      runtime_id: task.runtime_id,
      workspace_id: task.workspace_id,
      issue_id: task.issue_id,
      thread_name: "A title",
      status: task.status,
      kind: "direct",
      attempt: task.attempt,
      leader_role_resolved: true,
      agent: {
        id: task.agent_id,
        name: "Bot",
        instructions: "Be brief.",
        skills: [],
        custom_env: {},
        custom_args: [],
      },
      ...this.#resume(task),
      ...(this.#old ? {} : { auth_token: task.token }),
      ...task.more,
    };
  }
}
