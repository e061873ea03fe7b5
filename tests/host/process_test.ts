/** Real children: what they start is ended with them on every path, and nobody ever waits for ever. */
import {
  assert,
  assertEquals,
  assertGreater,
  assertLess,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { deadline } from "@std/async";
import { join } from "@std/path";
import { type Child, HostError, type HostErrorCode } from "../../lib/core/ports.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createProcesses } from "../../lib/host/process.ts";
import { endTree } from "../../lib/host/process_group.ts";
import { createProcessTable } from "../../lib/host/process_table.ts";

/** Whatever happens stop() ends: grace, KILL and pipes together, with room for a busy machine. Without a bound it would take minutes. */
const BOUND_MS = 15_000;
const clock = createClock();
const processes = createProcesses({ clock });
const LIMIT_MS = 20_000;
/** setsid(1) and /proc, which these tests use to make orphans and to count them. */
const LINUX_ONLY = { ignore: Deno.build.os !== "linux" };

function newMark(): string {
  return `test-${crypto.randomUUID()}`;
}

function shell(script: string, options: { mark?: string; cwd?: string; stdin?: "pipe" | "null" } = {}): Child {
  return processes.spawn({
    executable: "/bin/sh",
    args: ["-c", script],
    cwd: options.cwd ?? "/",
    env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
    stdin: options.stdin ?? "null",
    mark: options.mark ?? newMark(),
  });
}

async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  const readAll = async () => {
    let text = "";
    for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
    return text;
  };
  return await deadline(readAll(), LIMIT_MS);
}

/** Reads until the text is there: how a test knows that a child has come so far. */
async function readUntil(child: Child, wanted: string): Promise<void> {
  const reader = child.stdout.getReader();
  const decoder = new TextDecoder();
  try {
    for (let text = ""; !text.includes(wanted);) {
      const { value, done } = await deadline(reader.read(), LIMIT_MS);
      if (done) throw new Error(`The child ended before it said ${wanted}: ${text}${child.stderrTail()}`);
      text += decoder.decode(value, { stream: true });
    }
  } finally {
    reader.releaseLock();
  }
}

async function writeForEver(writer: WritableStreamDefaultWriter<Uint8Array>): Promise<never> {
  for (;;) await writer.write(new Uint8Array(1_000_000));
}

/** Everything alive that carries the mark, found without the code under test. */
function marked(mark: string): number[] {
  const pids: number[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const environ = Deno.readTextFileSync(`/proc/${name}/environ`);
      if (environ.includes(`DROVER_TASK_MARK=${mark}`)) pids.push(Number(name));
    } catch {
      // It is gone, or not ours.
    }
  }
  return pids;
}

