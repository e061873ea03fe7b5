/** What an agent asks of a person during one run: each question until it is answered, or nobody answers in time. */
import type { AgentMessage, PermissionDecision, PermissionRequest } from "../core/message.ts";
import type { Clock, Random } from "../core/ports.ts";
import { redactText } from "../core/redact.ts";

/** A person may be at lunch; an agent that waits costs nothing but its slot. */
export const ANSWER_LIMIT_MS = 10 * 60_000;

/** As people see it; what would be done in full stands in the task's messages. */
export interface PendingPermission extends Omit<PermissionRequest, "input"> {
  readonly requestId: string;
  /** Ms since 1970. */
  readonly since: number;
  /** When it counts as refused, in ms since 1970. */
  readonly until: number;
}

export interface PermissionAnswer extends PermissionDecision {
  /** The tool may be used without asking again for the rest of the run. */
  readonly always?: boolean;
}

export interface Permissions extends Disposable {
  /** Never rejects. */
  ask(request: PermissionRequest, withdrawn?: AbortSignal): Promise<PermissionDecision>;
  /** False when there is no such question any more. */
  answer(requestId: string, answer: PermissionAnswer): boolean;
  readonly pending: readonly PendingPermission[];
}

export interface PermissionsOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Tells those who follow the task. */
  readonly say: (message: AgentMessage) => void;
  /** How long a question waits, in ms; the default is `ANSWER_LIMIT_MS`. */
  readonly limitMs?: number | undefined;
}

/** Of one run; disposing of it refuses what is still asked, and what is asked after it. */
export function createPermissions(options: PermissionsOptions): Permissions {
  return new OpenQuestions(options);
}

interface Question {
  readonly pending: PendingPermission;
  readonly settle: (decision: PermissionDecision) => void;
}

const OVER: PermissionDecision = { allow: false, why: "the run is over" };

class OpenQuestions implements Permissions {
  readonly #options: PermissionsOptions;
  readonly #open = new Map<string, Question>();
  readonly #always = new Set<string>();
  #over = false;

  constructor(options: PermissionsOptions) {
    this.#options = options;
  }

  get pending(): readonly PendingPermission[] {
    return [...this.#open.values()].map(({ pending }) => pending);
  }

  async ask(request: PermissionRequest, withdrawn?: AbortSignal): Promise<PermissionDecision> {
    const { clock, random, say, limitMs = ANSWER_LIMIT_MS } = this.#options;
    if (this.#over || withdrawn?.aborted) return OVER;
    if (this.#always.has(request.tool)) return { allow: true, why: `${request.tool} was allowed for this run` };
    const requestId = random.uuid();
    const { promise, resolve: settle } = Promise.withResolvers<PermissionDecision>();
    const { tool, callId, title } = request;
    const since = clock.now();
    const pending = { tool, callId, title: redactText(title), requestId, since, until: since + limitMs };
    this.#open.set(requestId, { pending, settle });
    say({ kind: "permission-request", requestId, ...request });
    const refuse = (why: string) => void this.answer(requestId, { allow: false, why });
    using _limit = clock.after(limitMs, () => refuse(`nobody answered within ${Math.round(limitMs / 1000)} s`));
    const withdraw = () => refuse("the agent withdrew its question");
    withdrawn?.addEventListener("abort", withdraw, { once: true });
    try {
      return await promise;
    } finally {
      withdrawn?.removeEventListener("abort", withdraw);
    }
  }

  answer(requestId: string, { allow, why, always }: PermissionAnswer): boolean {
    const question = this.#open.get(requestId);
    if (!question) return false;
    this.#open.delete(requestId);
    const { tool, callId } = question.pending;
    question.settle({ allow, why });
    this.#options.say({ kind: "permission-answer", requestId, callId, allow, why });
    // A tool without a name could be any.
    if (allow && always && tool !== "") this.#allowAlways(tool, why);
    return true;
  }

  #allowAlways(tool: string, why: string): void {
    this.#always.add(tool);
    const same = this.pending.filter((one) => one.tool === tool);
    for (const { requestId } of same) this.answer(requestId, { allow: true, why });
  }

  [Symbol.dispose](): void {
    this.#over = true;
    for (const requestId of this.#open.keys()) this.answer(requestId, OVER);
  }
}
