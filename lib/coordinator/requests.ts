/** What people ask of a daemon in between: kept until a heartbeat takes it along, once, and until its result is fetched (wire protocol 3.10). */
import { type Deps, inTransaction, type Shared } from "./deps.ts";
import { userTime } from "./records.ts";
import { Refusal } from "./refusal.ts";
import { heartbeat } from "./runtimes.ts";

export type RequestKind = "update" | "models" | "local-skills" | "import";

interface Rules {
  /** How long it waits for a heartbeat. */
  readonly pendingMs: number;
  /** How long its daemon may take. */
  readonly runningMs: number;
  /** From when it was asked; longer than the two together. */
  readonly keptMs: number;
  readonly unknown: string;
}

const UNKNOWN = "request not found";
const SKILLS = { pendingMs: 180_000, runningMs: 60_000, keptMs: 300_000, unknown: UNKNOWN };
const RULES: Readonly<Record<RequestKind, Rules>> = {
  update: { pendingMs: 120_000, runningMs: 150_000, keptMs: 300_000, unknown: "update not found" },
  models: { pendingMs: 30_000, runningMs: 60_000, keptMs: 120_000, unknown: UNKNOWN },
  "local-skills": SKILLS,
  import: SKILLS,
};
const KINDS = Object.keys(RULES) as RequestKind[];

const ID = /^[0-9a-f]{32}$/;
/** With one heartbeat; of everything else one. */
const IMPORTS_AT_ONCE = 10;

interface RequestRecord {
  readonly id: string;
  readonly runtime_id: string;
  readonly kind: RequestKind;
  readonly status: "pending" | "running" | "completed" | "failed" | "timeout";
  /** JSON: what is asked for. */
  readonly input: string;
  /** JSON: what came of it. */
  readonly result: string | null;
  readonly created_at: number;
  readonly handed_at: number | null;
  readonly ended_at: number | null;
}

const ADD = `
INSERT INTO requests (id, runtime_id, kind, status, input, created_at)
VALUES (:id, :runtime, :kind, 'pending', :input, :now)`;

const OPEN =
  "SELECT * FROM requests WHERE runtime_id = :runtime AND kind = :kind AND (status = 'pending' OR status = 'running')";
const PENDING = "SELECT * FROM requests WHERE runtime_id = :runtime AND status = 'pending' ORDER BY created_at, rowid";

/** Of all who see it waiting, in whatever process, one takes it. */
const HAND_OUT = `
UPDATE requests SET status = 'running', handed_at = :now WHERE id = :id AND status = 'pending' RETURNING id`;

const END = `
UPDATE requests SET status = :status, result = :result, ended_at = :now
WHERE id = :id AND (status = 'pending' OR status = 'running')`;

export type Input = Readonly<Record<string, unknown>>;

/** Asks for it. Throws `Refusal` where another update is under way. */
export async function addRequest(
  deps: Deps,
  { runtime, kind, input }: { runtime: string; kind: RequestKind; input: Input },
): Promise<Record<string, unknown>> {
  const id = deps.random.hex(16);
  await inTransaction(deps, async (deps) => {
    // Two that ask at the same time do so one after the other.
    await deps.store.get("SELECT id FROM runtimes WHERE id = :runtime FOR NO KEY UPDATE", { runtime });
    const now = deps.clock.now();
    if (kind === "update") {
      const open = await deps.store.all<RequestRecord>(OPEN, { runtime, kind });
      if (open.some((one) => !isLate(one, now))) throw new Refusal(409, "an update of this runtime is under way");
    }
    await deps.store.run(ADD, { id, runtime, kind, input: JSON.stringify(input), now });
    deps.store.afterCommit(() => deps.wakeups.publish({ kind: "pending-work", runtimeId: runtime }));
  });
  return await viewRequest(deps, { runtime, kind, id });
}

