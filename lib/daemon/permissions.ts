/** What an agent asks of a person during one run: each question until it is answered, or nobody answers in time. */
import type { AgentMessage, PermissionDecision, PermissionRequest } from "../core/message.ts";
import type { Clock, Random } from "../core/ports.ts";

/** A person may be at lunch; an agent that waits costs nothing but its slot. */
export const ANSWER_LIMIT_MS = 10 * 60_000;

export interface PendingPermission extends PermissionRequest {
  readonly requestId: string;
  /** Ms since 1970. */
  readonly since: number;
}

export interface Permissions extends Disposable {
  /** Never rejects. */
  ask(request: PermissionRequest): Promise<PermissionDecision>;
  /** False when there is no such question any more. */
  answer(requestId: string, decision: PermissionDecision): boolean;
  readonly pending: readonly PendingPermission[];
}

export interface PermissionsOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Tells those who follow the task. */
  readonly say: (message: AgentMessage) => void;
  /** How long a question waits, in ms; the default is `ANSWER_LIMIT_MS`. */
  readonly limitMs?: number;
}

/** Of one run; disposing of it refuses what is still asked. */
export function createPermissions(options: PermissionsOptions): Permissions {
  const { clock, random, say, limitMs = ANSWER_LIMIT_MS } = options;
  const open = new Map<string, { pending: PendingPermission; settle: (decision: PermissionDecision) => void }>();
  const answer = (requestId: string, decision: PermissionDecision): boolean => {
    const one = open.get(requestId);
    if (!one) return false;
    open.delete(requestId);
    one.settle(decision);
    say({ kind: "permission-answer", requestId, callId: one.pending.callId, ...decision });
    return true;
  };
  return {
    async ask(request) {
      const requestId = random.uuid();
      const { promise, resolve: settle } = Promise.withResolvers<PermissionDecision>();
      open.set(requestId, { pending: { ...request, requestId, since: clock.now() }, settle });
      say({ kind: "permission-request", requestId, ...request });
      using _limit = clock.after(
        limitMs,
        () => void answer(requestId, { allow: false, why: `nobody answered within ${Math.round(limitMs / 1000)} s` }),
      );
      return await promise;
    },
    answer,
    get pending() {
      return [...open.values()].map(({ pending }) => pending);
    },
    [Symbol.dispose]() {
      for (const requestId of open.keys()) answer(requestId, { allow: false, why: "the run is over" });
    },
  };
}
