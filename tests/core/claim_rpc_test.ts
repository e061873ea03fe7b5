/** Which way a claim goes: the table of outcomes, and every way out of a doubt. */
import { assertEquals } from "@std/assert";
import {
  afterRpc,
  type ClaimLink,
  type LinkEvent,
  nextRoute,
  NO_LINK,
  type RpcOutcome,
  stepLink,
} from "../../lib/core/claim_rpc.ts";

const answered = (status: number): RpcOutcome => ({ kind: "answered", status, body: {} });

Deno.test("afterRpc() uses what was answered, asks by HTTP what certainly failed, and holds what nobody knows", () => {
  const cases: readonly (readonly [RpcOutcome, ReturnType<typeof afterRpc>])[] = [
    [answered(200), "use"],
    [answered(204), "use"],
    [answered(400), "http"],
    [answered(404), "http"],
    [answered(429), "http"],
    [answered(500), "http"],
    [{ kind: "unsent", why: "buffer full" }, "http"],
    [{ kind: "uncertain", why: "connection lost" }, "hold"],
  ];
  for (const [outcome, next] of cases) assertEquals(afterRpc(outcome), next, JSON.stringify(outcome));
});

const after = (events: readonly LinkEvent[], now = 0, link: ClaimLink = NO_LINK) =>
  events.reduce((state, event) => stepLink(state, event, now), link);

const DOUBT: LinkEvent = { kind: "rpc-ended", outcome: { kind: "uncertain", why: "" } };

Deno.test("nextRoute() uses the WebSocket only while it is open and has offered that on this very connection", () => {
  const steps: readonly (readonly [LinkEvent["kind"], string])[] = [
    ["connected", "batch"],
    ["rpc-offered", "rpc"],
    ["disconnected", "batch"],
    ["connected", "batch"],
  ];
  let link = NO_LINK;
  for (const [kind, route] of steps) {
    link = stepLink(link, { kind } as LinkEvent, 0);
    assertEquals(nextRoute(link, 0).kind, route, kind);
  }
});

Deno.test("nextRoute() claims nothing for 7 s after a doubt, then once by HTTP, whatever the connection does meanwhile", () => {
  for (
    const more of [[], [{ kind: "disconnected" }, { kind: "connected" }, { kind: "rpc-offered" }]] as LinkEvent[][]
  ) {
    const link = after([{ kind: "connected" }, { kind: "rpc-offered" }, DOUBT, ...more]);
    assertEquals(nextRoute(link, 6_999), { kind: "hold", ms: 1 });
    assertEquals(nextRoute(link, 7_000).kind, "batch");
    assertEquals(nextRoute(after([{ kind: "http-claimed" }], 7_000, link), 7_001).kind, "rpc");
  }
});

Deno.test("nextRoute() asks runtime by runtime where the batch is missing, until the next connection or half an hour", () => {
  const link = after([{ kind: "batch-missing" }]);
  assertEquals([nextRoute(link, 0).kind, nextRoute(link, 30 * 60_000).kind], ["single", "batch"]);
  assertEquals(nextRoute(after([{ kind: "connected" }], 0, link), 0).kind, "batch");
});
