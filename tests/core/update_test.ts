/** The rules of updates: when it is looked, what is taken, how a trial ends, and what a kill between two steps leaves. */
import { assert, assertEquals } from "@std/assert";
import {
  afterRound,
  beginTrial,
  dueAt,
  FRESH_UPDATES,
  isQuarantined,
  mayRestart,
  type PlanInputs,
  planUpdate,
  type Round,
  settled,
  stepTrial,
  type TrialEvent,
  UPDATE,
  type UpdateState,
} from "../../lib/core/update.ts";
import { randomFrom } from "./seed.ts";

const MINUTE = 60_000;
const OLD = "1.0.0-aaaaaaaaaaaa";
const NEW = "1.1.0-bbbbbbbbbbbb";
const HOME = "/home/me/.drover";
const intervalMs = UPDATE.intervalMs;

function round(at: number): Round {
  return { at, by: "loop", result: "current", version: "", code: "", detail: "" };
}

Deno.test("the first look is five minutes after the beginning, the next an hour after it, and the time outlives the loop", () => {
  assertEquals(dueAt(FRESH_UPDATES, { now: 1_000, begun: 1_000, intervalMs }), 1_000 + 5 * MINUTE);
  const after = afterRound(FRESH_UPDATES, round(0), { intervalMs, fraction: 0.5 });
  assertEquals(after.nextAt, 60 * MINUTE);
  assertEquals(dueAt(after, { now: 20 * MINUTE, begun: 20 * MINUTE, intervalMs }), 60 * MINUTE);
  assertEquals(dueAt(after, { now: 59 * MINUTE, begun: 59 * MINUTE, intervalMs }), 64 * MINUTE, "never at once");
});

Deno.test("times of another clock are not waited for", () => {
  const far = { ...FRESH_UPDATES, nextAt: 900 * MINUTE };
  assertEquals(dueAt(far, { now: 0, begun: 0, intervalMs }), 5 * MINUTE);
  assertEquals(dueAt(far, { now: 30 * MINUTE, begun: 0, intervalMs }), 5 * MINUTE, "it is due");
  const after = afterRound(FRESH_UPDATES, round(0), { intervalMs, fraction: 0.5 });
  assertEquals(dueAt(after, { now: 10 * MINUTE, begun: 9e6 * MINUTE, intervalMs }), 60 * MINUTE, "set back meanwhile");
});

Deno.test("a loop that runs for a day looks once an hour", () => {
  const random = randomFrom(11);
  const looks: number[] = [];
  let state = FRESH_UPDATES;
  for (let now = 0; now < 24 * 60 * MINUTE; now += 5_000) {
    if (now < dueAt(state, { now, begun: 0, intervalMs })) continue;
    looks.push(now);
    state = afterRound(state, round(now), { intervalMs, fraction: random() });
  }
  const gaps = looks.slice(1).map((at, i) => (at - looks[i]!) / MINUTE);
  assert(looks.length >= 22 && looks.length <= 27, `${looks.length} looks`);
  assert(gaps.every((minutes) => minutes >= 54 && minutes <= 66.1), String(gaps));
});

Deno.test("a hundred updaters do not look at one moment", () => {
  const random = randomFrom(7);
  const times = Array.from(
    { length: 100 },
    () => afterRound(FRESH_UPDATES, round(0), { intervalMs, fraction: random() }).nextAt!,
  );
  assert(times.every((at) => at >= 54 * MINUTE && at <= 66 * MINUTE), String(times));
  assert(new Set(times.map((at) => Math.floor(at / MINUTE))).size >= 9, "all over twelve minutes");
});

Deno.test("rounds are remembered, and not without end", () => {
  let state = FRESH_UPDATES;
  for (let at = 0; at < 50; at++) state = afterRound(state, round(at), { intervalMs, fraction: 0 });
  assertEquals([state.rounds.length, state.rounds.at(0)?.at, state.rounds.at(-1)?.at], [20, 30, 49]);
});

const BAD: UpdateState = { ...FRESH_UPDATES, quarantined: [{ name: NEW, at: 0, why: "it crashed" }] };
const take: PlanInputs = {
  current: { version: "1.0.0", name: OLD },
  offered: { version: "1.1.0", name: NEW },
  asked: false,
  force: false,
  readableBy: "0.9.0",
  pin: "",
};
const older = { version: "0.9.5", name: "0.9.5-cccccccccccc" };
const unreadable = { version: "0.8.0", name: "0.8.0-dddddddddddd" };

