/** What may be tried again, decided from code and status alone. */
import { assertEquals } from "@std/assert";
import { type CallFailure, goneFrom, isMendable, isTransient, isUncertain } from "../../lib/wire/retry.ts";

const answered = (status: number): CallFailure => ({ kind: "failed", code: "status", status, detail: "" });
const without = (code: "transport" | "decode" | "aborted"): CallFailure => ({
  kind: "failed",
  code,
  status: code === "decode" ? 200 : 0,
  detail: "",
});

const RULES: [CallFailure, transient: boolean, uncertain: boolean][] = [
  [without("transport"), true, true],
  [without("decode"), true, true],
  [without("aborted"), false, false],
  [answered(500), true, false],
  [answered(501), true, false],
  [answered(502), true, true],
  [answered(503), true, false],
  [answered(504), true, true],
  [answered(429), true, false],
  [answered(408), true, false],
  [answered(400), false, false],
  [answered(401), false, false],
  [answered(403), false, false],
  [answered(404), false, false],
  [answered(409), false, false],
  [answered(422), false, false],
  [answered(302), false, false],
];

Deno.test("isTransient() and isUncertain() judge a failure by its code and status", () => {
  for (const [failure, transient, uncertain] of RULES) {
    assertEquals([isTransient(failure), isUncertain(failure)], [transient, uncertain], JSON.stringify(failure));
  }
});

Deno.test("isMendable() takes a refusal for a matter of credentials unless the server names what is missing", () => {
  for (const failure of [answered(401), answered(403), answered(404)]) assertEquals(isMendable(failure), true);
  assertEquals(isMendable({ ...answered(404), gone: "workspace" }), true);
  for (const gone of ["task", "route"] as const) assertEquals(isMendable({ ...answered(404), gone }), false);
  for (const failure of [answered(400), answered(500), without("transport")]) assertEquals(isMendable(failure), false);
});

Deno.test("isTransient() does not look at the text of a failure", () => {
  assertEquals(isTransient({ ...answered(400), detail: "connection reset, timeout, 503, try again" }), false);
});

Deno.test("goneFrom() reads a 404's text in any case and any wrapping", () => {
  assertEquals(goneFrom(404, '{"error":"RUNTIME NOT FOUND: r1"}'), "runtime");
  assertEquals(goneFrom(404, "the task not found"), "task");
  assertEquals(goneFrom(404, "not found"), undefined);
  assertEquals(goneFrom(410, "task not found"), undefined);
});
