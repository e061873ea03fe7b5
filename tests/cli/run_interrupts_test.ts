/** What signals mean to `drover run`: a table over stage, where the task runs, and the signals so far. */
import { assertEquals } from "@std/assert";
import { enter, onSignal, type RunAction, type RunStage } from "../../lib/cli/commands/run_interrupts.ts";
import type { SignalName } from "../../lib/core/ports.ts";

const TABLE: readonly [RunStage, own: boolean, signals: string, actions: string][] = [
  ["opening", true, "INT", "leave"],
  ["opening", false, "TERM INT", "leave leave"],
  ["following", true, "INT INT INT", "ask cancel abandon"],
  ["following", false, "INT INT INT", "ask cancel abandon"],
  ["following", true, "TERM TERM", "cancel abandon"],
  ["following", true, "INT TERM INT", "ask cancel abandon"],
  ["following", true, "HUP INT", "cancel abandon"],
  ["following", false, "HUP", "detach"],
  ["following", false, "INT HUP", "ask detach"],
  ["leaving", true, "INT INT", "warn abandon"],
  ["leaving", true, "TERM", "abandon"],
  ["leaving", true, "HUP", "abandon"],
];

for (const [stage, own, signals, actions] of TABLE) {
  Deno.test(`onSignal() while ${stage}${own ? ", task in this process" : ""}: ${signals} means ${actions}`, () => {
    let state = enter(stage, own);
    const seen: RunAction[] = [];
    for (const name of signals.split(" ")) {
      const step = onSignal(state, `SIG${name}` as SignalName);
      state = step.state;
      seen.push(step.action);
    }
    assertEquals(seen.join(" "), actions);
  });
}
