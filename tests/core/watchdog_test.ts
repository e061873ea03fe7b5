/** The watchdog: what counts as a sign of work, whose time is counted, and which limit stops a run. */
import { assertEquals } from "@std/assert";
import type { AgentMessage } from "../../lib/core/message.ts";
import { startWatchdog, stepWatchdog, type WatchdogLimits, type WatchdogStep } from "../../lib/core/watchdog.ts";

const MINUTE = 60_000;
const LIMITS: WatchdogLimits = { timeMs: 600 * MINUTE, silenceMs: 30 * MINUTE, toolMs: 120 * MINUTE };

const TEXT: AgentMessage = { kind: "text", text: "hi" };
const USAGE: AgentMessage = { kind: "usage", usage: [] };

function use(callId: string, tool = "Bash"): AgentMessage {
  return { kind: "tool-use", tool, callId, input: {} };
}

function result(callId: string): AgentMessage {
  return { kind: "tool-result", tool: "Bash", callId, output: "", isError: false };
}

/** A run whose ticks come when they are due; `at` is what stopped it, and when. */
class Run {
  now = 0;
  waiting = false;
  at: readonly [kind: string, minutes: number] | undefined;
  #step: WatchdogStep;
  #due: number;

  constructor(limits: Partial<WatchdogLimits> = {}) {
    this.#step = startWatchdog({ ...LIMITS, ...limits }, 0);
    this.#due = this.#step.nextMs;
  }

  get stop(): WatchdogStep["stop"] {
    return this.#step.stop;
  }

  say(...messages: AgentMessage[]): this {
    for (const message of messages) {
      this.#step = stepWatchdog(this.#step.watchdog, { kind: "said", message }, this.now);
    }
    return this;
  }

  pass(minutes: number): this {
    const end = this.now + minutes * MINUTE;
    while (this.#due <= end && !this.at) this.tick(this.#due - this.now);
    this.now = end;
    return this;
  }

  tick(ms: number): this {
    this.now += ms;
    this.#step = stepWatchdog(this.#step.watchdog, { kind: "tick", waiting: this.waiting }, this.now);
    this.#due = this.now + this.#step.nextMs;
    if (this.#step.stop) this.at ??= [this.#step.stop.kind, Math.round(this.now / MINUTE)];
    return this;
  }
}

Deno.test("stepWatchdog() stops a run that says nothing, counted from its last word", () => {
  assertEquals(new Run().pass(29).at, undefined);
  assertEquals(new Run().pass(31).at, ["silence-limit", 30]);
  assertEquals(new Run().pass(25).say(TEXT).pass(29).at, undefined);
  assertEquals(new Run().pass(25).say(TEXT).pass(40).at, ["silence-limit", 55]);
});

Deno.test("stepWatchdog() never stops a run before its silence was as long as the limit", () => {
  const run = new Run({ silenceMs: 20_000 });
  // Right before a tick, which comes each second.
  run.tick(1_000).tick(1_000);
  run.now += 999;
  run.say(TEXT);
  const spoke = run.now;
  while (!run.at) run.tick(run.now === spoke ? 1 : 1_000);
  assertEquals(run.now - spoke >= 20_000, true, String(run.now - spoke));
});

Deno.test("stepWatchdog() takes no repetition for work", () => {
  const pings: AgentMessage[] = [
    USAGE,
    { kind: "session", sessionId: "s" },
    { kind: "error", text: "retrying" },
    { kind: "text", text: "" },
  ];
  const run = new Run().say(...pings);
  for (let minute = 0; minute < 40; minute++) run.pass(1).say(...pings);
  assertEquals(run.at, ["silence-limit", 30]);
});

Deno.test("stepWatchdog() takes what says something new for work, of every kind", () => {
  const tokens = (n: number) => ({
    model: "m",
    inputTokens: n,
    outputTokens: 0,
    cacheReadTokens: 0,
    cacheWriteTokens: 0,
    costUsdTicks: 0,
  });
  const news: ((n: number) => AgentMessage)[] = [
    (n) => ({ kind: "usage", usage: [tokens(n)] }),
    (n) => ({ kind: "error", text: `error ${n}` }),
    () => ({ kind: "text", text: "." }),
    () => ({ kind: "thinking", text: "." }),
    (n) => result(`c${n}`),
  ];
  for (const one of news) {
    const run = new Run();
    for (let n = 0; n < 4; n++) run.pass(20).say(one(n));
    assertEquals(run.at, undefined, one(0).kind);
  }
});

Deno.test("stepWatchdog() lets a tool be silent for longer, until it answers", () => {
  assertEquals(new Run().pass(10).say(use("a")).pass(119).at, undefined);
  const hung = new Run().pass(10).say(use("a", "Build")).pass(125);
  assertEquals([hung.at, hung.stop], [["tool-limit", 130], {
    kind: "tool-limit",
    limitMs: 120 * MINUTE,
    tool: "Build",
  }]);
  assertEquals(new Run().say(use("a")).pass(60).say(result("a")).pass(40).at, ["silence-limit", 90]);
});

Deno.test("stepWatchdog() waits for the youngest of several tools, and stops no run that still talks", () => {
  assertEquals(new Run().say(use("a")).pass(100).say(use("b")).pass(100).at, undefined);
  assertEquals(new Run().say(use("a")).pass(100).say(use("b")).pass(150).at, ["tool-limit", 220]);
  const talking = new Run().say(use("a"));
  for (let n = 0; n < 20; n++) talking.pass(20).say(TEXT);
  assertEquals(talking.at, undefined);
});

Deno.test("stepWatchdog() does not let the lost answer of one tool excuse silence for ever", () => {
  assertEquals(new Run().say(use("lost")).pass(119).say(TEXT).pass(40).at, ["tool-limit", 149]);
});

Deno.test("stepWatchdog() does not count the time in which a person is asked, but for the whole run", () => {
  const run = new Run().say(use("a"));
  run.waiting = true;
  run.pass(400);
  assertEquals(run.at, undefined);
  run.waiting = false;
  assertEquals(run.pass(125).at, ["tool-limit", 520]);
  const asked = new Run();
  asked.waiting = true;
  assertEquals(asked.pass(700).at, ["time-limit", 600]);
});

Deno.test("stepWatchdog() stops a run at its time limit to the millisecond, however much it says", () => {
  const run = new Run({ timeMs: 12_345 });
  while (!run.at) run.say(TEXT).pass(0.001);
  assertEquals([run.stop, Math.abs(run.now - 12_345) <= 60], [{ kind: "time-limit", limitMs: 12_345 }, true]);
  assertEquals(startWatchdog({ ...LIMITS, timeMs: 10 }, 0).nextMs, 10);
});

Deno.test("stepWatchdog() does not count what was slept through, whichever clock went on meanwhile", () => {
  const slept = new Run().pass(20);
  slept.tick(8 * 60 * MINUTE);
  assertEquals(slept.at, undefined, "eight hours in one tick");
  assertEquals(slept.pass(9).at, undefined);
  assertEquals(slept.pass(2).at?.[0], "silence-limit");
  // A clock that stood still is one on which nothing happened.
  assertEquals(new Run().tick(0).tick(-5).at, undefined);
});

Deno.test("stepWatchdog() counts a tick that is late for a busy machine", () => {
  const run = new Run();
  for (let n = 0; n < 200 && !run.at; n++) run.tick(12_000);
  assertEquals(run.at, ["silence-limit", 30]);
});
