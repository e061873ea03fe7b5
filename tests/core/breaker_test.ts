/** The start breaker and the restart cool-down: timelines of what each must answer, and what holds on any history. */
import { assert, assertEquals, assertGreater, assertLessOrEqual } from "@std/assert";
import {
  BREAKER,
  type BreakerEvent,
  type BreakerPosition,
  breakerPosition,
  type BreakerState,
  type BreakerVerdict,
  FRESH_BREAKER,
  stepBreaker,
} from "../../lib/core/breaker.ts";
import { randomFrom, seedOfRun } from "./seed.ts";

/** Any point of wall-clock time; the timelines count from it. */
const EPOCH = 1_800_000_000_000;
const S = 1_000;
const MINUTE = 60 * S;

type Short = BreakerEvent | Exclude<BreakerEvent["kind"], "start">;

class Timeline {
  state: BreakerState = FRESH_BREAKER;
  #verdict: BreakerVerdict = { kind: "noted" };

  /** `start` stands for the binary and configuration "a". Each state goes through JSON, as it does on disk. */
  at(time: number, event: Short | "start"): this {
    const whole: BreakerEvent = event === "start"
      ? { kind: "start", digest: "a" }
      : typeof event === "string"
      ? { kind: event }
      : event;
    const { state, verdict } = stepBreaker(this.state, whole, EPOCH + time);
    this.state = JSON.parse(JSON.stringify(state));
    assertEquals(this.state, state);
    this.#verdict = verdict;
    return this;
  }

