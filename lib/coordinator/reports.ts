/** What a daemon tells about a run besides its moves: messages, usage, the session, progress, and the end of a cancelled one. */
import type * as z from "zod/mini";
import { redactText, redactValue } from "../core/redact.ts";
import type { CancelAckRequest, WireMessage, WireUsage } from "../wire/payloads.ts";
import { inTransaction, type Shared } from "./deps.ts";
import { mayHappen } from "./sql.ts";

/** Of a provider or model; longer ones are cut, so that the tokens count all the same. */
const NAME_LENGTH = 200;

/** Once per (task, seq): a batch of unknown fate may be sent again. */
const ADD_MESSAGE = `
INSERT INTO messages (task_id, seq, type, tool, content, input, output, call_id, created_at)
VALUES (:task, :seq, :type, :tool, :content, :input, :output, :call, :now)
ON CONFLICT (task_id, seq) DO NOTHING`;

/** Totals: the last report replaces what was there. */
const PUT_USAGE = `
INSERT INTO usage
  (task_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd_ticks)
VALUES (:task, coalesce(:provider, (SELECT provider FROM runtimes WHERE id = (SELECT runtime_id FROM tasks WHERE id = :task))),
  :model, :input, :output, :cacheRead, :cacheWrite, :cost)
ON CONFLICT (task_id, provider, model) DO UPDATE SET
  input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
  cache_read_tokens = excluded.cache_read_tokens, cache_write_tokens = excluded.cache_write_tokens,
  cost_usd_ticks = excluded.cost_usd_ticks`;

const PIN_SESSION = `
UPDATE tasks SET session_id = coalesce(:session, session_id), work_dir = coalesce(:workDir, work_dir)
WHERE id = :id AND ${mayHappen("pin-session")} AND (status <> 'cancelled' OR session_id IS NULL)`;

const CANCEL_ACK = `
UPDATE tasks SET branch_name = coalesce(branch_name, :branch), durable_work_dir = coalesce(durable_work_dir, :durable),
  error = coalesce(error, :error), failure_reason = coalesce(failure_reason, :reason)
WHERE id = :id AND ${mayHappen("cancel-ack")}`;

/**
 * All of the batch or none, in any state of the task: the last words of a cancelled run come after its end. Without the
 * secrets in them: drover's own daemon has taken them out, others rely on us.
 */
export async function addMessages(
  deps: Shared,
  taskId: string,
  { messages }: { messages: readonly WireMessage[] },
): Promise<void> {
  await inTransaction(deps, async (deps) => {
    for (const message of messages) {
      await deps.store.run(ADD_MESSAGE, {
        task: taskId,
        seq: message.seq,
        type: message.type,
        tool: message.tool || null,
        content: redactText(message.content) || null,
        input: message.input ? JSON.stringify(redactValue(message.input)) : null,
        output: redactText(message.output) || null,
        call: message.call_id || null,
        now: deps.clock.now(),
      });
    }
    deps.store.afterCommit(() => deps.topics.notify(taskId));
  });
}

export async function putUsage(
  deps: Shared,
  taskId: string,
  { usage }: { usage: readonly WireUsage[] },
): Promise<void> {
  await inTransaction(deps, async (deps) => {
    for (const entry of usage) {
      await deps.store.run(PUT_USAGE, {
        task: taskId,
        provider: entry.provider.slice(0, NAME_LENGTH) || null,
        model: entry.model.slice(0, NAME_LENGTH),
        input: entry.input_tokens,
        output: entry.output_tokens,
        cacheRead: entry.cache_read_tokens,
        cacheWrite: entry.cache_write_tokens,
        cost: entry.cost_usd_ticks,
      });
    }
  });
}

/** So that a crash can resume. Too late is no error. */
export async function pinSession(
  deps: Shared,
  taskId: string,
  pin: { sessionId: string; workDir: string },
): Promise<void> {
  await deps.store.run(PIN_SESSION, { id: taskId, session: pin.sessionId || null, workDir: pin.workDir || null });
  deps.topics.notify(taskId);
}

/** The agent of a cancelled task has stopped. Fills what is still empty. */
export async function acknowledgeCancel(
  deps: Shared,
  taskId: string,
  { ack }: { ack: z.infer<typeof CancelAckRequest> },
): Promise<void> {
  await deps.store.run(CANCEL_ACK, {
    id: taskId,
    branch: ack.branch_name || null,
    durable: ack.durable_work_dir || null,
    error: redactText(ack.error_message) || null,
    reason: ack.failure_reason || null,
  });
}
