/** A task as it happens, as server-sent events: what is stored and what comes, without a gap or a repeat between them. */
import { isTerminal, type TaskState } from "../core/task_state.ts";
import type { FOLLOW_EVENTS } from "../wire/control.ts";
import type { Shared } from "./deps.ts";
import { listMessages, viewTask } from "./views.ts";

/** Chunks that may wait for a slow reader; beyond them the database keeps what is to come. */
const HIGH_WATER = 16;
const MESSAGES_PER_CHUNK = 50;
/**
 * A sign of life at least this often: a reader to whom nothing comes can tell a quiet task from a daemon that hangs. A
 * change of which another process did not tell is seen by then, too.
 */
const BEAT_MS = 5_000;

export interface FollowStart {
  readonly id: string;
  /** The last message the reader has; 0 for none. */
  readonly since: number;
}

export interface FollowOptions {
  readonly signal: AbortSignal;
  /** Whether the reader may still read, asked with every sign of life; absent: always. */
  readonly mayStay?: () => Promise<boolean>;
}

/**
 * The body of a `follow` answer. It ends with the task, when the reader leaves (`signal`, or the stream's own cancel) or may
 * not read any more, or when the coordinator closes.
 *
 * Nothing is passed on as it arrives. A change only says "look", and each look reads on from the last message sent: the
 * stored rows are the one source, so there is no border between old and new at which a message is lost or sent twice.
 */
export function followTask(
  deps: Shared,
  start: FollowStart,
  { signal, mayStay }: FollowOptions,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const reader = new TaskReader(deps, start);
  let subscription: Disposable | undefined;
  let beat: Disposable | undefined;
  let leave = () => {};
  /** One look at a time: two would both read what comes after the same message. */
  let looking = false;
  let again = false;

  const unsubscribe = () => {
    beat?.[Symbol.dispose]();
    subscription?.[Symbol.dispose]();
    subscription = undefined;
    signal.removeEventListener("abort", leave);
  };
  const readOn = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
    while (subscription && (controller.desiredSize ?? 0) > 0) {
      const chunk = await reader.next();
      if (chunk === undefined || !subscription) return;
      if (chunk.text) controller.enqueue(encoder.encode(chunk.text));
      if (chunk.last) leave();
    }
  };
  const look = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
    again = true;
    if (looking) return;
    looking = true;
    try {
      while (again) {
        again = false;
        await readOn(controller);
      }
    } catch (error) {
      // The next change or the next beat looks again.
      deps.log.error("A follower of a task could not be served", { task: start.id, error });
    } finally {
      looking = false;
    }
  };

  const askAgain = async () => {
    try {
      if (mayStay && !await mayStay()) leave();
    } catch (error) {
      // Who cannot be asked for is not refused: neither can anything be read for them now.
      deps.log.error("Whether a follower of a task may stay could not be asked", { task: start.id, error });
    }
  };

  const beatOn = (controller: ReadableStreamDefaultController<Uint8Array>) => {
    beat = deps.clock.after(BEAT_MS, () => {
      void askAgain();
      if ((controller.desiredSize ?? 0) > 0) controller.enqueue(encoder.encode(":\n\n"));
      beatOn(controller);
      void look(controller);
    });
  };

  return new ReadableStream<Uint8Array>({
    start(controller) {
      leave = () => {
        if (!subscription) return;
        unsubscribe();
        controller.close();
      };
      subscription = deps.topics.follow(start.id, { changed: () => void look(controller), closed: leave });
      beatOn(controller);
      if (signal.aborted) leave();
      else signal.addEventListener("abort", leave, { once: true });
    },
    pull: look,
    cancel: unsubscribe,
  }, { highWaterMark: HIGH_WATER });
}

/** What a reader is told anew when it changes. */
interface TaskFacts {
  readonly status: TaskState;
  readonly work_dir: string | null;
  readonly session_id: string | null;
}

/** What is to be sent next, judged from the stored rows and what was sent before. */
class TaskReader {
  readonly #deps: Shared;
  readonly #id: string;
  #lastSeq: number;
  #lastFacts: string | undefined;

  constructor(deps: Shared, start: FollowStart) {
    this.#deps = deps;
    this.#id = start.id;
    this.#lastSeq = start.since;
  }

  /** The task as it is, then messages, then its changes of state and place, then its end; `undefined` when there is nothing new. */
  async next(): Promise<{ text: string; last: boolean } | undefined> {
    const row = await this.#deps.store.get<TaskFacts>("SELECT status, work_dir, session_id FROM tasks WHERE id = :id", {
      id: this.#id,
    });
    if (!row) return { text: "", last: true };
    const facts = `${row.status} ${row.session_id} ${row.work_dir}`;
    if (this.#lastFacts !== undefined) {
      const messages = await this.#messages();
      if (messages) return { text: messages, last: false };
      if (facts === this.#lastFacts) {
        return isTerminal(row.status) ? { text: await this.#task("end"), last: true } : undefined;
      }
    }
    this.#lastFacts = facts;
    return { text: await this.#task("task"), last: false };
  }

  async #messages(): Promise<string> {
    const messages = await listMessages(this.#deps, { id: this.#id, since: this.#lastSeq, limit: MESSAGES_PER_CHUNK });
    this.#lastSeq = messages.at(-1)?.seq ?? this.#lastSeq;
    return messages.map((message) => frame("message", message, message.seq)).join("");
  }

  async #task(event: "task" | "end"): Promise<string> {
    return frame(event, await viewTask(this.#deps, this.#id));
  }
}

function frame(event: typeof FOLLOW_EVENTS[number], data: unknown, id?: number): string {
  return `event: ${event}\n${id === undefined ? "" : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`;
}
