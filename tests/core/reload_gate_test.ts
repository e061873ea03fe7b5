/** When a changed program may restart the daemon: each interlock as a timeline, and what holds on any history. */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { claimsOpen, type Phase, type PhaseCommand, type PhaseEvent, step as stepPhase } from "../../lib/core/phase.ts";
import {
  type Change,
  type Deed,
  deedFor,
  GATE,
  type GateEvent,
  openGate,
  pendingReload,
  type ReloadHistory,
  type ReloadPolicy,
  settlingInFlight,
  stepGate,
} from "../../lib/core/reload_gate.ts";
import { randomFrom, seedOfRun } from "./seed.ts";

const MINUTE = 60_000;
const START = 1_000_000_000;

function change(program: string, newDigest: string, since = START): Change {
  return { program, own: program === "drover", oldDigest: "old", newDigest, since };
}

/** The gate and the phase machine together, as the daemon runs them. */
class World {
  now = START;
  gate;
  phase: Phase = { kind: "running" };
  changes: readonly Change[] = [];
  settling = false;
  inFlight = 0;
  patienceMs = 0;
  /** A hand-off ends the process; only its time is kept here. */
  readonly handOffs: { at: number; owner: string }[] = [];
  readonly said: PhaseEvent[] = [];

  constructor(history?: ReloadHistory) {
    this.gate = openGate(history);
  }

  send(event: GateEvent): "go" | "refused" | "noted" {
    const next = stepGate(this.gate, event, this.now);
    this.gate = next.gate;
    for (const event of next.phase) this.tellPhase(event);
    return next.answer;
  }

  tellPhase(event: PhaseEvent): readonly PhaseCommand[] {
    this.said.push(event);
    const limits = { patienceMs: this.patienceMs, graceMs: 0, cancelAfterGrace: false };
    const next = stepPhase(this.phase, event, this.now, limits);
    this.phase = next.phase;
    return next.commands;
  }

  tick(ms = 1_000): this {
    this.now += ms;
    this.send({ kind: "looked", changes: this.changes, settling: this.settling });
    // The phase ticks more often than files are looked at.
    for (let n = 0; n < 3; n++) {
      const inFlight = this.inFlight + settlingInFlight(this.gate);
      if (!this.tellPhase({ kind: "tick", inFlight }).includes("hand-off")) continue;
      assertEquals(this.send({ kind: "hand-off" }), "go", "the phase never asks in vain");
      this.handOffs.push({ at: this.now, owner: this.gate.owner });
    }
    return this;
  }

  /** The successor, with what the predecessor left on disk and nothing changed any more. */
  succeed(): World {
    const successor = new World(this.gate.history);
    successor.now = this.now;
    successor.handOffs.push(...this.handOffs);
    return successor;
  }

  is(phase: Phase["kind"], hold?: string): this {
    assertEquals([this.phase.kind, this.gate.hold?.why], [phase, hold], JSON.stringify(this.gate));
    return this;
  }
}

function worldWith(changes: readonly Change[], history?: ReloadHistory): World {
  const world = new World(history);
  world.changes = changes;
  return world;
}

Deno.test("deedFor() follows the settings, and never restarts a daemon that somebody else manages", () => {
  const rows: [Partial<ReloadPolicy>, Deed, Deed][] = [
    [{}, "refresh", "ignore"],
    [{ agents: "off", own: "notify" }, "ignore", "tell"],
    [{ agents: "notify", own: "restart" }, "tell", "restart"],
    [{ agents: "restart" }, "restart", "ignore"],
    [{ agents: "restart", own: "restart", managed: true }, "tell", "tell"],
    [{ agents: "runtime", managed: true }, "refresh", "ignore"],
  ];
  for (const [part, agent, own] of rows) {
    const policy: ReloadPolicy = { agents: "runtime", own: "off", managed: false, ...part };
    assertEquals(
      [deedFor(change("codex", "b"), policy), deedFor(change("drover", "b"), policy)],
      [agent, own],
      JSON.stringify(policy),
    );
  }
});

Deno.test("stepGate() stops claiming at once and restarts when nothing is in flight any more", () => {
  const world = worldWith([change("codex", "b")]);
  world.inFlight = 2;
  world.tick().is("draining").tick().is("draining");
  assertEquals(pendingReload(world.gate), { since: START, reason: "agents", changes: world.changes });
  world.inFlight = 0;
  world.tick().is("stopped");
  assertEquals(world.handOffs, [{ at: world.now, owner: "reload" }]);
  assertEquals(world.gate.history.restarts, [world.now]);
});

