/** Pauses of agent CLIs: which failures make one, until when, and what a look at the login changes. */
import { assertEquals, assertMatch } from "@std/assert";
import type { Outcome } from "../../lib/core/message.ts";
import { isOver, PAUSE, type Pause, pauseAfter, pauseAfterCheck, pauseText } from "../../lib/core/runtime_pause.ts";

const NOW = Date.UTC(2026, 0, 15, 12);
const AT = { how: "tool login", now: NOW };

function failed(reason: Extract<Outcome, { kind: "failed" }>["reason"], retryAt?: number): Outcome {
  return { kind: "failed", reason, detail: "401 no key\nmore", ...(retryAt === undefined ? {} : { retryAt }) };
}

function login(change: Partial<Extract<Pause, { kind: "login" }>> = {}): Pause {
  return { kind: "login", since: 1, why: "401", how: "old", signs: "a", seenOut: false, ...change };
}

Deno.test("pauseAfter() pauses for what all tasks would fail for, and for nothing else", () => {
  assertEquals(pauseAfter(failed("agent_error.provider_auth_or_access"), AT), {
    kind: "login",
    since: NOW,
    why: "401 no key",
    how: "tool login",
    signs: "",
    seenOut: false,
  });
  const others = ["agent_error.provider_capacity_or_rate_limit", "agent_error.provider_network", "timeout"] as const;
  for (const reason of others) assertEquals(pauseAfter(failed(reason), AT), undefined, reason);
  assertEquals(pauseAfter({ kind: "completed", output: "" }, AT), undefined);
});

Deno.test("pauseAfter() believes the provider's time within a week, and takes a quarter of an hour without one", () => {
  const until = (retryAt?: number) => {
    const pause = pauseAfter(failed("agent_error.provider_quota_limit", retryAt), AT);
    return pause?.kind === "quota" ? pause.until - NOW : undefined;
  };
  assertEquals(until(), 15 * 60_000);
  assertEquals(until(NaN), 15 * 60_000);
  assertEquals(until(NOW + 3_600_000), 3_600_000);
  assertEquals(until(NOW - 5_000), PAUSE.soonestMs);
  assertEquals(until(NOW + 400 * 24 * 3_600_000), PAUSE.longestMs);
});

Deno.test("pauseAfterCheck() asks for a login only when nobody is certainly logged in", () => {
  assertEquals(pauseAfterCheck(undefined, { verdict: "in", signs: "a" }, AT), undefined);
  assertEquals(pauseAfterCheck(undefined, { verdict: "unknown", signs: "a" }, AT), undefined);
  const out = pauseAfterCheck(undefined, { verdict: "out", signs: "a" }, AT);
  assertEquals(out, {
    kind: "login",
    since: NOW,
    why: "nobody is logged in",
    how: "tool login",
    signs: "a",
    seenOut: true,
  });
});

Deno.test("pauseAfterCheck() ends a pause when somebody has logged in, and not for what has just failed", () => {
  const after = (before: Pause, verdict: "in" | "out" | "unknown", signs: string) =>
    pauseAfterCheck(before, { verdict, signs }, AT);
  // The first look says what failed, even though it looks like a login.
  assertEquals(after(login({ signs: "" }), "in", "a"), login({ signs: "a" }));
  assertEquals(after(login(), "in", "a"), login());
  assertEquals(after(login(), "unknown", "a"), login());
  // Another key or another file: worth a try.
  assertEquals(after(login(), "in", "b"), undefined);
  assertEquals(after(login(), "unknown", "b"), undefined);
  // Where the CLI itself said that nobody was, its word that somebody is counts.
  const seen = after(login(), "out", "a")!;
  assertEquals([seen.kind === "login" && seen.seenOut, seen.since], [true, 1]);
  assertEquals(after(seen, "in", "a"), undefined);
  assertEquals(after(seen, "unknown", "a"), seen);
});

Deno.test("pauseAfterCheck() leaves a spent quota alone", () => {
  const quota: Pause = { kind: "quota", since: 1, until: 2, why: "" };
  assertEquals(pauseAfterCheck(quota, { verdict: "in", signs: "b" }, AT), quota);
});

Deno.test("isOver() is for time alone", () => {
  assertEquals(isOver({ kind: "quota", since: 1, until: NOW, why: "" }, NOW), true);
  assertEquals(isOver({ kind: "quota", since: 1, until: NOW + 1, why: "" }, NOW), false);
  assertEquals(isOver(login(), NOW * 2), false);
});

Deno.test("pauseText() says until when, or what to type", () => {
  assertMatch(pauseText({ kind: "quota", until: NOW + 60_000 }, NOW), /^paused until \d\d:\d\d: quota$/);
  assertMatch(pauseText({ kind: "quota", until: NOW + 50 * 3_600_000 }, NOW), /until 2026-01-1[67] \d\d:\d\d: quota$/);
  assertEquals(pauseText({ kind: "login", how: "tool login" }, NOW), "needs login: tool login");
  assertEquals(pauseText({ kind: "login", how: "" }, NOW), "needs login");
  const until = NOW + 60_000;
  assertEquals(
    pauseText({ kind: "limit", until, why: "2 of 2 tasks today" }, NOW),
    "limit reached: 2 of 2 tasks today, until midnight",
  );
  assertMatch(
    pauseText({ kind: "person", until, why: "lunch", how: "drover resume" }, NOW),
    /^paused until [\d:]{5}: lunch$/,
  );
  assertEquals(
    pauseText({ kind: "person", until: null, why: "", how: "drover resume" }, NOW),
    "paused until drover resume",
  );
  assertEquals(pauseText({ kind: "battery", until: null }, NOW), "no tasks on battery");
  assertMatch(pauseText({ kind: "of a newer daemon", until, why: "x" }, NOW), /^paused until [\d:]{5}: x$/);
});
