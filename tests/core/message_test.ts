/** Why a run was stopped travels with its signal. */
import { assertEquals, assertInstanceOf } from "@std/assert";
import { StopError, type StopReason, stopReasonOf } from "../../lib/core/message.ts";

Deno.test("stopReasonOf() reads the typed reason of an aborted signal", () => {
  const reasons: StopReason[] = [
    { kind: "cancelled", by: "user" },
    { kind: "time-limit", limitMs: 5 },
    { kind: "gone" },
    { kind: "shutdown" },
  ];
  for (const reason of reasons) {
    const error = new StopError(reason);
    assertInstanceOf(error, Error);
    assertEquals(stopReasonOf(AbortSignal.abort(error)), reason);
  }
});

Deno.test("stopReasonOf() takes any other reason as a shutdown", () => {
  for (const signal of [AbortSignal.abort(), AbortSignal.abort("text"), AbortSignal.abort(new Error("x"))]) {
    assertEquals(stopReasonOf(signal), { kind: "shutdown" });
  }
});