for (
  const [name, state, change, outcome] of [
    ["a newer release is taken", FRESH_UPDATES, {}, "take"],
    ["the same bytes are current, whatever version they claim", FRESH_UPDATES, {
      offered: { version: "9.0.0", name: "9.0.0-aaaaaaaaaaaa" },
    }, "current"],
    ["the same version with other bytes is another build", FRESH_UPDATES, {
      offered: { version: "1.0.0", name: "1.0.0-bbbbbbbbbbbb" },
    }, "take"],
    ["an older release is nothing to a loop", FRESH_UPDATES, { offered: older }, "current"],
    ["an older release is refused to whoever asks", FRESH_UPDATES, { offered: older, asked: true }, "older"],
    [
      "an older release is taken when a person insists",
      FRESH_UPDATES,
      { offered: older, asked: true, force: true },
      "take",
    ],
    ["what cannot read our state is refused in any case", FRESH_UPDATES, {
      offered: unreadable,
      asked: true,
      force: true,
    }, "unreadable"],
    ["a release that was taken back is not tried again", BAD, {}, "quarantined"],
    ["nor when it is asked for", BAD, { asked: true }, "quarantined"],
    ["nor under another version", BAD, { offered: { version: "2.0.0", name: "2.0.0-bbbbbbbbbbbb" } }, "quarantined"],
    ["but when a person insists", BAD, { asked: true, force: true }, "take"],
    [
      "a pin lets nothing else in, by force neither",
      FRESH_UPDATES,
      { pin: "1.0.0", asked: true, force: true },
      "pinned",
    ],
    ["a pin lets its own version in", FRESH_UPDATES, { pin: "1.1.0" }, "take"],
  ] as const
) {
  Deno.test(`plan: ${name}`, () => {
    const plan = planUpdate(state, { ...take, ...change });
    assertEquals(plan.kind === "refuse" ? plan.code : plan.kind, outcome);
  });
}

/** The verdicts of events, a second apart unless they say when. */
function run(events: readonly (TrialEvent & { at?: number })[]): { verdicts: string[]; state: UpdateState } {
  let state = beginTrial(FRESH_UPDATES, { name: NEW, before: OLD, home: HOME }, 0);
  let now = 0;
  const verdicts = events.map((event) => {
    now = event.at ?? now + 1_000;
    const step = stepTrial(state, event, now);
    state = step.state;
    return step.verdict;
  });
  return { verdicts, state };
}

const failed = { kind: "failed", why: "it ended with code 1" } as const;
const ready = { kind: "ready" } as const;
const alive = { kind: "alive" } as const;

Deno.test("a release is good once its daemon has been up for a minute", () => {
  const { verdicts, state } = run([ready, { ...alive, at: 60_999 }, { ...alive, at: 61_000 }]);
  assertEquals(verdicts, ["wait", "wait", "good"]);
  assertEquals([state.lastGood, state.trial, state.rounds.at(-1)?.result], [NEW, null, "good"]);
});

Deno.test("two failed starts take a release back, and its digest is not retried", () => {
  const { verdicts, state } = run([failed, failed]);
  assertEquals(verdicts, ["again", "back"]);
  assertEquals([state.lastGood, state.trial], [OLD, null]);
  assert(isQuarantined(state, NEW));
  assertEquals(state.rounds.at(-1)?.result, "taken-back");
  assertEquals(planUpdate(state, take).kind, "refuse");
});

Deno.test("an end within the minute counts as a failed start, and the minute begins anew", () => {
  const { verdicts, state } = run([ready, { ...failed, at: 50_000 }, { ...ready, at: 51_000 }, {
    ...alive,
    at: 110_000,
  }]);
  assertEquals(verdicts, ["wait", "again", "wait", "wait"]);
  assertEquals(stepTrial(state, alive, 111_000).verdict, "good");
  assertEquals(stepTrial(state, failed, 110_500).verdict, "back");
});

Deno.test("where nobody wants a daemon there is nothing to try", () => {
  assertEquals(run([{ kind: "unwanted" }]).state.lastGood, NEW);
});

Deno.test("a clock that was set back makes no trial endless", () => {
  let { state } = run([{ ...ready, at: 9e12 }]);
  state = stepTrial(state, alive, 1_000).state;
  assertEquals(stepTrial(state, alive, 61_000).verdict, "good");
});

Deno.test("killed before the pointer moved: the trial is void", () => {
  const state = beginTrial(FRESH_UPDATES, { name: NEW, before: OLD, home: HOME }, 0);
  assertEquals(settled(state, OLD), { state: { ...state, trial: null } });
  assertEquals(settled(state, NEW), { state });
});

Deno.test("killed before the pointer went back: the next one moves it", () => {
  const { state } = run([failed, failed]);
  assertEquals(settled(state, NEW).goTo, OLD);
  assertEquals(settled(state, OLD).goTo, undefined);
  assertEquals(settled(state, "3.0.0-cccccccccccc").goTo, undefined, "what somebody installed meanwhile stays");
});

Deno.test("what a person installs after it was taken back stays, and is in quarantine no more", () => {
  const { state } = run([failed, failed]);
  const chosen = settled(state, NEW, { byHand: true });
  assertEquals(chosen, { state: { ...state, quarantined: [] } });
  assertEquals(settled(state, OLD, { byHand: true }), { state }, "another one is");
});

Deno.test("a release that replaces one on trial goes back to the one before", () => {
  const third = "1.2.0-cccccccccccc";
  const first = beginTrial(FRESH_UPDATES, { name: NEW, before: OLD, home: HOME }, 0);
  assertEquals(beginTrial(first, { name: third, before: NEW, home: HOME }, 1).trial?.before, OLD);
});

Deno.test("a release that a person insists on is in quarantine no more", () => {
  assertEquals(beginTrial(BAD, { name: NEW, before: OLD, home: HOME, force: true }, 0).quarantined, []);
});

Deno.test("a busy daemon is waited for, and not for ever", () => {
  assertEquals(mayRestart({ running: 0, waitedMs: 0 }), true);
  assertEquals(mayRestart({ running: 2, waitedMs: 0 }), false);
  assertEquals(mayRestart({ running: 2, waitedMs: UPDATE.patienceMs }), true);
});
