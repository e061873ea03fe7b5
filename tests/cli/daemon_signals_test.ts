/** What signals mean to a daemon in the foreground: one, two and three, and one after a drain that was taken back. */
import { assertEquals } from "@std/assert";
import { SignalLadder } from "../../lib/cli/commands/daemon_serve.ts";
import type { CommandContext } from "../../lib/cli/command.ts";
import type { SignalName } from "../../lib/core/ports.ts";
import { testHost } from "../app/test_host.ts";

const DRAIN_MS = 60_000;

function world() {
  const base = testHost();
  const said: string[] = [];
  const listeners: ((name: SignalName) => void)[] = [];
  const signals = {
    on(names: readonly SignalName[], heard: (name: SignalName) => void) {
      if (names.includes("SIGTERM")) listeners.push(heard);
      return { [Symbol.dispose]: () => {} };
    },
  };
  const output = { note: () => {} };
  const context = { host: { ...base.host, signals }, output } as unknown as CommandContext;
  const ladder = new SignalLadder(context, { drainMs: DRAIN_MS });
  const daemon = {
    stop: () => said.push("stop"),
    cancelTasks: () => said.push("cancel tasks"),
    status: () => ({ slots: { running: 0, total: 1 } }),
  };
  ladder.holder = { daemon } as unknown as NonNullable<SignalLadder["holder"]>;
  return {
    ladder,
    clock: base.clock,
    term: () => listeners.forEach((heard) => heard("SIGTERM")),
    /** What the daemon was told since it was last asked. */
    told: () => said.splice(0),
  };
}

Deno.test("a first signal drains, a second ends the tasks and a third leaves; a manager's limit is the second", async () => {
  const { ladder, clock, term, told } = world();
  using _ = ladder;
  term();
  assertEquals([told(), ladder.told.aborted], [["stop"], true]);
  await clock.advance(DRAIN_MS);
  assertEquals(told(), ["cancel tasks"]);
  term();
  assertEquals(told(), ["stop", "cancel tasks"]);
  term();
  assertEquals(await ladder.left, 130);
});

Deno.test("after a drain that was taken back the next signal is a first one, and nothing of the old one is left", async () => {
  const { ladder, clock, term, told } = world();
  using _ = ladder;
  term();
  assertEquals(told(), ["stop"]);
  ladder.forget();
  assertEquals([ladder.count, ladder.told.aborted], [0, false]);
  await clock.advance(2 * DRAIN_MS);
  assertEquals(told(), [], "the limit of a drain that is none any more");
  term();
  assertEquals([told(), ladder.told.aborted], [["stop"], true]);
});
