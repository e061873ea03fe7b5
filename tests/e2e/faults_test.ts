/** An agent CLI that misbehaves: whatever it does, the run ends in bounded time, says why, and leaves no process. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { isLong } from "../support/length.ts";
import { compiledForm, programForms } from "../support/program.ts";

const VERSION = 'if [ "$1" = --version ]; then echo "2.1.0 (Claude Code)"; exit 0; fi';
const INIT = `echo '{"type":"system","subtype":"init","session_id":"s-1","model":"m"}'`;
const RESULT = `echo '{"type":"result","subtype":"success","is_error":false,"result":"done","session_id":"s-1"}'`;
const HUGE = 40 * 1024 * 1024;

interface Misdeed {
  readonly what: string;
  /** What the fake CLI does after its version probe, in shell. */
  readonly body: string;
  readonly args?: readonly string[];
  readonly prompt?: string;
  /** Missing: the task completes. */
  readonly reason?: string;
  /** Parts of the task's error. */
  readonly error?: readonly string[];
  /** Parts of what its messages of type `error` say. */
  readonly remark?: string;
}

const MISDEEDS: readonly Misdeed[] = [
  {
    what: "exits 1 with words on stderr",
    body: 'echo "no licence found" >&2; exit 1',
    reason: "agent_error.process_failure",
    error: ["ended without a result", "code 1", "no licence found"],
  },
  {
    what: "exits 0 without a result",
    body: `${INIT}; exit 0`,
    reason: "agent_error.empty_or_unparseable_output",
    error: ["ended without a result", "code 0"],
  },
  {
    what: "hangs",
    body: `${INIT}; sleep 600`,
    args: ["--time-limit", "500ms"],
    reason: "timeout",
    error: ["longer than its limit of 0.5 s"],
  },
  {
    what: "prints garbage for ever",
    body: "exec yes garbage",
    args: ["--time-limit", "500ms"],
    reason: "timeout",
    error: ["longer than its limit of 0.5 s"],
  },
  {
    what: "prints garbage and ends",
    body: `printf 'Segmentation fault\\n\\377\\376\\n{"type":\\n'; exit 0`,
    reason: "agent_error.empty_or_unparseable_output",
    error: ["3 lines of its output could not be read as JSON", "Segmentation fault"],
  },
  {
    what: "prints a line of 40 MB and then a result",
    body: `head -c ${HUGE} /dev/zero | tr '\\0' a; echo; ${RESULT}`,
    remark: `a line of ${HUGE} bytes`,
  },
  {
    what: "prints 40 MB without a line feed and ends",
    body: `head -c ${HUGE} /dev/zero | tr '\\0' a; exit 0`,
    reason: "agent_error.empty_or_unparseable_output",
    error: ["ended without a result"],
    remark: `a line of ${HUGE} bytes`,
  },
  {
    what: "dies by a signal",
    body: "kill -KILL $$",
    reason: "agent_error.process_failure",
    error: ["SIGKILL"],
  },
  {
    what: "leaves a process in a session of its own that holds its stdout, and ends without a result",
    body: "setsid sleep 600 & sleep 0.1; exit 3",
    reason: "agent_error.process_failure",
    error: ["code 3"],
  },
  {
    what: "leaves a process that holds its stdout, after a result",
    body: `setsid sleep 600 & ${RESULT}`,
  },
  {
    what: "says its result and does not end",
    body: `${RESULT}; sleep 600`,
  },
  {
    what: "closes its stdin at once, with a prompt of a megabyte waiting",
    body: `exec 0<&-; sleep 0.2; ${RESULT}`,
    prompt: "long ".repeat(200_000),
  },
  {
    what: "ends at once, with a prompt of a megabyte waiting",
    body: 'echo "no time" >&2; exit 7',
    prompt: "long ".repeat(200_000),
    reason: "agent_error.process_failure",
    error: ["code 7", "no time"],
  },
  {
    what: "floods stderr with 20 MB",
    body: `head -c 20971520 /dev/zero | tr '\\0' e >&2; ${RESULT}`,
  },
  {
    what: "floods stderr with 20 MB and fails",
    body: `head -c 20971520 /dev/zero | tr '\\0' e >&2; echo "the last words" >&2; exit 1`,
    reason: "agent_error.process_failure",
    error: ["code 1", "the last words"],
  },
  {
    what: "vanishes between its discovery and its launch",
    body: "",
    reason: "agent_error.runtime_missing_executable",
    error: ["/claude"],
  },
];

/** From the command line to its exit code: no run waits for what never comes, however slow the machine. */
const LIMIT_MS = 60_000;
const [, compiled] = programForms();

async function claude(home: TestHome, body: string): Promise<void> {
  const vanishing = 'if [ "$1" = --version ]; then rm "$0"; fi';
  await home.script("claude", body === "" ? `${vanishing}\n${VERSION}` : `${VERSION}\n${body}`);
}

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  // Every second one; those between them end in the same ways.
  const misdeeds = MISDEEDS.filter((_, nth) => isLong() || nth % 2 === 0);
  for (const { what, body, args = [], prompt, reason, error = [], remark } of misdeeds) {
    const ending = reason === undefined ? "completes" : `fails with ${reason}`;
    Deno.test(name(`run of an agent that ${what} ${ending}`), async () => {
      await using home = await TestHome.create(form);
      await claude(home, body);
      const started = performance.now();
      const outcome = await home.json(["run", "--agent", "claude", "--scratch", ...args, prompt ? "-" : "hi"], {
        ...(prompt ? { stdin: prompt } : {}),
      });
      const took = performance.now() - started;
      const { task, messages } = outcome.value;
      const expected = reason === undefined ? EXIT_CODES.ok : EXIT_CODES.taskFailed;
      assertEquals(
        [outcome.code, task?.failure_reason],
        [expected.code, reason ?? null],
        JSON.stringify(outcome.value),
      );
      assertEquals(task.status, reason === undefined ? "completed" : "failed");
      for (const part of error) assertStringIncludes(task.error, part);
      assert((task.error ?? "").length <= 16 * 1024, "the error is cut");
      const remarks = messages.filter((message: { type: string }) => message.type === "error")
        .map((message: { content: string }) => message.content).join("\n");
      if (remark) assertStringIncludes(remarks, remark);
      assert(took < LIMIT_MS, `it took ${Math.round(took)} ms`);
      await home.assertNoProcessLeft();
    });
  }
}

