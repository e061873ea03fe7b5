/** `drover logs`: the end of the daemon's log or of a task's transcript, and what is added to it. */
import { openUserSession } from "../../app/sessions.ts";
import { DroverError } from "../../core/drover_error.ts";
import { HostError } from "../../core/ports.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";

const DEFAULT_LINES = 50;
const POLL_MS = 200;
const CHUNK_BYTES = 256 * 1024;
const NEWLINE = 0x0a;

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
  const follows = args.switches.has("follow") && !output.json;
  // Before it is read: one that takes its place meanwhile is another file then.
  const ino = (await host.files.stat(path))?.ino;
  const bytes = await readIfThere(() => host.files.readBytes(path));
  // A line that is still being written is shown once it is whole, where that is waited for.
  const shown = bytes?.subarray(0, follows ? bytes.lastIndexOf(NEWLINE) + 1 : undefined) ?? new Uint8Array();
  const lines = new TextDecoder().decode(shown).split("\n").filter((line) => line !== "").slice(-count);
  if (!bytes && !args.switches.has("follow")) {
    throw new DroverError("not_running", `Cannot show ${path}: there is no such log yet`, {
      hint: "drover start starts a daemon; drover status tells more",
    });
  }
  output.result({ path, lines }, () => lines.forEach((line) => output.line(line)));
  if (follows) await follow(context, path, { ino, offset: shown.length });
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

async function readIfThere(read: () => Promise<Uint8Array>): Promise<Uint8Array | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof HostError && error.code === "not-found") return undefined;
    throw error;
  }
}

/** From the byte on to which it was shown. A file that shrank, or another one of its name, begins anew. */
async function follow(
  { host, output }: CommandContext,
  path: string,
  { ino, offset }: { ino: number | undefined; offset: number },
): Promise<void> {
  const abort = new AbortController();
  using _signals = host.signals.on(["SIGINT", "SIGTERM"], () => abort.abort());
  let seen = { ino, offset, decoder: new TextDecoder(), rest: "" };
  while (!abort.signal.aborted) {
    await host.clock.sleep(POLL_MS, { signal: abort.signal }).catch(() => {});
    const now = await host.files.stat(path);
    if (now?.ino !== seen.ino || now === undefined || now.size < seen.offset) {
      seen = { ino: now?.ino, offset: 0, decoder: new TextDecoder(), rest: "" };
    }
    while (now && seen.offset < now.size && !abort.signal.aborted) {
      const range = { offset: seen.offset, bytes: Math.min(CHUNK_BYTES, now.size - seen.offset) };
      const bytes = await readIfThere(() => host.files.readRange(path, range));
      if (!bytes?.length) break;
      seen.offset += bytes.length;
      const text = seen.rest + seen.decoder.decode(bytes, { stream: true });
      const complete = text.lastIndexOf("\n") + 1;
      if (complete > 0) output.line(text.slice(0, complete - 1));
      seen.rest = text.slice(complete);
    }
  }
}
