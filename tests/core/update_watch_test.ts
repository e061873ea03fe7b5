/** Which end of a daemon counts against a release on trial, and which somebody wanted. */
import { assertEquals } from "@std/assert";
import type { StartReason } from "../../lib/core/launch.ts";
import { type Daemon, type Sight, SILENT_MS, stepWatch, type Watch } from "../../lib/core/update_watch.ts";

const daemon: Daemon = {
  kind: "this",
  instance: "one",
  running: 0,
  reason: "update",
  supervised: false,
  askedAt: "noon",
};
const other = (reason: StartReason, change: Partial<Daemon> = {}): Daemon => ({
  ...daemon,
  instance: "two",
  reason,
  askedAt: "later",
  ...change,
});
const missing: Sight = { kind: "missing", cutOff: false };
/** Of one that a service manager has started, and has ended in good order. */
const service: Daemon = { ...daemon, supervised: true };
const successor = (instance: string) => other("user", { supervised: true, askedAt: "noon", instance, ended: true });
const gone: Sight = { kind: "missing", cutOff: false, ended: true };
const busy: Sight = { kind: "busy" };
const unclear: Sight = { kind: "unclear" };

/** What follows of sights a second apart, where the daemon has been up since the first. */
function seen(sights: readonly (Sight & { at?: number })[], first: Watch = {}): string[] {
  let watch = first;
  let now = 0;
  return sights.map((sight) => {
    now = sight.at ?? now + 1_000;
    const step = stepWatch(watch, sight, { up: true, now });
    watch = step.watch;
    return step.act.kind;
  });
}

for (
  const [name, sights, acts] of [
    ["a daemon that is gone has failed", [daemon, missing], ["alive", "failed"]],
    ["one that hangs has failed after a while", [daemon, unclear, { ...unclear, at: SILENT_MS + 1_000 }], [
      "alive",
      "wait",
      "failed",
    ]],
    ["a person's restart that takes its time", [daemon, busy, { ...busy, at: 9e6 }, other("user")], [
      "alive",
      "wait",
      "wait",
      "ready",
    ]],
    ["the silence begins when nobody is at work any more", [daemon, { ...busy, at: 9e6 }, unclear], [
      "alive",
      "wait",
      "wait",
    ]],
    ["the new daemon is watched from there on", [daemon, other("user"), other("user"), missing], [
      "alive",
      "ready",
      "alive",
      "failed",
    ]],
    ["a restart for a setting", [daemon, other("config_changed")], ["alive", "ready"]],
    ["a restart for options", [daemon, other("new_options", { supervised: true, askedAt: "noon" })], [
      "alive",
      "ready",
    ]],
    ["a restart for an agent", [daemon, other("agent_binary_changed")], ["alive", "ready"]],
    ["one that was started as there was none", [daemon, other("vanished")], ["alive", "failed"]],
    ["one that its service manager started anew", [daemon, other("user", { supervised: true, askedAt: "noon" })], [
      "alive",
      "failed",
    ]],
    ["a service that a person restarts", [daemon, other("user", { supervised: true })], ["alive", "ready"]],
    ["a restart that was cut off is completed", [daemon, { kind: "missing", cutOff: true }], ["alive", "restart"]],
    ["somebody started another release", [daemon, other("user", { kind: "other" })], ["alive", "restart"]],
    ["a stop on purpose", [daemon, busy, { kind: "unwanted" }], ["alive", "wait", "unwanted"]],
    ["a service manager that ends it and starts the next", [service, gone, successor("two"), successor("two")], [
      "alive",
      "wait",
      "ready",
      "alive",
    ]],
    ["a service manager that ends it and starts none", [service, gone, { ...gone, at: SILENT_MS + 1_000 }], [
      "alive",
      "wait",
      "restart",
    ]],
    ["a service that ends again and again", [
      service,
      ...["two", "three", "four", "five"].map((instance) => successor(instance)),
    ], ["alive", "ready", "ready", "ready", "failed"]],
    ["one that is gone in good order without a service", [daemon, gone], ["alive", "failed"]],
    ["who comes later takes the daemon it finds", [other("vanished")], ["alive"]],
  ] as const
) {
  Deno.test(`a trial's daemon that was up: ${name}`, () => assertEquals(seen(sights), [...acts]));
}

Deno.test("before the daemon is up it is started, once nobody else is at it", () => {
  const sights = [missing, busy, unclear, other("vanished", { kind: "other" }), other("vanished")];
  const acts = sights.map((sight) => stepWatch({}, sight, { up: false, now: 0 }).act.kind);
  assertEquals(acts, ["restart", "wait", "wait", "restart", "ready"]);
});

Deno.test("before the daemon is up one that hangs is replaced after a while, and the next has its own while", () => {
  let watch: Watch = {};
  const acts = ([
    [unclear, 1_000],
    [unclear, SILENT_MS],
    [busy, SILENT_MS + 500],
    [unclear, 2 * SILENT_MS],
    [
      unclear,
      2 * SILENT_MS + 500,
    ],
    [unclear, 3 * SILENT_MS],
    [missing, 4 * SILENT_MS],
    [unclear, 5 * SILENT_MS],
  ] as const).map(([sight, now]) => {
    const step = stepWatch(watch, sight, { up: false, now });
    watch = step.watch;
    return step.act.kind;
  });
  assertEquals(acts, ["wait", "wait", "wait", "wait", "restart", "wait", "restart", "wait"]);
});

Deno.test("the silence of one daemon is not held against the next", () => {
  const { watch } = stepWatch({ heard: 0 }, unclear, { up: true, now: SILENT_MS });
  assertEquals(stepWatch(watch, unclear, { up: true, now: 2 * SILENT_MS }).act.kind, "wait");
});
