/** From what the watches saw to a hand-off: what comes before what, and what every failure on the way leaves behind. */
import { assertEquals } from "@std/assert";
import type { PhaseEvent } from "../../lib/core/phase.ts";
import { HostError } from "../../lib/core/ports.ts";
import type { Change, ReloadHistory, ReloadPolicy } from "../../lib/core/reload_gate.ts";
import { type HandOffPort, ReloadRunner } from "../../lib/daemon/reload_runner.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { eventually } from "../support/drover.ts";

const CODEX: Change = { program: "codex", own: false, oldDigest: "a", newDigest: "b", since: 1 };
const OWN: Change = { program: "drover", own: true, oldDigest: "a", newDigest: "b", since: 1 };
const SILENT = { debug() {}, info() {}, warn() {}, error() {}, critical() {} };

class World {
  readonly said: string[] = [];
  readonly saved: ReloadHistory[] = [];
  changes: readonly Change[] = [];
  unfit: string | undefined;
  prepared = true;
  savingFails = false;
  /** Held until it is resolved, where a test wants that. */
  preparing: Promise<unknown> = Promise.resolve();
  readonly runner: ReloadRunner;

  constructor(policy: Partial<ReloadPolicy> = {}, history: ReloadHistory = { restarts: [] }) {
    const handOff: HandOffPort = {
      unfit: () => (this.said.push("tried"), Promise.resolve(this.unfit)),
      prepare: async (reason) => {
        this.said.push(`prepare ${reason}`);
        await this.preparing;
        return this.prepared;
      },
      release: () => Promise.resolve(void this.said.push("release")),
      save: (next) => {
        this.said.push("save");
        if (this.savingFails) return Promise.reject(new HostError("no-space", "Cannot write: full"));
        this.saved.push(next);
        return Promise.resolve();
      },
    };
    this.runner = new ReloadRunner({
      policy: { agents: "restart", own: "restart", managed: false, ...policy },
      patienceMs: 0,
      history,
      handOff,
      agents: { changes: () => this.changes, settling: () => false },
      clock: new FakeClock(),
      log: SILENT,
      tellPhase: (event: PhaseEvent) => this.said.push(event.kind),
    });
  }

  /** A look of a watch, and all that follows from it. */
  async look(changes: readonly Change[]): Promise<string[]> {
    this.changes = changes;
    this.runner.looked();
    for (let n = 0; n < 20; n++) await Promise.resolve();
    return this.taken();
  }

  taken(): string[] {
    return this.said.splice(0);
  }
}

Deno.test("the program that would take over is tried once for a change, before the drain for it", async () => {
  const world = new World();
  assertEquals(await world.look([]), []);
  assertEquals(await world.look([CODEX]), ["tried", "binary-changed"]);
  assertEquals(await world.look([CODEX]), []);
  assertEquals(await world.look([CODEX, OWN]), ["tried", "binary-changed"]);
});

Deno.test("without a fit program no drain is begun, and each look tries it again", async () => {
  const world = new World();
  world.unfit = "it is gone";
  assertEquals(await world.look([CODEX]), ["tried"]);
  assertEquals(await world.look([CODEX]), ["tried"]);
  world.unfit = undefined;
  assertEquals(await world.look([CODEX]), ["tried", "binary-changed"]);
});

Deno.test("what only concerns other modes, or a daemon that somebody else manages, asks for nothing", async () => {
  for (
    const policy of [{ agents: "runtime", own: "notify" }, { agents: "notify", own: "off" }, { managed: true }] as const
  ) {
    const world = new World(policy);
    assertEquals(await world.look([CODEX, OWN]), [], JSON.stringify(policy));
  }
});

Deno.test("a hand-off takes the home, writes its history down, and only then goes; the reason is in it", async () => {
  for (const [change, reason] of [[CODEX, "agent_binary_changed"], [OWN, "new_binary"]] as const) {
    const world = new World();
    await world.look([change]);
    world.taken();
    assertEquals(await world.runner.handOff(), true);
    assertEquals(world.taken(), [`prepare ${reason}`, "save"]);
    assertEquals(world.saved.at(-1)?.restarts.length, 1);
  }
});

Deno.test("a hand-off that finds somebody else at work, or a disk that is full, is put off and nothing is counted", async () => {
  const busy = new World();
  await busy.look([CODEX]);
  busy.prepared = false;
  busy.taken();
  assertEquals([await busy.runner.handOff(), busy.taken()], [false, [
    "prepare agent_binary_changed",
    "hand-off-put-off",
  ]]);
  busy.prepared = true;
  assertEquals(await busy.look([CODEX]), ["binary-changed"]);

  const full = new World();
  await full.look([CODEX]);
  full.savingFails = true;
  full.taken();
  assertEquals([await full.runner.handOff(), full.taken()], [false, [
    "prepare agent_binary_changed",
    "save",
    "release",
    "hand-off-put-off",
  ]]);
  full.savingFails = false;
  await full.look([CODEX]);
  assertEquals(await full.runner.handOff(), true);
  assertEquals(full.saved.at(-1)?.restarts.length, 1, "the one that failed is not among them");
});

Deno.test("a stop that comes while the home is taken for a hand-off wins", async () => {
  const world = new World();
  await world.look([CODEX]);
  const held = Promise.withResolvers<void>();
  world.preparing = held.promise;
  const going = world.runner.handOff();
  world.runner.stop();
  held.resolve();
  assertEquals(await going, false);
  assertEquals(world.said.includes("release"), true);
  assertEquals(await world.look([CODEX]).then((said) => said.includes("binary-changed")), false);
});

Deno.test("the own binary whose hand-off failed is written down, and so is a drain that somebody cancelled", async () => {
  const failed = new World();
  await failed.look([OWN]);
  await failed.runner.handOff();
  await failed.runner.handOffFailed();
  assertEquals([failed.saved.at(-1)?.refused, failed.saved.at(-1)?.restarts.length], ["b", 1]);
  const next = new World({}, { ...failed.saved.at(-1)!, restarts: [] });
  assertEquals(await next.look([OWN]), ["tried"], "the next daemon of the process refuses it");
  assertEquals(next.runner.pending(undefined, { active: 0, claims: 0 }), null, "what no watch shows is not shown");

  const cancelled = new World();
  await cancelled.look([CODEX]);
  cancelled.runner.cancelDrain();
  await eventually(() => cancelled.saved.at(-1)?.putOff?.why === "cancelled", "it is written down");
});

Deno.test("status says of the change that waits longest why it does", async () => {
  const world = new World({}, { restarts: [new FakeClock().now()] });
  await world.look([CODEX]);
  const agent = {
    since: 1,
    reason: "agent_binary_changed",
    provider: "codex",
    binary: "/bin/codex",
    oldDigest: "a",
    newDigest: "b",
    blockedBy: { active: 1, claims: 0, why: "the daemon restarts for it when its tasks are done" },
    deadline: null,
  } as const;
  const shown = world.runner.pending(agent, { active: 1, claims: 0 });
  assertEquals(shown?.blockedBy, { active: 1, claims: 0, why: "the last restart was less than 10 min ago" });
  assertEquals(
    world.runner.pending({ ...agent, provider: "other" }, { active: 0, claims: 0 })?.blockedBy,
    agent.blockedBy,
  );
});
