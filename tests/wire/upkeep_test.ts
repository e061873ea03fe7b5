/** The calls beside the tasks: what is read of their answers, and when a 404 means that something was deleted. */
import { assertEquals } from "@std/assert";
import type { WireClient } from "../../lib/wire/client.ts";
import { DailyUsageRequest, gcCheck, reportDailyUsage, saysDeleted, workspaceRepos } from "../../lib/wire/upkeep.ts";
import { type CallFailure, goneFrom } from "../../lib/wire/retry.ts";

function answering(value: unknown) {
  const calls: [method: string, path: string, body: unknown][] = [];
  const call: WireClient["call"] = (spec) => {
    calls.push([spec.method, spec.path, spec.body]);
    return Promise.resolve({ kind: "ok", value: spec.decode ? spec.decode(value) : undefined as never });
  };
  return { calls, client: { call } };
}

Deno.test("workspaceRepos() reads the list, and takes none or null for an empty one", async () => {
  for (
    const [answer, repos] of [[{}, []], [{ repos: null }, []], [{ repos: [{ url: "u", odd: 1 }] }, [{ url: "u" }]]]
  ) {
    const { client, calls } = answering(answer);
    const result = await workspaceRepos(client, "a/b");
    assertEquals(calls, [["GET", "/api/daemon/workspaces/a%2Fb/repos", undefined]]);
    assertEquals(result.kind === "ok" && result.value.map(({ url }) => ({ url })), repos as { url: string }[]);
  }
});

Deno.test("gcCheck() asks for each kind where the protocol has it", async () => {
  const { client, calls } = answering({ status: "done", updated_at: "2026-01-15T12:00:00Z" });
  for (const kind of ["issue", "chat", "autopilot", "task"] as const) {
    const result = await gcCheck(client, { kind, id: "i" });
    assertEquals(result.kind === "ok" && [result.value.status, result.value.updated_at], [
      "done",
      "2026-01-15T12:00:00Z",
    ]);
  }
  assertEquals(calls.map(([, path]) => path.replace("/api/daemon/", "")), [
    "issues/i/gc-check",
    "chat-sessions/i/gc-check",
    "autopilot-runs/i/gc-check",
    "tasks/i/gc-check",
  ]);
});

const ANSWERS: readonly (readonly [status: number, body: string, deleted: boolean])[] = [
  [404, '{"error":"issue not found"}', true],
  [404, '{"error":"task not found"}', true],
  [404, '{"error":"chat session not found"}', true],
  [404, '{"error":"autopilot run not found"}', true],
  [404, '{"error":"404 page not found"}', false],
  [404, "404 page not found", false],
  [404, '{"error":"workspace not found"}', false],
  [404, '{"error":"runtime not found"}', false],
  [404, "<html>nginx</html>", false],
  [410, '{"error":"issue not found"}', false],
  [403, '{"error":"issue not found"}', false],
];

Deno.test("saysDeleted() believes a server that names what is not there, and neither a missing route nor a proxy", () => {
  for (const [status, body, deleted] of ANSWERS) {
    const gone = goneFrom(status, body);
    const failure: CallFailure = {
      ...{ kind: "failed", code: "status", status, detail: `GET /x: status ${status}, ${JSON.stringify(body)}` },
      ...(gone ? { gone } : {}),
    };
    assertEquals(saysDeleted(failure), deleted, body);
  }
});

Deno.test("reportDailyUsage() sends what the coordinator takes", async () => {
  const { client, calls } = answering(undefined);
  const entry = {
    ...{ date: "2026-01-15", provider: "claude", model: "m" },
    ...{ input_tokens: 1, output_tokens: 2, cache_read_tokens: 3, cache_write_tokens: 4 },
  };
  await reportDailyUsage(client, "r", { entries: [entry] });
  assertEquals(calls[0]?.slice(0, 2), ["POST", "/api/daemon/runtimes/r/usage"]);
  assertEquals(DailyUsageRequest.parse(calls[0]?.[2]).entries, [entry]);
  assertEquals(DailyUsageRequest.parse({ entries: null }).entries, []);
});