Deno.test("tasks cancel kills an agent that ignores SIGTERM after the grace, and its children too", async () => {
  await using home = await TestHome.create(compiled!);
  const deaf = "trap '' TERM; while :; do sleep 1; done";
  await claude(home, `${INIT}; sh -c "${deaf}" & ${deaf}`);
  const daemon = await home.daemon();
  const run = home.spawn(["run", "--agent", "claude", "--scratch", "hi"], { stdout: "null" });
  const running = () => home.seenTasks("running");
  await eventually(async () => (await running())[0]?.work_dir, "the agent runs");
  const [task] = await running();
  const started = performance.now();
  assertEquals((await home.json(["tasks", "cancel", task.id])).value.task.status, "cancelled");
  assertEquals((await run.status).code, EXIT_CODES.taskCancelled.code);
  await eventually(async () => (await home.processes()).length === 1, "only the daemon is left");
  const took = performance.now() - started;
  assert(took > 4_000, `it got its grace to end, ${Math.round(took)} ms`);
  await daemon.stop();
});

interface Unusable {
  readonly what: string;
  readonly arrange: (home: TestHome) => Promise<void>;
  readonly why: string;
  /** Parts of the explanation: which file, which value, what to do. */
  readonly says: readonly string[];
}

const UNUSABLE: readonly Unusable[] = [
  {
    what: "is too old",
    arrange: (home) => home.script("claude", 'echo "1.0.98 (Claude Code)"'),
    why: "version-too-old",
    says: ["1.0.98", "2.0.0 or newer", "npm install"],
  },
  {
    what: "is not executable",
    arrange: async (home) => {
      await claude(home, RESULT);
      await Deno.chmod(join(home.bin, "claude"), 0o644);
    },
    why: "not-executable",
    says: ["/claude is not executable", "chmod +x"],
  },
  {
    what: "is a directory",
    arrange: (home) => Deno.mkdir(join(home.bin, "claude")),
    why: "not-executable",
    says: ["/claude is a directory", "PATH"],
  },
  {
    what: "is a link to nothing",
    arrange: (home) => Deno.symlink("/nowhere/at/all", join(home.bin, "claude")),
    why: "not-executable",
    says: ["/claude is a link to something that is gone", "PATH"],
  },
  {
    what: "has an interpreter that is missing",
    arrange: async (home) => {
      await Deno.writeTextFile(join(home.bin, "claude"), "#!/no/such/interpreter\n");
      await Deno.chmod(join(home.bin, "claude"), 0o755);
    },
    why: "not-executable",
    says: ["/claude", "interpreter"],
  },
  {
    what: "has a version probe that fails",
    arrange: (home) => home.script("claude", 'echo "node: bad option" >&2; exit 9'),
    why: "version-probe-failed",
    says: ["--version ended with code 9", "bad option", "reinstall"],
  },
  {
    what: "has a version probe that says something else",
    arrange: (home) => home.script("claude", 'echo "Welcome!"'),
    why: "version-unreadable",
    says: ["no version number", "Welcome!"],
  },
  {
    what: "has a version probe that hangs",
    arrange: (home) => home.script("claude", "sleep 600"),
    why: "version-probe-failed",
    says: ["did not end within 10 s", "run it by hand"],
  },
];

Deno.test("agents --all says of each agent that cannot be used which file it is, why, and what to do", async () => {
  await Promise.all(UNUSABLE.map(async ({ what, arrange, why, says }) => {
    await using home = await TestHome.create(compiled!);
    await arrange(home);
    const started = performance.now();
    const { code, value } = await home.json(["agents", "--all"]);
    assertEquals(code, 0, JSON.stringify(value));
    const row = value.skipped.find((one: { provider: string }) => one.provider === "claude");
    assertEquals(row?.why, why, `claude ${what}: ${JSON.stringify(value)}`);
    for (const part of says) assertStringIncludes(row.detail, part);
    assert(performance.now() - started < 45_000, `claude ${what}: it took too long`);
    await home.assertNoProcessLeft();
  }));
});

Deno.test("run names an agent that cannot be used as unknown and says where the reason is shown", async () => {
  await Promise.all(
    UNUSABLE.filter(({ says }) => !says.includes("did not end within 10 s")).map(async ({ what, arrange }) => {
      await using home = await TestHome.create(compiled!);
      await arrange(home);
      const run = await home.json(["run", "--agent", "claude", "--scratch", "hi"]);
      assertEquals([run.code, run.value.error?.code], [EXIT_CODES.unknown.code, "agent_unknown"], `claude ${what}`);
      assertStringIncludes(run.value.error.hint, "drover agents --all");
      await home.assertNoProcessLeft();
    }),
  );
});