/** As it stands now. Throws `Refusal` (404). */
export async function viewRequest(
  deps: Shared,
  which: { runtime: string; kind: RequestKind; id: string },
): Promise<Record<string, unknown>> {
  const record = await current(deps, which);
  return {
    ...JSON.parse(record.input),
    ...JSON.parse(record.result ?? "{}"),
    id: record.id,
    runtime_id: record.runtime_id,
    status: record.status,
    created_at: userTime(record.created_at),
    updated_at: userTime(record.ended_at ?? record.handed_at ?? record.created_at),
  };
}

/** Too late for one that is over: nothing is changed. Throws `Refusal` (404). */
export async function endRequest(
  deps: Shared,
  which: { runtime: string; kind: RequestKind; id: string },
  end: { status: "completed" | "failed"; result: Input },
): Promise<void> {
  const { id } = await current(deps, which);
  await deps.store.run(END, { id, status: end.status, result: JSON.stringify(end.result), now: deps.clock.now() });
}

/** The row, which is timed out by whoever looks at it too late. */
async function current(
  deps: Shared,
  { runtime, kind, id }: { runtime: string; kind: RequestKind; id: string },
): Promise<RequestRecord> {
  const sql = "SELECT * FROM requests WHERE id = :id AND runtime_id = :runtime AND kind = :kind";
  const record = ID.test(id) ? await deps.store.get<RequestRecord>(sql, { id, runtime, kind }) : undefined;
  if (!record) throw new Refusal(404, RULES[kind].unknown);
  const now = deps.clock.now();
  if (!isLate(record, now)) return record;
  const waited = record.status === "pending"
    ? "the daemon did not ask for it in time"
    : "the daemon did not answer in time";
  await deps.store.run(END, { id, status: "timeout", result: JSON.stringify({ error: waited }), now });
  return await deps.store.get<RequestRecord>(sql, { id, runtime, kind }) ?? record;
}

function isLate({ kind, status, created_at, handed_at }: RequestRecord, now: number): boolean {
  const { pendingMs, runningMs } = RULES[kind];
  if (status === "pending") return now - created_at >= pendingMs;
  return status === "running" && now - (handed_at ?? created_at) >= runningMs;
}

/** A heartbeat and what it is answered with; `undefined` when there is no such runtime any more. */
export async function beatAnswer(
  deps: Shared,
  runtime: string,
  options: { readonly batchImport: boolean },
): Promise<Record<string, unknown> | undefined> {
  const beat = await heartbeat(deps, runtime);
  if (!beat) return undefined;
  return { status: "ok", ...(beat.asked > 0 ? await takeRequests(deps, runtime, options) : {}) };
}

/** Each is in one answer only, whether that arrives or not: nothing is done twice. */
async function takeRequests(
  deps: Shared,
  runtime: string,
  { batchImport }: { readonly batchImport: boolean },
): Promise<Record<string, unknown>> {
  const now = deps.clock.now();
  const taken: Record<RequestKind, Input[]> = { update: [], models: [], "local-skills": [], import: [] };
  for (const record of await deps.store.all<RequestRecord>(PENDING, { runtime })) {
    const { id, kind, input } = record;
    const room = kind === "import" && batchImport ? IMPORTS_AT_ONCE : 1;
    if (taken[kind].length >= room || isLate(record, now)) continue;
    if (await deps.store.get(HAND_OUT, { id, now })) taken[kind].push({ ...JSON.parse(input), id });
  }
  const { update: [update], models: [models], "local-skills": [skills], import: imports } = taken;
  return {
    ...(update ? { pending_update: update } : {}),
    ...(models ? { pending_model_list: models } : {}),
    ...(skills ? { pending_local_skills: skills } : {}),
    ...(imports[0] ? { pending_local_skill_import: imports[0] } : {}),
    ...(imports[0] && batchImport ? { pending_local_skill_imports: imports } : {}),
  };
}

/** What nobody asks for any more. */
export async function purgeRequests(deps: Shared): Promise<void> {
  for (const kind of KINDS) {
    await deps.store.run("DELETE FROM requests WHERE kind = :kind AND created_at < :before", {
      kind,
      before: deps.clock.now() - RULES[kind].keptMs,
    });
  }
}