Deno.test("stepGate() claims on for as long as the patience is set to", () => {
  const world = worldWith([change("codex", "b")]);
  world.patienceMs = 6 * 60 * MINUTE;
  world.inFlight = 1;
  world.tick().is("reload-pending").tick(world.patienceMs - 1).is("reload-pending").tick(1).is("draining");
});

Deno.test("stepGate() makes one restart of many changes, and later ones do not begin the drain anew", () => {
  const world = worldWith([change("codex", "b")]);
  world.inFlight = 1;
  world.tick().is("draining");
  const drain = world.phase;
  world.changes = [change("claude", "c"), change("codex", "b"), change("gemini", "d")];
  world.tick().tick();
  assertEquals({ ...world.phase, binary: "" }, { ...drain, binary: "" });
  world.changes = [...world.changes].reverse();
  const said = world.said.length;
  world.tick();
  assertEquals(
    world.said.slice(said).map(({ kind }) => kind),
    ["tick", "tick", "tick"],
    "the same set in another order is no news",
  );
  world.inFlight = 0;
  world.tick().tick().tick();
  assertEquals(world.handOffs.length, 1);
});

Deno.test("stepGate() takes work again when the change is undone during the drain", () => {
  const world = worldWith([change("codex", "b")]);
  world.inFlight = 1;
  world.tick().is("draining");
  world.changes = [];
  world.tick().is("running");
  world.inFlight = 0;
  world.tick().is("running");
  assertEquals([world.handOffs.length, pendingReload(world.gate)], [0, undefined]);
});

Deno.test("stepGate() does not restart while files are being replaced, and gives the drain up when that takes long", () => {
  const world = worldWith([change("codex", "b")]);
  world.settling = true;
  world.tick().is("running", "settling");
  world.settling = false;
  world.inFlight = 1;
  world.tick().is("draining");
  // Replaced once more: for the moment there is no change that is certain.
  world.changes = [];
  world.settling = true;
  world.inFlight = 0;
  world.tick().is("draining", "settling").tick().is("draining", "settling");
  world.changes = [change("codex", "c")];
  world.settling = false;
  world.tick().is("stopped");

  const slow = worldWith([change("codex", "b")]);
  slow.inFlight = 1;
  slow.tick().is("draining");
  slow.settling = true;
  slow.inFlight = 0;
  slow.tick().is("draining", "settling").tick(GATE.settleMs).is("running", "settling");
  slow.settling = false;
  slow.tick().is("stopped");
});

Deno.test("stepGate() restarts at most once in ten minutes and three times in an hour, then only tells", () => {
  let world = new World();
  const begin = world.now;
  for (let n = 0; world.now < begin + 59 * MINUTE; n++) {
    world.changes = [change("codex", `b${n}`)];
    if (world.tick(30_000).handOffs.length > 0 && world.phase.kind === "stopped") world = world.succeed();
  }
  assertEquals(world.handOffs.map(({ at }) => Math.round((at - begin) / MINUTE)), [1, 11, 21]);
  world.is("running", "restarts-spent");
  const stays = [change("codex", "stays")];
  world.changes = stays;
  world.tick().tick(24 * 60 * MINUTE).tick().is("running", "restarts-spent");
  assertEquals(pendingReload(world.gate)?.hold, { why: "restarts-spent" });
  world.changes = [change("codex", "other")];
  world.tick().is("stopped");
  assertEquals(world.handOffs.length, 4);
  const later = world.succeed();
  later.changes = stays;
  later.tick(60 * MINUTE).is("stopped");
});

Deno.test("stepGate() does not wait for times that were written before the clock was set back", () => {
  worldWith([change("codex", "b")], { restarts: [START + 5 * MINUTE, START + 6 * MINUTE] }).tick().is("stopped");
});

Deno.test("stepGate() goes on after a failed hand-off and tries agents again when the breaker lets it", () => {
  const world = worldWith([change("codex", "b")]);
  world.inFlight = 1;
  world.tick().send({ kind: "hand-off-failed" });
  assertEquals(world.gate.told?.binary, "codex=b#0", "none was under way");
  world.tick().is("draining");
  world.inFlight = 0;
  world.tick().is("stopped");
  world.send({ kind: "hand-off-failed" });
  world.is("running").tick().is("running", "just-restarted").tick(9 * MINUTE).is("running", "just-restarted");
  world.tick(MINUTE).is("stopped");
  world.send({ kind: "hand-off-failed" });
  world.tick(10 * MINUTE).is("stopped");
  assertEquals(world.handOffs.length, 3);
});