  go(why: "closed" | "trial" | "cooled-down"): this {
    assertEquals(this.#verdict, { kind: "go", why });
    return this;
  }

  hold(why: "starts-fail" | "just-restarted" | "restarts-spent", until: number): this {
    assertEquals(this.#verdict, { kind: "hold", why, until: EPOCH + until });
    return this;
  }

  noted(): this {
    assertEquals(this.#verdict, { kind: "noted" });
    return this;
  }

  position(time: number, expected: BreakerPosition): this {
    assertEquals(breakerPosition(this.state, EPOCH + time), expected);
    return this;
  }

  /** A start that is permitted and fails at once. */
  fails(time: number, why: "closed" | "trial" = "closed"): this {
    return this.at(time, "start").go(why).at(time, "start-failed").noted();
  }
}

function timeline(): Timeline {
  return new Timeline();
}

/** Opened by three failures, the last one at 2 s. */
function opened(): Timeline {
  return timeline().fails(0).fails(S).fails(2 * S);
}

Deno.test("stepBreaker() permits starts as long as few of them fail", () => {
  timeline().fails(0).fails(S).position(S, { kind: "closed" }).at(2 * S, "start").go("closed");
});

Deno.test("stepBreaker() opens after three failed starts within 90 s", () => {
  timeline().fails(0).fails(45 * S).fails(90 * S - 1)
    .at(90 * S, "start").hold("starts-fail", 91 * S - 1)
    .position(90 * S, { kind: "open", until: EPOCH + 91 * S - 1 });
});

Deno.test("stepBreaker() stays closed when three failed starts are 90 s apart", () => {
  timeline().fails(0).fails(45 * S).fails(90 * S).at(90 * S, "start").go("closed");
});

Deno.test("stepBreaker() opens after five failed starts within 10 min, until the first is 10 min old", () => {
  timeline().fails(0).fails(2 * MINUTE).fails(4 * MINUTE).fails(6 * MINUTE).fails(10 * MINUTE - 1)
    .at(10 * MINUTE - 1, "start").hold("starts-fail", 10 * MINUTE - 1 + S);
  timeline().fails(0).fails(2 * MINUTE).fails(4 * MINUTE).fails(6 * MINUTE).fails(8 * MINUTE)
    .at(8 * MINUTE, "start").hold("starts-fail", 10 * MINUTE)
    .at(10 * MINUTE, "start").go("trial");
  timeline().fails(0).fails(2 * MINUTE).fails(4 * MINUTE).fails(6 * MINUTE).fails(10 * MINUTE)
    .at(10 * MINUTE, "start").go("closed");
});

Deno.test("stepBreaker() permits one trial when the delay is over, and holds whoever comes next", () => {
  opened()
    .at(3 * S - 1, "start").hold("starts-fail", 3 * S)
    .position(3 * S, { kind: "half-open" })
    .at(3 * S, "start").go("trial").position(3 * S, { kind: "half-open" })
    .at(3 * S, "start").hold("starts-fail", 5 * S);
});

Deno.test("stepBreaker() doubles the delay from 1 s to 60 s while trials fail", () => {
  const delays: number[] = [];
  const line = opened();
  let now = 2 * S;
  for (let trial = 0; trial < 12; trial++) {
    // Long before the next trial: the window of ten minutes never has a say.
    const { state } = line;
    const position = breakerPosition({ ...state, failures: state.failures.slice(-1) }, EPOCH + now);
    assertEquals(position.kind, "open");
    delays.push(position.kind === "open" ? position.until - EPOCH - now : NaN);
    now += 11 * MINUTE;
    line.fails(now, "trial");
  }
  assertEquals(delays.map((ms) => ms / S), [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]);
});

Deno.test("stepBreaker() counts the wait from the failure, not from the launch", () => {
  timeline().fails(0).fails(S)
    .at(2 * S, "start").go("closed").at(30 * S, "start-failed")
    .at(30 * S, "start").hold("starts-fail", 31 * S);
});

Deno.test("stepBreaker() forgets the failures once the daemon was up for 60 s", () => {
  opened().at(3 * S, "start").go("trial").at(4 * S, "ready")
    .at(50 * S, "ready")
    .at(64 * S - 1, "alive").position(64 * S - 1, { kind: "half-open" })
    .at(64 * S, "alive").noted().position(64 * S, { kind: "closed" })
    .fails(65 * S).fails(66 * S).at(67 * S, "start").go("closed");
});

Deno.test("stepBreaker() takes a daemon that ends before 60 s for a failed start", () => {
  opened().at(3 * S, "start").go("trial").at(4 * S, "ready").at(64 * S - 1, "start-failed")
    .at(64 * S, "start").hold("starts-fail", 66 * S - 1);
});

Deno.test("stepBreaker() takes a daemon that ends after 60 s for a good one, whether asked to or not", () => {
  for (const end of ["start-failed", "stopped"] as const) {
    opened().at(3 * S, "start").go("trial").at(4 * S, "ready").at(64 * S, end).position(64 * S, { kind: "closed" })
      .at(64 * S, "start").go("closed");
  }
});

Deno.test("stepBreaker() does not hold an intentional stop against the daemon, nor for it", () => {
  const line = timeline();
  for (let round = 0; round < 20; round++) {
    line.at(round * S, "start").go("closed").at(round * S, "ready").at(round * S, "stopped");
  }
  opened().at(3 * S, "start").go("trial").at(4 * S, "ready").at(5 * S, "stopped")
    .position(5 * S, { kind: "half-open" }).at(6 * S, "start").go("trial");
});

Deno.test("stepBreaker() counts a launch that nobody lived to report as failed", () => {
  timeline()
    .at(0, "start").go("closed")
    .at(S, "start").go("closed")
    .at(2 * S, "start").go("closed").at(3 * S, "ready")
    // The daemon was gone without a word before anyone saw it stable.
    .at(3 * S, "start").hold("starts-fail", 4 * S);
});

Deno.test("stepBreaker() does not take up the report of a launch that was counted already", () => {
  const line = opened().at(3 * S, "start").go("trial").at(3 * S, "start").hold("starts-fail", 5 * S);
  line.at(4 * S, "start-failed").at(4 * S, "start").hold("starts-fail", 5 * S);
});

Deno.test("stepBreaker() follows a daemon that came up after its starter had given up", () => {
  opened().at(3 * S, "start").go("trial")
    .at(50 * S, "alive").position(50 * S, { kind: "half-open" })
    .at(110 * S - 1, "alive").position(110 * S - 1, { kind: "half-open" })
    .at(110 * S, "alive").position(110 * S, { kind: "closed" });
});

Deno.test("stepBreaker() starts anew for another binary or configuration", () => {
  const line = opened();
  line.at(2 * S, { kind: "start", digest: "b" }).go("closed").at(2 * S, "start-failed");
  assertEquals(line.state.failures.length, 1);
  assertEquals(line.state.digest, "b");
});

Deno.test("stepBreaker() is reset by a person, and knows the binary still", () => {
  const line = opened().at(2 * S, "reset").noted().position(2 * S, { kind: "closed" });
  assertEquals(line.state, { ...FRESH_BREAKER, digest: "a" });
  line.at(2 * S, "start").go("closed");
});

Deno.test("stepBreaker() is not locked for as long as the clock was set back", () => {
  timeline().fails(100 * MINUTE).fails(100 * MINUTE + S).fails(100 * MINUTE + 2 * S)
    .at(0, "start").go("trial").at(0, "start-failed")
    .at(S, "start").hold("starts-fail", 2 * S);
  timeline().at(100 * MINUTE, "start").go("closed").at(0, "start").go("closed").at(0, "start").go("closed")
    .at(0, "start").hold("starts-fail", S);
  timeline().at(100 * MINUTE, "version-restart").go("cooled-down").at(0, "version-restart").go("cooled-down");
});

Deno.test("stepBreaker() keeps 10 s between version restarts and permits three in an hour", () => {
  timeline()
    .at(0, "version-restart").go("cooled-down")
    .at(10 * S - 1, "version-restart").hold("just-restarted", 10 * S)
    .at(10 * S, "version-restart").go("cooled-down")
    .at(20 * S, "version-restart").go("cooled-down")
    .at(21 * S, "version-restart").hold("restarts-spent", 60 * MINUTE)
    .at(60 * MINUTE - 1, "version-restart").hold("restarts-spent", 60 * MINUTE)
    .at(60 * MINUTE, "version-restart").go("cooled-down")
    .at(60 * MINUTE + 10 * S, "version-restart").go("cooled-down")
    .at(60 * MINUTE + 19 * S, "version-restart").hold("just-restarted", 60 * MINUTE + 20 * S);
  // The window has room again at 60 min, and the last restart is too near then.
  timeline().at(0, "version-restart").at(MINUTE, "version-restart").at(60 * MINUTE - S, "version-restart").go(
    "cooled-down",
  )
    .at(60 * MINUTE - S, "version-restart").hold("just-restarted", 60 * MINUTE + 9 * S);
});

Deno.test("stepBreaker() keeps the cool-down over another binary and a good start, since those are what alternates", () => {
  const line = timeline();
  for (const [index, digest] of ["a", "b", "a"].entries()) {
    const time = index * 2 * MINUTE;
    line.at(time, "version-restart").go("cooled-down")
      .at(time, { kind: "start", digest }).go("closed").at(time, "ready").at(time + MINUTE, "alive");
  }
  line.at(6 * MINUTE, "version-restart").hold("restarts-spent", 60 * MINUTE);
});

Deno.test("stepBreaker() does not change the state it was given", () => {
  const state = opened().at(3 * S, "version-restart").state;
  const before = JSON.stringify(state);
  for (const kind of ["start-failed", "ready", "alive", "stopped", "version-restart", "reset"] as const) {
    stepBreaker(state, { kind }, EPOCH + 30 * MINUTE);
  }
  stepBreaker(state, { kind: "start", digest: "b" }, EPOCH + 30 * MINUTE);
  assertEquals(JSON.stringify(state), before);
});

Deno.test("stepBreaker() launches a daemon that always crashes at most five times in 10 min, whoever calls how often", () => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  let most = 0;
  for (let history = 0; history < 200; history++) {
    const meanGap = 100 + random() * 20 * S;
    const launches: number[] = [];
    let state: BreakerState = FRESH_BREAKER;
    let now = EPOCH;
    const feed = (event: BreakerEvent) => {
      const next = stepBreaker(state, event, now);
      state = next.state;
      return next.verdict;
    };
    for (let call = 0; call < 400; call++) {
      now += Math.floor(random() * 2 * meanGap);
      const verdict = feed({ kind: "start", digest: "a" });
      if (verdict.kind === "hold") {
        assertGreater(verdict.until, now, `seed ${seed}, history ${history}: it holds for no time`);
        assertLessOrEqual(verdict.until - now, BREAKER.longMs, `seed ${seed}, history ${history}: it holds too long`);
      }
      if (verdict.kind !== "go") continue;
      launches.push(now);
      // It fails at once, after a while, or when it is up already; or the command dies and says nothing.
      const how = random();
      if (how < 0.2) continue;
      now += Math.floor(random() * 30 * S);
      if (how < 0.5) feed({ kind: "ready" });
      if (how < 0.3) continue;
      now += Math.floor(random() * (BREAKER.stableMs - 1));
      feed({ kind: "start-failed" });
    }
    for (const [index, at] of launches.entries()) {
      const sixth = launches[index + BREAKER.longCount];
      const gap = sixth === undefined ? Infinity : sixth - at;
      assert(gap >= BREAKER.longMs, `seed ${seed}, history ${history}: six launches within ${gap} ms`);
    }
    most = Math.max(most, launches.length);
  }
  assertGreater(most, 2 * BREAKER.longCount, `seed ${seed}: it never came back to launching`);
});

Deno.test("stepBreaker() keeps its promises on any history: a bounded state, no hold without an end, a way out", () => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const kinds = [
    "start",
    "start",
    "start-failed",
    "start-failed",
    "ready",
    "alive",
    "stopped",
    "version-restart",
  ] as const;
  const positions = new Set<string>();
  for (let history = 0; history < 300; history++) {
    let state: BreakerState = FRESH_BREAKER;
    let now = EPOCH;
    const restarts: number[] = [];
    for (let index = 0; index < 80; index++) {
      now += Math.floor(random() ** 4 * 20 * MINUTE);
      const kind = kinds[Math.floor(random() * kinds.length)]!;
      const event: BreakerEvent = kind === "start" ? { kind, digest: random() < 0.02 ? "b" : "a" } : { kind };
      const { state: next, verdict } = stepBreaker(state, event, now);
      const where = `seed ${seed}, history ${history}, event ${index} (${kind})`;
      assertLessOrEqual(next.failures.length, BREAKER.longCount, where);
      assertLessOrEqual(next.restarts.length, BREAKER.restartCount, where);
      assertEquals(verdict.kind === "noted", kind !== "start" && kind !== "version-restart", where);
      if (verdict.kind === "hold") {
        // Exactly at the time it names it gives way, and not before.
        assertEquals(stepBreaker(next, event, verdict.until - 1).verdict.kind, "hold", where);
        assertEquals(stepBreaker(next, event, verdict.until).verdict.kind, "go", where);
      }
      if (verdict.kind === "go" && kind === "version-restart") {
        restarts.push(now);
        const [fourth, latest] = [restarts.at(-1 - BREAKER.restartCount), restarts.at(-2)];
        assert(fourth === undefined || now - fourth >= BREAKER.restartWindowMs, where);
        assert(latest === undefined || now - latest >= BREAKER.restartGapMs, where);
      }
      positions.add(breakerPosition(next, now).kind);
      state = next;
    }
    const ready = stepBreaker(state, { kind: "start", digest: "a" }, now + BREAKER.longMs);
    assertEquals(ready.verdict.kind, "go", `seed ${seed}, history ${history}: no way out`);
  }
  assertEquals([...positions].sort(), ["closed", "half-open", "open"], `seed ${seed}`);
});
