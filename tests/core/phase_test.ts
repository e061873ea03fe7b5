/** The phase machine: every row of its table, and what must hold on any history. */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { claimsOpen, type Phase, type PhaseEvent, step } from "../../lib/core/phase.ts";
import { LIMITS, play } from "./timeline.ts";
import { randomFrom, seedOfRun } from "./seed.ts";

const STARTING: Phase = { kind: "starting" };
const RUNNING: Phase = { kind: "running" };
const PENDING: Phase = { kind: "reload-pending", since: 100, binary: "new" };
const RESTARTING: Phase = { kind: "draining", to: "restart", since: 100, binary: "new" };
const LEAVING: Phase = { kind: "draining", to: "exit", since: 100 };

Deno.test("step() opens claims when the daemon is ready", () => {
  play(STARTING).at(0, "ready").expect("resume-claims").is(RUNNING);
});

Deno.test("step() keeps claiming while a reload is pending and the patience lasts", () => {
  play(RUNNING)
    .at(100, { kind: "binary-changed", binary: "new" }).expect().is(PENDING)
    .tick(100 + LIMITS.patienceMs - 1, 1).expect().is(PENDING);
});

Deno.test("step() drains for a reload when the patience is over, however busy the daemon is", () => {
  const over = 100 + LIMITS.patienceMs;
  play(PENDING).tick(over, 7).expect("pause-claims").is({
    kind: "draining",
    to: "restart",
    since: over,
    binary: "new",
  });
});

Deno.test("step() drains for a reload at once when nothing is in flight", () => {
  play(PENDING).tick(101, 0).expect("pause-claims").is({ kind: "draining", to: "restart", since: 101, binary: "new" });
});

Deno.test("step() drains at the first tick when the patience is zero", () => {
  play(RUNNING, { patienceMs: 0 })
    .at(100, { kind: "binary-changed", binary: "new" })
    .tick(100, 3).expect("pause-claims").is(RESTARTING);
});

Deno.test("step() forgets a pending reload when the old binary is back", () => {
  play(PENDING).at(200, "binary-restored").expect().is(RUNNING);
});

Deno.test("step() follows a binary that changes again without starting the patience anew", () => {
  play(PENDING).at(200, { kind: "binary-changed", binary: "newer" }).expect().is({ ...PENDING, binary: "newer" });
  play(RESTARTING).at(200, { kind: "binary-changed", binary: "newer" }).expect().is({ ...RESTARTING, binary: "newer" });
});

Deno.test("step() takes work again when the old binary is back during the drain for it", () => {
  play(RESTARTING).at(200, "binary-restored").expect("resume-claims").is(RUNNING);
});

Deno.test("step() does not turn a stop around because a binary is back or changed", () => {
  play(LEAVING).at(200, "binary-restored").expect().is(LEAVING);
  play(LEAVING).at(200, { kind: "binary-changed", binary: "newer" }).expect().is(LEAVING);
});

Deno.test("step() takes work again when a drain is cancelled, whatever it was for", () => {
  play(RESTARTING).at(200, "drain-cancelled").expect("resume-claims").is(RUNNING);
  play(LEAVING).at(200, "drain-cancelled").expect("resume-claims").is(RUNNING);
});

Deno.test("step() lets a stop win over a restart and keeps the time the drain began", () => {
  play(RESTARTING).at(200, "stop-requested").expect().is(LEAVING)
    .at(300, "stop-requested").expect().is(LEAVING);
});

Deno.test("step() drains to the end from any phase but stopped when a stop is requested", () => {
  for (const phase of [STARTING, RUNNING, PENDING]) {
    play(phase).at(500, "stop-requested").expect("pause-claims").is({ kind: "draining", to: "exit", since: 500 });
  }
  play({ kind: "stopped", to: "exit" }).at(500, "stop-requested").expect().is({ kind: "stopped", to: "exit" });
});

Deno.test("step() ends or hands off once nothing is in flight", () => {
  play(LEAVING).tick(200, 0).expect("exit").is({ kind: "stopped", to: "exit", binary: undefined });
  play(RESTARTING).tick(200, 0).expect("hand-off").is({ kind: "stopped", to: "restart", binary: "new" });
});

Deno.test("step() waits for running tasks however long they take", () => {
  play(LEAVING).tick(100 + 1_000 * LIMITS.graceMs, 1).expect().is(LEAVING);
});

Deno.test("step() cancels tasks once after the grace where that is configured", () => {
  const cancelled = { ...LEAVING, cancelled: true } as const;
  play(LEAVING, { cancelAfterGrace: true })
    .tick(100 + LIMITS.graceMs - 1, 1).expect().is(LEAVING)
    .tick(100 + LIMITS.graceMs, 1).expect("cancel-tasks").is(cancelled)
    .tick(100 + LIMITS.graceMs + 1, 1).expect().is(cancelled)
    .tick(100 + LIMITS.graceMs + 2, 0).expect("exit");
});

Deno.test("step() goes on with the old binary after a failed hand-off and refuses the new one until it changes", () => {
  play({ kind: "stopped", to: "restart", binary: "new" })
    .at(300, { kind: "hand-off-failed", binary: "new" }).expect("resume-claims").is({ kind: "running", refused: "new" })
    .at(400, { kind: "binary-changed", binary: "new" }).expect().is({ kind: "running", refused: "new" })
    .at(500, { kind: "binary-changed", binary: "newer" }).is({ kind: "reload-pending", since: 500, binary: "newer" });
});