Deno.test("stepGate() refuses the own binary whose hand-off failed until there is another, whatever came meanwhile", () => {
  const world = worldWith([change("drover", "bad")]);
  world.tick().is("stopped");
  world.changes = [change("drover", "later")];
  world.tick();
  world.send({ kind: "hand-off-failed" });
  world.changes = [change("drover", "bad")];
  world.tick(60 * MINUTE).is("running", "refused").tick(60 * MINUTE).is("running", "refused");
  assertEquals(pendingReload(world.gate)?.hold, { why: "refused" });
  world.changes = [change("drover", "bad"), change("codex", "b")];
  world.tick().is("stopped");
  const successor = world.succeed();
  successor.changes = [change("drover", "bad")];
  successor.tick(60 * MINUTE).is("running", "refused");
  successor.changes = [change("drover", "good")];
  successor.tick().is("stopped");
});

Deno.test("stepGate() gives the restart to an update that begins while a reload waits, and folds the change into it", () => {
  const world = worldWith([change("codex", "b")]);
  world.inFlight = 1;
  world.tick().is("draining");
  assertEquals(world.send({ kind: "update-begins" }), "go");
  world.is("running", "updating").tick().is("running", "updating");
  assertEquals(pendingReload(world.gate)?.reason, "update");
  world.send({ kind: "update-ready", binary: "2.0.0" });
  world.tick().is("draining", "updating");
  world.inFlight = 0;
  // What the agents' files do meanwhile is for the successor to see.
  world.settling = true;
  world.tick().is("stopped", "updating").tick();
  assertEquals(world.handOffs, [{ at: world.now - 1_000, owner: "update" }]);
  assertEquals(world.gate.history.restarts, [], "an update is not counted by the breaker over reloads");
});

Deno.test("stepGate() lets one own the restart, and gives it back on every path without one", () => {
  const world = new World();
  assertEquals(world.send({ kind: "update-begins" }), "go");
  assertEquals(world.send({ kind: "update-begins" }), "refused");
  world.changes = [change("codex", "b")];
  world.tick().is("running", "updating");
  world.send({ kind: "update-ended" });
  world.tick().is("stopped");
  assertEquals(world.send({ kind: "update-begins" }), "refused", "a reload that is under way is not overtaken");
  assertEquals(world.send({ kind: "hand-off" }), "refused", "nor scheduled twice");
  world.send({ kind: "hand-off-failed" });
  assertEquals(world.send({ kind: "update-begins" }), "go");
  world.send({ kind: "update-ready", binary: "2" });
  world.tick().is("stopped", "updating");
  assertEquals(world.send({ kind: "hand-off" }), "refused");
  world.send({ kind: "hand-off-failed" });
  world.is("running", "updating");
  assertEquals(world.gate.owner, "none");
});

Deno.test("stepGate() asks the breaker for a reload that is left over when an update ends without a restart", () => {
  const world = worldWith([change("codex", "b")], { restarts: [START] });
  world.inFlight = 1;
  world.tick().is("running", "just-restarted");
  world.send({ kind: "update-begins" });
  world.send({ kind: "update-ready", binary: "2" });
  world.tick().is("draining", "updating");
  world.send({ kind: "update-ended" });
  world.is("running", "just-restarted");
});

Deno.test("stepGate() refuses an update to the very binary whose hand-off failed", () => {
  const world = new World();
  for (const [binary, answer] of [["bad", "go"], ["bad", "refused"], ["good", "go"]] as const) {
    assertEquals(world.send({ kind: "update-begins" }), "go");
    assertEquals(world.send({ kind: "update-ready", binary }), answer);
    world.tick().is(answer === "go" ? "stopped" : "running", "updating");
    world.send(answer === "go" ? { kind: "hand-off-failed" } : { kind: "update-ended" });
  }
});

Deno.test("stepGate() does not drain again for changes that a person cancelled the drain for, until they are others", () => {
  const world = worldWith([change("codex", "b")]);
  world.inFlight = 1;
  world.tick().is("draining");
  world.send({ kind: "drain-cancelled" });
  world.tellPhase({ kind: "drain-cancelled" });
  world.inFlight = 0;
  world.tick().tick(24 * 60 * MINUTE).is("running", "cancelled");
  world.changes = [change("codex", "b"), change("claude", "c")];
  world.tick().is("stopped");
});

Deno.test("stepGate() lets a stop win over a reload that waits", () => {
  const world = worldWith([change("codex", "b")]);
  world.inFlight = 1;
  world.tick().is("draining");
  world.send({ kind: "stop" });
  world.tellPhase({ kind: "stop-requested" });
  world.inFlight = 0;
  world.tick().tick();
  assertEquals([world.handOffs.length, world.phase], [0, { kind: "stopped", to: "exit", binary: undefined }]);
  assertEquals(world.send({ kind: "hand-off" }), "refused");
  assertEquals(world.send({ kind: "update-begins" }), "refused");
});

