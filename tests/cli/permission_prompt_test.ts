/** Asking a person at the terminal: one question at a time, answers that were meant, and what others get to read. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { stripAnsiCode } from "@std/fmt/colors";
import type { UserApi } from "../../lib/app/control_client.ts";
import { answerOf, PermissionPrompt } from "../../lib/cli/permission_prompt.ts";
import type { MessageView } from "../../lib/wire/control.ts";
import type { AnswerPermission } from "../../lib/wire/permissions.ts";
import { FakeClock } from "../support/fake_clock.ts";

function message(type: string, id: string, tool = "Bash"): MessageView {
  return { seq: 1, type, tool, content: "make", input: null, output: null, call_id: id, created_at: "" };
}

function setup({ terminal = true, json = false, open = ["r1", "r2"] } = {}) {
  const clock = new FakeClock();
  let screen = "";
  let notes = "";
  const reads: ((line: string | undefined) => void)[] = [];
  const answers: [string, string, AnswerPermission][] = [];
  const api = {
    permissions: () => Promise.resolve(open.map((request_id) => ({ request_id }))),
    answerPermission: (...given: [string, string, AnswerPermission]) => (answers.push(given), Promise.resolve()),
  } as unknown as UserApi;
  const prompt = new PermissionPrompt({
    clock,
    api: () => api,
    terminal: {
      isTerminal: terminal,
      inputIsTerminal: terminal,
      out: (text) => void (screen += text),
      readLine: () => new Promise((resolve) => reads.push(resolve)),
    },
    output: {
      json,
      line: (text = "") => void (screen += `${text}\n`),
      note: (text) => void (notes += `${text}\n`),
      result() {},
    },
  });
  prompt.follow("task-1");
  return {
    prompt,
    answers,
    reads,
    screen: () => stripAnsiCode(screen),
    notes: () => notes,
    settle: () => clock.settle(),
    /** As a person does: after a while. */
    async type(line: string | undefined, afterMs = 1_000) {
      await clock.settle();
      await clock.advance(afterMs);
      reads.at(-1)!(line);
      await clock.settle();
    },
  };
}

Deno.test("answerOf() takes letters and words, and nothing else for a yes", () => {
  assertEquals(["y", " YES ", "n", "no", "a", "always"].map((line) => answerOf(line, "Bash")?.allow), [
    ...[true, true, false, false, true, true],
  ]);
  assertEquals(answerOf("a", "Bash")?.always, true);
  assertEquals(["", "yy", "ok", "maybe", "1"].map((line) => answerOf(line, "Bash")), Array(5).fill(undefined));
  assertEquals(answerOf("a", ""), undefined);
});

Deno.test("a person at the terminal is asked for each request in turn", async () => {
  const it = setup();
  it.prompt.saw(message("permission_request", "r1"));
  it.prompt.saw(message("permission_request", "r2"));
  await it.settle();
  assertStringIncludes(it.screen(), "allow Bash: make? [y]es, [n]o, [a]lways for Bash in this run: ");
  await it.type("y");
  await it.type("what?");
  await it.type("n");
  assertEquals(it.answers.map(([task, id, { allow }]) => [task, id, allow]), [
    ["task-1", "r1", true],
    ["task-1", "r2", false],
  ]);
});

Deno.test("a question that was answered elsewhere is asked no more, and a line that was meant for it does not answer the next", async () => {
  const it = setup();
  it.prompt.saw(message("permission_request", "r1"));
  await it.settle();
  it.prompt.saw(message("permission_answer", "r1"));
  it.prompt.saw(message("permission_request", "r2"));
  await it.settle();
  assertEquals(it.reads.length, 1, "the read that could not be taken back");
  await it.type("y", 100);
  assertEquals(it.answers, [], "nobody reads that fast");
  await it.type("y");
  assertEquals(it.answers.map(([, id]) => id), ["r2"]);
});

Deno.test("a question that is over when it is seen is not asked", async () => {
  const it = setup({ open: [] });
  it.prompt.saw(message("permission_request", "r1"));
  await it.settle();
  assertEquals([it.screen(), it.reads.length], ["", 0]);
});

Deno.test("lines of the run go above the question", async () => {
  const it = setup();
  it.prompt.print(["before"]);
  it.prompt.saw(message("permission_request", "r1"));
  await it.settle();
  it.prompt.print(["meanwhile"]);
  assertEquals(it.screen().split("\n").map((line) => line.slice(0, 9)), [
    "before",
    "allow Bas",
    "meanwhile",
    "allow Bas",
  ]);
});

Deno.test("an input that ends is told what to type, and is not read again", async () => {
  const it = setup();
  it.prompt.saw(message("permission_request", "r1"));
  await it.type(undefined);
  it.prompt.saw(message("permission_request", "r2"));
  await it.settle();
  assertEquals([it.answers, it.reads.length], [[], 1]);
  assertStringIncludes(it.screen(), "drover tasks approve task-1 r2");
});

Deno.test("without a terminal the command to type is printed, with --json on stderr", async () => {
  const piped = setup({ terminal: false });
  piped.prompt.saw(message("permission_request", "r1"));
  await piped.settle();
  assertStringIncludes(piped.screen(), "drover tasks approve task-1 r1 (or: deny)");
  const json = setup({ json: true });
  json.prompt.saw(message("permission_request", "r1"));
  await json.settle();
  assertEquals([json.screen(), json.reads.length], ["", 0]);
  assertStringIncludes(json.notes(), "drover tasks approve task-1 r1");
});

Deno.test("a later attempt leaves the questions of the one before it behind", async () => {
  const it = setup();
  it.prompt.saw(message("permission_request", "r1"));
  await it.settle();
  it.prompt.follow("task-2");
  await it.settle();
  it.prompt.saw(message("permission_request", "r2"));
  await it.type("y");
  assertEquals(it.answers.map(([task, id]) => [task, id]), [["task-2", "r2"]]);
});
