/** What is noted beside a work directory for whoever cleans up later: of which task it is, on which server, and when it was used last. */
import { join, relative } from "@std/path";
import { type Files, HostError } from "../core/ports.ts";
import type { ClaimedTask } from "../wire/payloads.ts";
import type { GcSubject } from "../wire/upkeep.ts";
import { TASK_KEY, taskKey, threadKey } from "./workdir.ts";

export interface WorkRecord {
  /** Name of the server's connection. */
  readonly connection: string;
  readonly remote: boolean;
  readonly task: string;
  /** What the directory lives as long as, and its id on the server. */
  readonly subject: GcSubject;
  readonly subjectId: string;
  /** ms since 1970. */
  readonly usedAt: number;
}

const RECORD = ".drover-use.json";

/** The directories below the workspace's that a task may use: its own, its thread's, and the one it goes on in. */
export function rootsOf(task: ClaimedTask, workspaces: string): readonly string[] {
  const base = join(workspaces, task.workspace_id);
  const prior = task.prior_work_dir.startsWith("/") ? relative(base, task.prior_work_dir).split("/")[0]! : "";
  const keys = [taskKey(task.id), prior, threadKey(task)];
  return [...new Set(keys.filter((key) => TASK_KEY.test(key)))].map((key) => join(base, key));
}

/** A chat goes on after its issue, an issue after its task; what has none of these lives as long as the task. */
export function workRecordOf(
  task: ClaimedTask,
  { connection, usedAt }: { connection: { readonly name: string; readonly remote: boolean }; usedAt: number },
): WorkRecord {
  // The embedded server's threads are no issues: they are as old as their newest task.
  const subjects: readonly (readonly [GcSubject, string])[] = connection.remote
    ? [["chat", task.chat_session_id ?? ""], ["autopilot", task.autopilot_run_id ?? ""], ["issue", task.issue_id]]
    : [];
  const [subject, subjectId] = subjects.find(([, id]) => id !== "") ?? ["task", task.id] as const;
  return { connection: connection.name, remote: connection.remote, task: task.id, subject, subjectId, usedAt };
}

/** Into those of the directories that are there. */
export async function noteUse(roots: readonly string[], record: WorkRecord, files: Files): Promise<void> {
  for (const root of roots) {
    if (!(await files.stat(root))?.isDirectory) continue;
    await files.writeAtomic(join(root, RECORD), JSON.stringify(record) + "\n", { sync: false });
  }
}

export async function readUse(root: string, files: Files): Promise<WorkRecord | undefined> {
  try {
    const value = JSON.parse(await files.readText(join(root, RECORD))) as Partial<WorkRecord>;
    const whole = typeof value.connection === "string" && typeof value.task === "string" &&
      typeof value.remote === "boolean" && typeof value.usedAt === "number" && typeof value.subjectId === "string" &&
      ["issue", "chat", "autopilot", "task"].includes(value.subject ?? "");
    return whole ? value as WorkRecord : undefined;
  } catch (error) {
    if (error instanceof HostError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}
