/** What may be removed: by the server's word, by age, and never what a task uses or what only this machine has. */
import { assert, assertEquals } from "@std/assert";
import {
  freeingPolicy,
  gcPolicy,
  mayBeLost,
  mayGo,
  repoMayGo,
  type Unsaved,
  type Word,
  type WorkDirectory,
} from "../../lib/core/gc.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = 1_000 * DAY;
const policy = gcPolicy({ retentionMs: 30 * DAY, discard: false });

const ENDED: Word = { kind: "ended" };
const OPEN: Word = { kind: "open" };
const GONE: Word = { kind: "gone" };
const UNKNOWN: Word = { kind: "unknown", why: "no answer" };

function goes(of: WorkDirectory["of"], ageMs: number, word: Word, more: Partial<WorkDirectory> = {}, by = policy) {
  return mayGo({ of, inUse: false, usedAt: NOW - ageMs, ...more }, word, by, NOW).remove;
}

Deno.test("mayGo() keeps what a task uses, what is open, and what nobody could say anything of, however old", () => {
  for (const kind of ["local", "issue", "chat", "autopilot", "task"] as const) {
    assertEquals(goes(kind, 900 * DAY, ENDED, { inUse: true }), false, kind);
    assertEquals(goes(kind, 900 * DAY, OPEN), false, kind);
    assertEquals(goes(kind, 900 * DAY, UNKNOWN), false, kind);
    assertEquals(goes(kind, 900 * DAY, ENDED), true, kind);
    assertEquals(goes(kind, 900 * DAY, GONE), true, kind);
  }
});

const LIMITS: readonly (readonly [of: WorkDirectory["of"], ms: number])[] = [
  ["local", 30 * DAY],
  ["issue", DAY],
  ["chat", HOUR],
  ["autopilot", HOUR],
  ["task", HOUR],
];

for (const [of, ms] of LIMITS) {
  Deno.test(`mayGo() lets a directory of kind ${of} go ${ms / HOUR} h after its end or its last use`, () => {
    assertEquals([goes(of, ms - 1, ENDED), goes(of, ms, ENDED)], [false, true]);
    const lately = { kind: "ended", at: NOW - ms + 1 } as const;
    assertEquals(goes(of, 900 * DAY, lately), false, "it has ended only now");
  });
}

Deno.test("mayGo() lets go what was deleted on the server an hour after its last use, and what nobody knows by age alone", () => {
  assertEquals([goes("issue", HOUR - 1, GONE), goes("issue", HOUR, GONE)], [false, true]);
  assertEquals([goes("begun", 3 * DAY - 1, UNKNOWN), goes("begun", 3 * DAY, UNKNOWN)], [false, true]);
  assertEquals([goes("none", 30 * DAY - 1, UNKNOWN), goes("none", 30 * DAY, UNKNOWN)], [false, true]);
});

Deno.test("mayBeLost() keeps unsaved work, unless it is to be discarded and its issue is over", () => {
  const discarding = gcPolicy({ retentionMs: DAY, discard: true });
  const outcomes = (word: Word, by: typeof policy) =>
    (["nothing", "uncommitted", "unpushed"] as Unsaved[]).map((unsaved) => mayBeLost(unsaved, word, by).remove);
  for (const word of [ENDED, OPEN, GONE, UNKNOWN]) assertEquals(outcomes(word, policy), [true, false, false]);
  assertEquals(outcomes(ENDED, discarding), [true, true, true]);
  assertEquals(outcomes(GONE, discarding), [true, true, true]);
  assertEquals(outcomes(UNKNOWN, discarding), [true, false, false]);
});

Deno.test("freeingPolicy() goes by the age that was asked for; only all of it means what is open as well", () => {
  const week = freeingPolicy(policy, { olderThanMs: 7 * DAY, all: false, discard: false });
  assertEquals([goes("local", 7 * DAY - 1, ENDED, {}, week), goes("local", 7 * DAY, ENDED, {}, week)], [false, true]);
  assertEquals(goes("issue", 900 * DAY, OPEN, {}, week), false);
  const all = freeingPolicy(policy, { all: true, discard: false });
  assertEquals(goes("issue", 0, UNKNOWN, {}, all), true);
  assertEquals(goes("issue", 0, UNKNOWN, { inUse: true }, all), false);
  assertEquals(mayBeLost("uncommitted", UNKNOWN, all).remove, false);
  const discarding = freeingPolicy(policy, { all: true, discard: true });
  assertEquals(mayBeLost("uncommitted", UNKNOWN, discarding).remove, true);
  assertEquals(freeingPolicy(policy, { all: false, discard: false }), policy);
});

Deno.test("repoMayGo() keeps a repository that work depends on, that holds unpushed commits, or that was used lately", () => {
  const old = { usedAt: NOW - 30 * DAY, worktrees: 0, unpushed: false };
  assert(repoMayGo(old, policy, NOW).remove);
  for (const change of [{ worktrees: 1 }, { unpushed: true }, { usedAt: NOW - 30 * DAY + 1 }]) {
    assertEquals(repoMayGo({ ...old, ...change }, policy, NOW).remove, false, JSON.stringify(change));
  }
});
