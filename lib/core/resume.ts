/** Which session and directory a new attempt continues: the newest safe one of its thread and agent (wire protocol 3.8). */
import { isResumeUnsafe } from "./failure.ts";

/** One ended task of the thread, of the same agent. */
export interface PastRun {
  readonly runtimeId: string;
  readonly sessionId: string | null;
  readonly workDir: string | null;
  /** `null` unless it failed. */
  readonly failureReason: string | null;
  /** A session that the run found to be unusable. */
  readonly retiredSessionId: string | null;
}

export interface ResumePointer {
  readonly sessionId?: string;
  readonly workDir?: string;
}

/**
 * The pointer for a task about to run on `runtimeId`. `past` comes newest first. A session lives on one machine's
 * runtime, so it is offered only there; the directory is offered regardless.
 */
export function chooseResume(past: readonly PastRun[], runtimeId: string): ResumePointer {
  const unsafe = new Set(past.flatMap((run) => run.retiredSessionId ?? []));
  const judged = new Set<string>();
  for (const run of past) {
    if (run.sessionId === null || run.failureReason === null || judged.has(run.sessionId)) continue;
    judged.add(run.sessionId);
    if (isResumeUnsafe(run.failureReason)) unsafe.add(run.sessionId);
  }
  const newest = past.find((run) => run.sessionId !== null && !unsafe.has(run.sessionId));
  if (!newest) return {};
  return {
    ...(newest.sessionId !== null && newest.runtimeId === runtimeId ? { sessionId: newest.sessionId } : {}),
    ...(newest.workDir !== null ? { workDir: newest.workDir } : {}),
  };
}