Deno.test("step() lets a stop win over a hand-off that is under way, and does not come back from it", () => {
  const ending = { kind: "stopped", to: "exit", binary: "new" } as const;
  play({ kind: "stopped", to: "restart", binary: "new" })
    .at(300, "stop-requested").expect().is(ending)
    .at(400, "hand-off-put-off").expect().is(ending)
    .at(400, { kind: "hand-off-failed", binary: "new" }).expect().is(ending);
});

Deno.test("step() takes work again when a hand-off was not tried, and the same binary may be", () => {
  play({ kind: "stopped", to: "restart", binary: "new" })
    .at(300, "hand-off-put-off").expect("resume-claims").is(RUNNING)
    .at(400, { kind: "binary-changed", binary: "new" }).is({ kind: "reload-pending", since: 400, binary: "new" });
});

Deno.test("step() does not come back from a stop that was asked for", () => {
  const stopped: Phase = { kind: "stopped", to: "exit" };
  play(stopped).at(300, { kind: "hand-off-failed", binary: "new" }).expect().is(stopped).tick(400).expect().is(stopped);
});

Deno.test("step() changes nothing for an event that a phase does not know", () => {
  const unknown: [Phase, PhaseEvent["kind"][]][] = [
    [STARTING, ["binary-changed", "binary-restored", "drain-cancelled", "tick", "hand-off-failed", "hand-off-put-off"]],
    [RUNNING, ["ready", "binary-restored", "drain-cancelled", "tick", "hand-off-failed", "hand-off-put-off"]],
    [PENDING, ["ready", "drain-cancelled", "hand-off-failed", "hand-off-put-off"]],
    [RESTARTING, ["ready", "hand-off-failed", "hand-off-put-off"]],
    [{ kind: "stopped", to: "restart" }, ["ready", "binary-changed", "binary-restored", "drain-cancelled", "tick"]],
  ];
  for (const [phase, kinds] of unknown) {
    for (const kind of kinds) play(phase).at(200, eventOf(kind)).expect().is(phase);
  }
});

function eventOf(kind: PhaseEvent["kind"]): PhaseEvent {
  if (kind === "tick") return { kind, inFlight: 0 };
  return kind === "binary-changed" || kind === "hand-off-failed" ? { kind, binary: "b" } : { kind };
}

Deno.test("claimsOpen() says on any history what the commands said last", () => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const kinds: PhaseEvent["kind"][] = [
    "ready",
    "binary-changed",
    "binary-restored",
    "drain-cancelled",
    "stop-requested",
    "tick",
    "hand-off-failed",
    "hand-off-put-off",
  ];
  const seen = new Set<string>();
  for (let history = 0; history < 2_000; history++) {
    let phase: Phase = STARTING;
    let open = false;
    let now = 0;
    for (let n = 0; n < 40; n++) {
      now += Math.floor(random() * 30_000);
      const kind = kinds[Math.floor(random() * kinds.length)]!;
      const binary = random() < 0.5 ? "a" : "b";
      const event: PhaseEvent = kind === "tick"
        ? { kind, inFlight: Math.floor(random() * 3) }
        : kind === "binary-changed" || kind === "hand-off-failed"
        ? { kind, binary }
        : { kind };
      const limits = { ...LIMITS, cancelAfterGrace: random() < 0.5 };
      const next = step(phase, event, now, limits);
      if (next.commands.includes("pause-claims")) open = false;
      if (next.commands.includes("resume-claims")) open = true;
      assertEquals(claimsOpen(next.phase), open, `seed ${seed}: ${phase.kind} + ${kind} → ${next.phase.kind}`);
      phase = next.phase;
      seen.add(phase.kind);
    }
  }
  assertEquals(seen.size, 5, `seed ${seed}: not every phase was reached`);
});

/** Delivery is tried for this long after a task's end before the outbox carries its report on. */
const DELIVERY_MS = 30_000;

Deno.test("step() never lets a reload wait longer than patience, the longest task and its delivery", () => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  for (let history = 0; history < 200; history++) {
    const longest = Math.floor(random() * 300_000);
    const patienceMs = random() < 0.2 ? 0 : Math.floor(random() * 120_000);
    const tickMs = 250 + Math.floor(random() * 1_000);
    const changedAt = Math.floor(random() * 60_000);
    let phase: Phase = RUNNING;
    let handedOff = false;
    let ends: number[] = [];
    let now = 0;
    let told = false;
    while (!handedOff) {
      now += tickMs;
      if (!told && now >= changedAt) {
        told = true;
        phase = step(phase, { kind: "binary-changed", binary: "new" }, now, LIMITS).phase;
      }
      // A binary that keeps changing must not put its reload off.
      if (told && random() < 0.05) {
        phase = step(phase, { kind: "binary-changed", binary: `newer-${now}` }, now, LIMITS).phase;
      }
      ends = ends.filter((end) => end > now);
      // Always busy: as long as claims are open there is a next task at once.
      while (claimsOpen(phase) && ends.length < 4) ends.push(now + random() * longest + random() * DELIVERY_MS);
      const next = step(phase, { kind: "tick", inFlight: ends.length }, now, { ...LIMITS, patienceMs });
      phase = next.phase;
      handedOff = next.commands.includes("hand-off");
      assert(told || claimsOpen(phase), `seed ${seed}: it drained for nothing`);
      const bound = changedAt + patienceMs + longest + DELIVERY_MS + 3 * tickMs;
      assertLessOrEqual(now, bound, `seed ${seed}, history ${history}: the reload waits too long`);
    }
  }
});