Deno.test("stepGate() tries a restart again at the next look when somebody was at work on the home, and counts nothing", () => {
  const due = worldWith([change("drover", "b")]);
  due.phase = { kind: "stopped", to: "restart", binary: "drover=b#0" };
  due.gate = { ...due.gate, changes: due.changes, told: { by: "reload", binary: "drover=b#0", own: "b" } };
  due.send({ kind: "hand-off-put-off" });
  due.is("running", "busy");
  assertEquals(due.gate.history, { restarts: [] });
  due.tick().is("stopped");
  assertEquals(due.handOffs.length, 1);
});

Deno.test("stepGate() restarts for a change after all when the stop was taken back", () => {
  const world = worldWith([change("codex", "b")]);
  world.inFlight = 1;
  world.tick().is("draining");
  world.send({ kind: "stop" });
  world.tellPhase({ kind: "stop-requested" });
  world.tick().is("draining", "stopping");
  world.send({ kind: "drain-cancelled" });
  world.tellPhase({ kind: "drain-cancelled" });
  world.is("running").tick().is("draining");
  world.inFlight = 0;
  world.tick().is("stopped");
  assertEquals(world.handOffs.length, 1);
});

function sameHour(times: readonly number[], from: number): number {
  return times.filter((at) => at >= from && at - from < GATE.restartWindowMs).length;
}

Deno.test("stepGate() on any history keeps to the breaker, to one owner, to a stop, and comes to its restart", () => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const upTo = (limit: number) => Math.floor(random() * limit);
  let restarts = 0;
  let failures = 0;
  for (let history = 0; history < 500; history++) {
    const where = `seed ${seed}, history ${history}`;
    let world = new World();
    let stopped = false;
    let fresh = 0;
    for (let n = 0; n < 200 && !stopped; n++) {
      const before = world.handOffs.length;
      if (random() < 0.3) world.inFlight = upTo(3);
      if (random() < 0.2) world.settling = !world.settling;
      if (random() < 0.3) {
        world.changes = ["codex", "claude", "drover"].filter(() => random() < 0.4)
          .map((program) => change(program, random() < 0.5 ? `x${upTo(2)}` : `f${fresh++}`, world.now));
      }
      if (random() < 0.02) world.send({ kind: "update-begins" });
      if (random() < 0.05) world.send({ kind: "update-ready", binary: `u${upTo(3)}` });
      if (random() < 0.05) world.send({ kind: "update-ended" });
      if (random() < 0.05) {
        world.send({ kind: "drain-cancelled" });
        world.tellPhase({ kind: "drain-cancelled" });
      }
      if (random() < 0.005) {
        stopped = true;
        world.send({ kind: "stop" });
        world.tellPhase({ kind: "stop-requested" });
      }
      const wasSettling = world.settling;
      world.tick(random() < 0.9 ? upTo(MINUTE) : upTo(20 * MINUTE));
      if (world.handOffs.length > before) {
        assert(!stopped && !world.gate.stopping, `${where}: a restart after a stop`);
        assert(!wasSettling || world.gate.owner === "update", `${where}: a restart while files were being replaced`);
        restarts++;
        if (random() < 0.5) {
          failures++;
          world.send({ kind: "hand-off-failed" });
          assert(claimsOpen(world.phase), `${where}: no claims after a failed hand-off`);
          assertEquals(world.gate.owner, "none", where);
        } else world = world.succeed();
      }
      if (!stopped) assertEquals(claimsOpen(world.phase), world.phase.kind !== "draining", where);
      assertEquals(world.gate.told === undefined, stopped || world.phase.kind === "running", where);
    }
    const reloads = world.handOffs.filter(({ owner }) => owner === "reload").map(({ at }) => at);
    for (const [i, at] of reloads.entries()) {
      assertLessOrEqual(sameHour(reloads, at), GATE.restartCount, where);
      if (i > 0) assertLessOrEqual(GATE.restartGapMs, at - reloads[i - 1]!, where);
    }
    if (stopped) continue;
    // Left alone with a change never seen before, it restarts once the hour has room.
    world.send({ kind: "update-ended" });
    world.settling = false;
    world.inFlight = 0;
    world.changes = [];
    world.tick(GATE.restartWindowMs);
    world.changes = [change("codex", "never-seen")];
    const before = world.handOffs.length;
    world.tick().tick();
    assertEquals(world.handOffs.length, before + 1, `${where}: ${JSON.stringify(world.gate)}`);
  }
  assert(restarts > 100 && failures > 50, `seed ${seed}: ${restarts} restarts, ${failures} failures`);
});
