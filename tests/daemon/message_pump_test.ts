/** The message pump: order, joining, bounds, and secrets that come in pieces. */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import type { AgentMessage } from "../../lib/core/message.ts";
import { createPump, type MessagePump } from "../../lib/daemon/message_pump.ts";
import type { WireMessage } from "../../lib/wire/payloads.ts";
import { FakeClock } from "../support/fake_clock.ts";

interface World {
  readonly clock: FakeClock;
  readonly pump: MessagePump;
  readonly batches: (readonly WireMessage[])[];
  readonly sessions: string[];
  /** Everything emitted so far, as "type:text". */
  said(): string[];
}

function world(): World {
  const clock = new FakeClock();
  const batches: (readonly WireMessage[])[] = [];
  const sessions: string[] = [];
  const pump = createPump({ clock, emit: (messages) => batches.push(messages), onSession: (id) => sessions.push(id) });
  return {
    clock,
    pump,
    batches,
    sessions,
    said: () => batches.flat().map((message) => `${message.type}:${message.content || message.output || message.tool}`),
  };
}

const text = (text: string): AgentMessage => ({ kind: "text", text });
const use = (tool: string, input: Record<string, unknown> = {}): AgentMessage => ({
  kind: "tool-use",
  tool,
  callId: "1",
  input,
});
const result = (output: string): AgentMessage => ({
  kind: "tool-result",
  tool: "Bash",
  callId: "1",
  output,
  isError: false,
});

Deno.test("MessagePump keeps the order between kinds and numbers from one without a gap", () => {
  const { pump, batches, said } = world();
  const all: AgentMessage[] = [
    text("a "),
    { kind: "thinking", text: "b " },
    use("Bash"),
    result("c"),
    text("d "),
    { kind: "error", text: "e" },
    text("f"),
  ];
  for (const message of all) pump.push(message);
  pump.flush();
  assertEquals(said(), ["text:a ", "thinking:b ", "tool_use:Bash", "tool_result:c", "text:d ", "error:e", "text:f"]);
  assertEquals(batches.flat().map((message) => message.seq), [1, 2, 3, 4, 5, 6, 7]);
  assertEquals(pump.count, 7);
});

Deno.test("MessagePump joins fragments of one kind until another comes", () => {
  const { pump, said } = world();
  for (const part of ["Hel", "lo ", "", "wor", "ld"]) pump.push(text(part));
  pump.push({ kind: "thinking", text: "hm" });
  pump.push({ kind: "thinking", text: "m" });
  pump.push(text("!"));
  pump.flush();
  assertEquals(said(), ["text:Hello world", "thinking:hmm", "text:!"]);
});

Deno.test("MessagePump passes on what it has after half a second, and only then", async () => {
  const { pump, clock, said } = world();
  pump.push(use("Bash"));
  await clock.advance(499);
  assertEquals(said(), []);
  await clock.advance(1);
  assertEquals(said(), ["tool_use:Bash"]);
  assertEquals(clock.waiting, 0);
});

Deno.test("MessagePump counts the half second from the first message that waits", async () => {
  const { pump, clock, batches } = world();
  for (let n = 0; n < 10; n++) {
    pump.push(use("Bash"));
    await clock.advance(100);
  }
  assertEquals(batches.map((batch) => batch.length), [5, 5]);
});

Deno.test("MessagePump holds the last word of a running text back for one more look", async () => {
  const { pump, clock, said } = world();
  pump.push(text("Hello wor"));
  await clock.advance(500);
  assertEquals(said(), ["text:Hello "]);
  pump.push(text("ld. Bye"));
  await clock.advance(500);
  assertEquals(said(), ["text:Hello ", "text:world. "]);
  await clock.advance(500);
  assertEquals(said(), ["text:Hello ", "text:world. ", "text:Bye"]);
  assertEquals(clock.waiting, 0);
});

Deno.test("MessagePump keeps every character of a text, however it comes and is cut", async () => {
  const { pump, clock, batches } = world();
  const whole = "ein Wort, 😀 ".repeat(30_000) + "x".repeat(200_000) + "\nEnde";
  for (let at = 0; at < whole.length; at += 777) {
    pump.push(text(whole.slice(at, at + 777)));
    if (at % 50 === 0) await clock.advance(300);
  }
  pump.close();
  assert(batches.flat().map((message) => message.content).join("") === whole);
  for (const { content } of batches.flat()) {
    assertLessOrEqual(content.length, 64 * 1024);
    assert(content.isWellFormed());
  }
});

const TOKEN = "ghp" + "_abcdefghijklmnopqrstuvwxyz0123456789";

Deno.test("MessagePump blots out a secret that comes in two fragments, wherever it is split", () => {
  for (let at = 1; at < TOKEN.length; at++) {
    const { pump, said } = world();
    pump.push(text(`token ${TOKEN.slice(0, at)}`));
    pump.push(text(`${TOKEN.slice(at)} end`));
    pump.flush();
    assertEquals(said(), ["text:token [redacted GitHub token] end"]);
  }
});

