/** What the processes over one database tell each other, as the text that `Peers` carry: hints, changed tasks and progress. */
import * as z from "zod/mini";
import type { Logger } from "../core/ports.ts";
import type { Progress } from "./progress.ts";
import type { Peers } from "./store.ts";
import type { Topics, Wakeups } from "./wake.ts";

/** A progress line is for one line of a screen, and a notice has a limit. */
const LINE_LENGTH = 1_000;

const Notice = z.union([
  z.object({
    wakeup: z.object({
      kind: z.enum(["task-available", "task-changed", "profiles-changed", "workspaces-changed", "pending-work"]),
      workspaceId: z.optional(z.string()),
      userId: z.optional(z.string()),
      runtimeId: z.optional(z.string()),
      taskId: z.optional(z.string()),
    }),
  }),
  z.object({ task: z.string() }),
  z.object({ progress: z.string(), line: z.nullable(z.string()) }),
]);
export type Notice = z.infer<typeof Notice>;

/** Tells the other processes; nobody where there are none. */
export type Tell = (notice: Notice) => void;

export function tellPeers(peers: Peers | undefined): Tell {
  if (!peers) return () => {};
  return (notice) => peers.send(JSON.stringify(shortened(notice)));
}

function shortened(notice: Notice): Notice {
  if (!("progress" in notice) || notice.line === null) return notice;
  return { ...notice, line: notice.line.slice(0, LINE_LENGTH) };
}

/** Passes on what other processes tell. One of another version may say what is unknown here: that is worth a line, and no more. */
export function hearPeers(
  peers: Peers | undefined,
  here: { readonly wakeups: Wakeups; readonly topics: Topics; readonly progress: Progress; readonly log: Logger },
): void {
  peers?.listen((text) => {
    const notice = parse(text);
    if (!notice) here.log.debug("A notice of another coordinator is unknown here", { bytes: text.length });
    else if ("wakeup" in notice) here.wakeups.hear(notice.wakeup);
    else if ("task" in notice) here.topics.hear(notice.task);
    else here.progress.hear(notice.progress, notice.line);
  });
}

function parse(text: string): Notice | undefined {
  try {
    return Notice.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
