/** `drover logs`: the end of the daemon's log or of a task's transcript, and what is added to it. */
import { openUserSession } from "../../app/sessions.ts";
import { DroverError } from "../../core/drover_error.ts";
import { type Host, HostError } from "../../core/ports.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";

const DEFAULT_LINES = 50;
const POLL_MS = 200;

export const logs: Command = {
  name: "logs",
  options: [
    { name: "follow", short: "f", summary: "print what is added, until ctrl-C" },
    { name: "lines", short: "n", value: "N", summary: `how many lines (default ${DEFAULT_LINES})` },
    { name: "task", value: "TASK", summary: "the transcript of this task instead" },
  ],
  run: showLogs,
};

async function showLogs(context: CommandContext): Promise<number> {
  const { host, output, args } = context;
  const count = lineCount(args.values.lines);
  const path = await pathOf(context);
  const text = await readIfThere(host, path);
  const lines = text === undefined ? [] : text.split("\n").filter((line) => line !== "").slice(-count);
  if (text === undefined && !args.switches.has("follow")) {
    throw new DroverError("not_running", `Cannot show ${path}: there is no such log yet`, {
      hint: "drover start starts a daemon; drover status tells more",
    });
  }
  output.result({ path, lines }, () => lines.forEach((line) => output.line(line)));
  if (args.switches.has("follow") && !output.json) await follow(context, path, text ?? "");
  return EXIT_CODES.ok.code;
}

function lineCount(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LINES;
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new DroverError("usage", `Cannot use --lines ${text}: it must be a whole number from 1 to 999999`);
}

async function pathOf(context: CommandContext): Promise<string> {
  const home = context.home();
  const task = context.args.values.task;
  if (task === undefined) return home.logFile;
  using session = await openUserSession(context.host, home);
  if (!session) throw new DroverError("task_unknown", `Cannot find task ${task}: this home has no tasks yet`);
  return `${home.transcripts}/${(await session.showTask(task)).id}.jsonl`;
}

async function readIfThere(host: Host, path: string): Promise<string | undefined> {
  try {
    return await host.files.readText(path);
  } catch (error) {
    if (error instanceof HostError && error.code === "not-found") return undefined;
    throw error;
  }
}

/** The files are bounded (5 MB), so a change is read whole; a file that shrank was rotated and begins anew. */
async function follow({ host, output }: CommandContext, path: string, seen: string): Promise<void> {
  const abort = new AbortController();
  using _signals = host.signals.on(["SIGINT", "SIGTERM"], () => abort.abort());
  let size = (await host.files.stat(path))?.size ?? 0;
  let text = seen;
  while (!abort.signal.aborted) {
    await host.clock.sleep(POLL_MS, { signal: abort.signal }).catch(() => {});
    const now = (await host.files.stat(path))?.size ?? 0;
    if (now === size) continue;
    size = now;
    const next = await readIfThere(host, path) ?? "";
    const added = next.startsWith(text) ? next.slice(text.length) : next;
    const complete = added.lastIndexOf("\n") + 1;
    if (complete > 0) output.line(added.slice(0, complete - 1));
    text = next.slice(0, next.length - (added.length - complete));
  }
}
