/** Processes: each child leads a group of its own, carries a mark, and is ended with everything it started. */
import type { Child, ChildExit, Clock, CommandResult, Processes, SpawnRequest, StopReport } from "../core/ports.ts";
import { HostError } from "../core/ports.ts";
import { openInput, openOutput, TailReader } from "./child_streams.ts";
import { hostErrorCode } from "./errors.ts";
import { Lineages } from "./lineage.ts";
import { endMarkedProcesses, endTree, type Group } from "./process_group.ts";
import { createProcessTable, MARK_VARIABLE, type ProcessTable } from "./process_table.ts";

const STDERR_TAIL_BYTES = 8 * 1024;
const COMMAND_OUTPUT_BYTES = 1024 * 1024;
const STOP_GRACE_MS = 5_000;
const COMMAND_GRACE_MS = 500;
/** How long a pipe is waited for that somebody outside our reach holds open. */
const PIPE_LIMIT_MS = 2_000;
const EXIT_LIMIT_MS = 2_000;

/** Between two looks at what descends from running children, where marks do not tell. */
const SAMPLE_MS = 1_000;

interface Setup {
  readonly clock: Clock;
  readonly table: ProcessTable;
  /** Absent where every mark can be read. */
  readonly lineages?: Lineages;
}

export interface ProcessesOptions {
  readonly clock: Clock;
  /** Of this machine unless told otherwise. */
  readonly table?: ProcessTable;
}

export function createProcesses({ clock, table = createProcessTable() }: ProcessesOptions): Processes {
  const look = () => table.sample();
  const setup: Setup = {
    clock,
    table,
    ...(table.marksAll ? {} : { lineages: new Lineages({ look, clock, everyMs: SAMPLE_MS }) }),
  };
  return {
    spawn: (request) => start(request, STDERR_TAIL_BYTES, setup),
    run: (command, limits) => runCommand(command, limits, setup),
    endMarked(prefix) {
      if (prefix === "") throw new TypeError("Cannot end marked processes: the prefix is empty and would match all");
      return endMarkedProcesses((mark) => mark.startsWith(prefix), 0, setup);
    },
  };
}

function start(request: SpawnRequest, stderrBytes: number, { clock, table, lineages }: Setup): Child {
  const process = spawnOrThrow(request);
  const startedAt = table.find(process.pid)?.start ?? 0;
  const stdin = request.stdin === "pipe" ? openInput(process.stdin) : undefined;
  const stdout = openOutput(process.stdout, clock);
  const stderr = new TailReader(process.stderr, stderrBytes);
  let alive = true;
  const exit: Promise<ChildExit> = process.status.then(({ code, signal }) => {
    alive = false;
    return { code, signal };
  });
  const lineage = lineages?.watch({ pid: process.pid, start: startedAt });
  const group: Group = {
    pid: process.pid,
    mark: request.mark,
    start: startedAt,
    leaderAlive: () => alive,
    ...(lineage ? { lineage } : {}),
  };

  const stop = async (graceMs: number): Promise<StopReport> => {
    using _lineage = lineage;
    const end = await endTree(group, graceMs, { table, clock });
    stdin?.finish();
    await Promise.all([
      within(exit, EXIT_LIMIT_MS, clock),
      stdout.finish(PIPE_LIMIT_MS),
      stderr.finish(PIPE_LIMIT_MS, clock),
    ]);
    return end;
  };

  let stopped: Promise<StopReport> | undefined;
  return {
    pid: process.pid,
    stdin: stdin?.stream ?? null,
    stdout: stdout.stream,
    stderrTail: () => stderr.text(),
    exit,
    stop: ({ graceMs = STOP_GRACE_MS } = {}) => stopped ??= stop(graceMs),
  };
}

function spawnOrThrow(request: SpawnRequest): Deno.ChildProcess {
  try {
    return new Deno.Command(request.executable, {
      args: [...request.args],
      cwd: request.cwd,
      env: { ...request.env, [MARK_VARIABLE]: request.mark },
      clearEnv: true,
      detached: true,
      stdin: request.stdin === "pipe" ? "piped" : "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    throw spawnError(error, request);
  }
}

/** The runtime says "not found" alike for a missing directory, a missing file and a missing interpreter; files tell. */
function spawnError(error: unknown, { executable, cwd }: SpawnRequest): HostError {
  const fail = (code: HostError["code"], why: string) =>
    new HostError(code, `Cannot start ${executable}: ${why}`, { cause: error });
  if (!statOf(cwd)?.isDirectory) {
    return fail("no-such-cwd", `its directory ${cwd} does not exist or is not a directory`);
  }
  const file = statOf(executable);
  if (file?.isDirectory) return fail("not-executable", "it is a directory");
  const code = hostErrorCode(error);
  const text = error instanceof Error ? error.message : String(error);
  if (code === "permission") {
    return fail("not-executable", "it has no permission to run; see its mode and its directory");
  }
  if (code === "not-found") {
    return file
      ? fail("not-executable", "the interpreter named in its first line is missing")
      : fail("not-found", text);
  }
  if (text.includes("os error 26")) return fail("not-executable", "it is being written right now; try again");
  if (text.includes("os error 8")) return fail("not-executable", "it is not a program for this system");
  return fail(code, text);
}

function statOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}

async function runCommand(
  command: Parameters<Processes["run"]>[0],
  limits: Parameters<Processes["run"]>[1],
  setup: Setup,
): Promise<CommandResult> {
  const { signal, timeoutMs } = limits;
  signal?.throwIfAborted();
  const child = start(
    {
      executable: command.executable,
      args: command.args,
      cwd: command.cwd ?? Deno.cwd(),
      env: command.env ?? Deno.env.toObject(),
      stdin: command.stdin === undefined ? "null" : "pipe",
      mark: `command-${crypto.randomUUID()}`,
    },
    COMMAND_OUTPUT_BYTES,
    setup,
  );
  const enough = Promise.withResolvers<"time" | "abort">();
  const abort = () => enough.resolve("abort");
  signal?.addEventListener("abort", abort, { once: true });
  using _limit = setup.clock.after(timeoutMs, () => enough.resolve("time"));
  const output = collect(child.stdout);
  const input = command.stdin === undefined ? undefined : feed(child.stdin!, command.stdin);
  const why = await Promise.race([enough.promise, child.exit]);
  signal?.removeEventListener("abort", abort);
  await child.stop({ graceMs: COMMAND_GRACE_MS });
  const [stdout] = await Promise.all([output, input]);
  if (why === "abort") throw signal!.reason;
  return { exit: await child.exit, stdout, stderr: child.stderrTail(), timedOut: why === "time" };
}

/** The first of a stream as text; what is beyond the cap is read and dropped, so that the writer can end. */
async function collect(stream: ReadableStream<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    const room = COMMAND_OUTPUT_BYTES - size;
    if (room <= 0) continue;
    chunks.push(chunk.subarray(0, room));
    size += Math.min(room, chunk.length);
  }
  const decoder = new TextDecoder();
  return chunks.map((chunk) => decoder.decode(chunk, { stream: true })).join("");
}

async function feed(stdin: WritableStream<Uint8Array>, text: string): Promise<void> {
  const writer = stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
  } catch {
    // A command may end without reading its input; how it ended is what counts.
  }
}

async function within(promise: Promise<unknown>, ms: number, clock: Clock): Promise<void> {
  const late = Promise.withResolvers<void>();
  using _limit = clock.after(ms, () => late.resolve());
  await Promise.race([promise, late.promise]);
}