Deno.test("MessagePump blots out a secret although half a second passes in the middle of it", async () => {
  for (
    const [before, secret] of [["", TOKEN], ["Bearer ", "abcdefghijklmnopqrst"], ["API_KEY = ", "abcdefgh"]] as const
  ) {
    for (let at = 0; at <= before.length + secret.length; at++) {
      const { pump, clock, batches } = world();
      const whole = `look: ${before}${secret} end`;
      pump.push(text(whole.slice(0, 6 + at)));
      await clock.advance(500);
      pump.push(text(whole.slice(6 + at)));
      pump.close();
      const passed = batches.flat().map((message) => message.content).join("");
      assert(!passed.includes(secret.slice(0, 6)) && !passed.includes(secret.slice(-6)), `${passed} (at ${at})`);
    }
  }
});

Deno.test("MessagePump blots out a secret across the border of two long messages", () => {
  const { pump, batches } = world();
  pump.push(text("word ".repeat(13_105) + TOKEN.slice(0, 20)));
  pump.push(text(TOKEN.slice(20) + " end"));
  pump.close();
  const passed = batches.flat().map((message) => message.content).join("");
  assert(passed.endsWith("word [redacted GitHub token] end"), passed.slice(-80));
});

Deno.test("MessagePump blots out secrets in tools' input and output and in errors", () => {
  const { pump, batches } = world();
  pump.push(use("Bash", { command: `curl -H 'x: ${TOKEN}'`, env: { API_KEY: "abcdefgh" } }));
  pump.push(result(`your token is ${TOKEN}`));
  pump.push({ kind: "error", text: `refused ${TOKEN}` });
  pump.flush();
  const [first, second, third] = batches.flat();
  assertEquals(first!.input, { command: "curl -H 'x: [redacted GitHub token]'", env: { API_KEY: "[redacted]" } });
  assertEquals([second!.output, third!.content], [
    "your token is [redacted GitHub token]",
    "refused [redacted GitHub token]",
  ]);
});

Deno.test("MessagePump cuts a tool's output to 8 KiB between two characters", () => {
  for (const character of ["x", "ß", "€", "😀"]) {
    const { pump, batches } = world();
    pump.push(result(character.repeat(9_000)));
    pump.flush();
    const { output } = batches[0]![0]!;
    assertLessOrEqual(new TextEncoder().encode(output).length, 8_192);
    assert(new RegExp(`^(?:${character})+ …\\[\\d+\\+ bytes cut\\]$`, "u").test(output), output.slice(-40));
  }
});

Deno.test("MessagePump cuts after it has blotted out, so that no half of a secret stays at the cut", () => {
  const { pump, batches } = world();
  pump.push(result("x".repeat(8_130) + " " + TOKEN + " " + "y".repeat(1_000)));
  pump.flush();
  assert(!batches[0]![0]!.output.includes("ghp_"));
});

Deno.test("MessagePump passes on a batch at once when it has 500 messages", () => {
  const { pump, batches } = world();
  for (let n = 0; n < 1_001; n++) pump.push(use("Bash"));
  assertEquals(batches.map((batch) => batch.length), [500, 500]);
  pump.close();
  assertEquals(batches.map((batch) => batch.length), [500, 500, 1]);
});

Deno.test("MessagePump passes on a batch at once when it holds 128 Ki characters, of whatever", () => {
  const big = "x".repeat(8_000);
  for (
    const message of [
      result(big),
      use("Write", { content: big }),
      text(big + " "),
      { kind: "error", text: big } as const,
    ]
  ) {
    const { pump, batches } = world();
    for (let n = 0; n < 200; n++) pump.push(message);
    assert(batches.length >= 2, message.kind);
    for (const batch of batches) assertLessOrEqual(JSON.stringify(batch).length, 256 * 1024, message.kind);
  }
});

Deno.test("MessagePump tells a session once, as soon as it is known, and again when it changes", () => {
  const { pump, sessions, batches } = world();
  for (const sessionId of ["", "s1", "s1", "s2", ""]) pump.push({ kind: "session", sessionId });
  pump.flush();
  assertEquals([sessions, pump.sessionId, batches, pump.count], [["s1", "s2"], "s2", [], 0]);
});

Deno.test("MessagePump keeps the last totals of usage and whether a tool was used", () => {
  const { pump, batches, clock } = world();
  const usage = (inputTokens: number) => ({
    model: "m",
    inputTokens,
    outputTokens: 1,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    costUsdTicks: 0,
  });
  pump.push({ kind: "usage", usage: [usage(1)] });
  pump.push({ kind: "usage", usage: [usage(5)] });
  assertEquals([pump.usage, pump.usedTools, clock.waiting], [[usage(5)], false, 0]);
  pump.push(use("Bash"));
  pump.close();
  assertEquals([pump.usedTools, batches.length, clock.waiting], [true, 1, 0]);
});

Deno.test("MessagePump.close() passes on the last word and leaves no timer behind", async () => {
  const { pump, clock, said } = world();
  pump.push(text("Hello wor"));
  await clock.advance(500);
  pump.push(text("ld"));
  pump.close();
  pump.close();
  assertEquals([said(), clock.waiting], [["text:Hello ", "text:world"], 0]);
});
