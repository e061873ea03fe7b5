/** The tasks of the fake Multica server: the states of the protocol, and a refusal of every move that is none. */

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
  usage: unknown[];
  session_id: string;
  work_dir: string;
  output: string;
  error: string;
  failure_reason: string;
  cancelAcks: number;
}

const ACTIVE: readonly TaskStatus[] = ["dispatched", "running", "waiting_local_directory"];
const TERMINAL: readonly TaskStatus[] = ["completed", "failed", "cancelled"];
const RETRIED = ["runtime_offline", "runtime_recovery", "timeout", "agent_error.provider_network"];
const REDELIVER_MS = 90_000;
const LEASE_MS = 45_000;

export class FakeTasks {
  readonly all = new Map<string, FakeTask>();
  readonly #now: () => number;
  readonly #old: boolean;

  constructor(options: { now: () => number; old: boolean }) {
    this.#now = options.now;
    this.#old = options.old;
  }

  get(id: string): FakeTask {
    const task = this.all.get(id);
    if (!task) throw new Error(`The fake server has no task ${id}`);
    return task;
  }

  add(
    place: { runtime_id: string; workspace_id: string },
    more: Record<string, unknown> = {},
    attempt = 1,
  ): FakeTask {
    const task: FakeTask = {
      ...place,
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
      cancelAcks: 0,
    };
    this.all.set(task.id, task);
    return task;
  }

  /** Those that a claim hands out, stale deliveries first. */
  claim(runtimes: readonly string[], max: number): FakeTask[] {
    const mine = [...this.all.values()].filter(({ runtime_id }) => runtimes.includes(runtime_id));
    const stale = this.#old ? [] : mine.filter((task) => this.#isLost(task));
    const fresh = mine.filter(({ status }) => status === "queued");
    return [...stale, ...fresh].slice(0, max).map((task) => {
      task.status = "dispatched";
      task.dispatchedAt = this.#now();
      task.leaseUntil = this.#now() + LEASE_MS;
      task.claims++;
      task.token = this.#old ? "" : `mat_${crypto.randomUUID().replaceAll("-", "")}01234567`;
      return task;
    });
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
    task.status = "completed";
    task.output = String(body.output ?? "");
    // Absent overwrites.
    task.session_id = String(body.session_id ?? "");
    task.work_dir = String(body.work_dir ?? "");
  }

  fail(task: FakeTask, body: Record<string, unknown>): void {
    if (!ACTIVE.includes(task.status)) return;
    task.status = "failed";
    task.error = String(body.error ?? "");
    task.failure_reason = String(body.failure_reason ?? "") || "agent_error.unknown";
    task.session_id = String(body.session_id || task.session_id);
    task.work_dir = String(body.work_dir || task.work_dir);
    if (RETRIED.includes(task.failure_reason) && task.attempt < 2) this.#repeat(task);
  }

  #repeat(task: FakeTask): void {
    const resume = { prior_session_id: task.session_id, prior_work_dir: task.work_dir };
    this.add(task, { ...task.more, ...resume, parent_task_id: task.id }, task.attempt + 1);
  }

  cancel(task: FakeTask): void {
    if (!TERMINAL.includes(task.status)) task.status = "cancelled";
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
      agent_id: "44444444-4444-4444-8444-444444444444",
      runtime_id: task.runtime_id,
      workspace_id: task.workspace_id,
      issue_id: "55555555-5555-4555-8555-555555555555",
      thread_name: "A title",
      status: task.status,
      kind: "direct",
      attempt: task.attempt,
      leader_role_resolved: true,
      agent: {
        id: "44444444-4444-4444-8444-444444444444",
        name: "Bot",
        instructions: "Be brief.",
        skills: [],
        custom_env: {},
        custom_args: [],
      },
      ...(this.#old ? {} : { auth_token: task.token }),
      ...task.more,
    };
  }
}