async function eventually(what: string, check: () => boolean): Promise<void> {
  const end = clock.monotonic() + LIMIT_MS;
  while (!check()) {
    if (clock.monotonic() > end) throw new Error(`It never became true that ${what}`);
    await clock.sleep(5);
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

Deno.test("spawn() gives the child only the environment it was told, and the mark", async () => {
  const mark = newMark();
  const child = processes.spawn({
    executable: "/usr/bin/env",
    args: [],
    cwd: "/",
    env: { ONLY: "this" },
    stdin: "null",
    mark,
  });
  assertEquals((await textOf(child.stdout)).trim().split("\n").sort(), [`DROVER_TASK_MARK=${mark}`, "ONLY=this"]);
  assertEquals(await child.exit, { code: 0, signal: null });
  await child.stop();
});

Deno.test("stop() after a good end kills nothing and returns at once, the same answer every time", async () => {
  const child = shell("echo hello");
  assertEquals(await textOf(child.stdout), "hello\n");
  await child.exit;
  const first = child.stop();
  assertEquals(await first, { leftovers: [], killed: false });
  assertEquals(child.stop(), first);
});

Deno.test(
  "stop() sends TERM first, and leaves KILL away for a child that ends within the grace",
  LINUX_ONLY,
  async () => {
    const mark = newMark();
    const child = shell("trap 'echo asked; exit 3' TERM; echo ready; while :; do sleep 0.02; done", { mark });
    await readUntil(child, "ready");
    const stopping = child.stop();
    assertStringIncludes(await textOf(child.stdout), "asked");
    assertEquals(await stopping, { leftovers: [], killed: false });
    assertEquals((await child.exit).code, 3);
    assertEquals(marked(mark), []);
  },
);

Deno.test("stop() kills the whole group when it ignores TERM, but only after the grace", LINUX_ONLY, async () => {
  const mark = newMark();
  const child = shell("trap '' TERM; sleep 600 & sleep 600 & echo ready; wait", { mark });
  await readUntil(child, "ready");
  const start = clock.monotonic();
  assertEquals(await child.stop({ graceMs: 300 }), { leftovers: [], killed: true });
  assertGreater(clock.monotonic() - start, 299);
  assertEquals((await child.exit).signal, "SIGKILL");
  assertEquals(marked(mark), []);
});

Deno.test("stop() finds by its mark what left the group, also after the child ended well", LINUX_ONLY, async () => {
  const mark = newMark();
  const child = shell("setsid sleep 600 & setsid sh -c 'trap \"\" TERM; sleep 600' & echo done", { mark });
  assertEquals(await child.exit, { code: 0, signal: null });
  // Its stdout is still held open; whoever reads it gets the end when the holders are gone.
  const reading = textOf(child.stdout);
  await eventually("the orphans run", () => marked(mark).length >= 3);
  const report = await child.stop();
  assertEquals(report.killed, false);
  assertGreater(report.leftovers.length, 1);
  assertEquals(marked(mark), []);
  assertEquals(await reading, "done\n");
});

Deno.test("stop() waits only so long for a pipe that a process beyond its reach holds", LINUX_ONLY, async () => {
  const directory = await Deno.makeTempDir();
  try {
    const child = shell(
      `env -i setsid /bin/sh -c 'echo $$ >${directory}/new && mv ${directory}/new ${directory}/pid; exec sleep 600' & echo out`,
    );
    const reading = textOf(child.stdout);
    await eventually("the stranger runs", () => exists(`${directory}/pid`));
    const stranger = Number(await Deno.readTextFile(`${directory}/pid`));
    try {
      const start = clock.monotonic();
      await child.stop();
      const took = clock.monotonic() - start;
      assertGreater(took, 1_500);
      assertLess(took, BOUND_MS);
      assertEquals(await reading, "out\n");
      assertEquals(exists(`/proc/${stranger}`), true);
    } finally {
      Deno.kill(stranger, "SIGKILL");
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("stop() leaves what was printed to a reader who comes late", async () => {
  const child = shell("head -c 60000 /dev/zero | tr '\\0' x");
  await child.exit;
  await child.stop();
  assertEquals((await textOf(child.stdout)).length, 60_000);
});

Deno.test("stop() does not wait for output that nobody reads", async () => {
  const child = shell("yes");
  const start = clock.monotonic();
  await child.stop();
  assertLess(clock.monotonic() - start, BOUND_MS);
});

Deno.test(
  "endTree() sends nothing to a stranger who was given the pid of a child that is gone",
  LINUX_ONLY,
  async () => {
    const stranger = new Deno.Command("/bin/sleep", { args: ["600"], detached: true, stdout: "null" }).spawn();
    try {
      const group = { pid: stranger.pid, mark: newMark(), start: 1, leaderAlive: () => false };
      assertEquals(await endTree(group, 100, { table: createProcessTable(), clock }), { leftovers: [], killed: false });
      assertMatch(await Deno.readTextFile(`/proc/${stranger.pid}/stat`), /\(\w+\) [RSD] /);
    } finally {
      stranger.kill("SIGKILL");
      await stranger.status;
    }
  },
);

Deno.test(
  "endMarked() ends what an earlier life of ours left behind, and nothing with another mark",
  LINUX_ONLY,
  async () => {
    const prefix = newMark();
    const mine = shell("setsid sleep 600 & exit 0", { mark: `${prefix}:task` });
    const other = shell("echo up; exec sleep 600");
    try {
      await readUntil(other, "up");
      await eventually("the orphan runs", () => marked(prefix).length === 1);
      const orphans = marked(prefix);
      assertEquals(await processes.endMarked(prefix), orphans);
      assertEquals(marked(prefix), []);
      assertThrows(() => void processes.endMarked(""), TypeError);
    } finally {
      assertEquals(await other.stop(), { leftovers: [], killed: false });
      await mine.stop();
    }
  },
);

Deno.test("spawn() reads stderr whatever happens, and keeps its last 8 KiB", async () => {
  const child = shell("head -c 10000000 /dev/zero | tr '\\0' e >&2; printf ' the end' >&2; echo out");
  assertEquals(await textOf(child.stdout), "out\n");
  await child.exit;
  await child.stop();
  assertEquals(child.stderrTail().length, 8 * 1024);
  assert(child.stderrTail().endsWith("ee the end"));
});

Deno.test("stderrTail() never shows half a character", async () => {
  // 3 bytes each, so that the 8,192nd byte from the end is inside one.
  const child = shell("i=0; while [ $i -lt 300 ]; do printf '€€€€€€€€€€€€€€€€€€€€' >&2; i=$((i+1)); done");
  await child.exit;
  await child.stop();
  assertEquals(child.stderrTail(), "€".repeat(2730));
});

Deno.test("exit tells the signal that ended the child", async () => {
  const child = shell("kill -KILL $$");
  assertEquals(await child.exit, { code: 137, signal: "SIGKILL" });
  await child.stop();
});

Deno.test("stdout stops a child whose output nobody takes", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const child = shell(`head -c 4000000 /dev/zero; : >${directory}/written`);
    for (let i = 0; i < 20; i++) {
      assertEquals(exists(join(directory, "written")), false);
      await clock.sleep(10);
    }
    assertEquals((await textOf(child.stdout)).length, 4_000_000);
    await child.exit;
    assertEquals(exists(join(directory, "written")), true);
    await child.stop();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("stdin carries what is written, and its close is the end of the input", async () => {
  const child = shell("cat", { stdin: "pipe" });
  const writer = child.stdin!.getWriter();
  const reading = textOf(child.stdout);
  await writer.write(new TextEncoder().encode("over there"));
  await writer.close();
  assertEquals(await reading, "over there");
  await child.stop();
});

Deno.test("stdin fails the write, and nothing else, when the child has closed it", async () => {
  const child = shell("exec <&-; echo closed; exec sleep 600", { stdin: "pipe" });
  await readUntil(child, "closed");
  const writer = child.stdin!.getWriter();
  // The runtime may accept one write before it notices.
  await assertRejects(() => writeForEver(writer));
  // Rejected promises that nobody waits for would end the test run here.
  await child.stop();
});

Deno.test("stdin does not hold up stop() when the child does not read it", async () => {
  const child = shell("exec sleep 600", { stdin: "pipe" });
  const writer = child.stdin!.getWriter();
  const writing = assertRejects(() => writeForEver(writer));
  const start = clock.monotonic();
  await child.stop();
  await writing;
  assertLess(clock.monotonic() - start, BOUND_MS);
});

Deno.test("spawn() says by its code why nothing could be started", async (t) => {
  const directory = await Deno.makeTempDir();
  const file = async (name: string, content: string, mode: number) => {
    await Deno.writeTextFile(join(directory, name), content);
    await Deno.chmod(join(directory, name), mode);
    return join(directory, name);
  };
  const script = "#!/bin/sh\n";
  const held = await file("held", script, 0o755);
  const cases: { what: string; executable: string; cwd?: string; code: HostErrorCode; says: string }[] = [
    { what: "no file", executable: join(directory, "none"), code: "not-found", says: "none" },
    { what: "no permission bit", executable: await file("plain", script, 0o644), code: "not-executable", says: "mode" },
    { what: "a directory", executable: directory, code: "not-executable", says: "it is a directory" },
    {
      what: "no interpreter",
      executable: await file("lost", "#!/no/such/interpreter\n", 0o755),
      code: "not-executable",
      says: "interpreter",
    },
    {
      what: "no directory to start in",
      executable: "/bin/sh",
      cwd: join(directory, "gone"),
      code: "no-such-cwd",
      says: "gone",
    },
    { what: "a file to start in", executable: "/bin/sh", cwd: held, code: "no-such-cwd", says: "not a directory" },
    { what: "a file somebody writes", executable: held, code: "not-executable", says: "written right now" },
  ];
  try {
    for (const { what, executable, cwd, code, says } of cases) {
      if (executable === held && Deno.build.os !== "linux") continue;
      await t.step(what, () => {
        using _writing = Deno.openSync(held, { write: true });
        const error = assertThrows(
          () => processes.spawn({ executable, args: [], cwd: cwd ?? "/", env: {}, stdin: "null", mark: newMark() }),
          HostError,
        );
        assertEquals(error.code, code, error.message);
        assertStringIncludes(error.message, says);
      });
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("run() returns both outputs and the code, and hands the input in", async () => {
  const result = await processes.run(
    { executable: "/bin/sh", args: ["-c", "cat; echo bad >&2; exit 4"], stdin: "given" },
    { timeoutMs: LIMIT_MS },
  );
  assertEquals(result, { exit: { code: 4, signal: null }, stdout: "given", stderr: "bad\n", timedOut: false });
});

Deno.test("run() keeps 1 MiB of an output and lets the command finish", async () => {
  const script = "head -c 3000000 /dev/zero | tr '\\0' x; echo done >&2";
  const result = await processes.run({ executable: "/bin/sh", args: ["-c", script] }, { timeoutMs: LIMIT_MS });
  assertEquals([result.stdout.length, result.stderr, result.exit.code], [1024 * 1024, "done\n", 0]);
});

Deno.test("run() ends a command and all it started when its time is over", LINUX_ONLY, async () => {
  const directory = await Deno.makeTempDir();
  try {
    const script = `setsid sleep 600 & echo $! >${directory}/pid; echo early; wait; echo late`;
    const result = await processes.run({ executable: "/bin/sh", args: ["-c", script] }, { timeoutMs: 300 });
    assertEquals([result.timedOut, result.stdout], [true, "early\n"]);
    assertEquals(result.exit.signal, "SIGTERM");
    const pid = (await Deno.readTextFile(`${directory}/pid`)).trim();
    await eventually("the orphan is gone", () => !exists(`/proc/${pid}/exe`));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("run() rejects with the signal's own reason, before and during the command", async () => {
  const command = { executable: "/bin/sh", args: ["-c", "exec sleep 600"] };
  const abort = new AbortController();
  const running = assertRejects(
    () => processes.run(command, { timeoutMs: LIMIT_MS, signal: abort.signal }),
    Error,
    "enough",
  );
  abort.abort(new Error("enough"));
  await running;
  await assertRejects(() => processes.run(command, { timeoutMs: LIMIT_MS, signal: abort.signal }), Error, "enough");
});
