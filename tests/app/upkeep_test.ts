/** A server's word on whether a work directory is still needed: every answer it may give, and none. */
import { assertEquals } from "@std/assert";
import { openHealthPort } from "../../lib/app/health_port.ts";
import { remoteWord } from "../../lib/app/upkeep.ts";
import type { Word } from "../../lib/core/gc.ts";
import type { Network } from "../../lib/core/ports.ts";
import type { Connection } from "../../lib/daemon/connection.ts";
import type { WorkRecord } from "../../lib/daemon/work_record.ts";
import { fakeClient, LOST, ok, refused } from "../daemon/fake_connection.ts";
import { keptLog } from "../daemon/kept_log.ts";

const signal = new AbortController().signal;
const NEVER = { updated_at: null, completed_at: null };
const WHEN = "2026-01-15T12:00:00.000Z";

const WORDS: readonly (readonly [subject: WorkRecord["subject"], answer: object, kind: Word["kind"]])[] = [
  ["issue", { status: "done" }, "ended"],
  ["issue", { status: "cancelled" }, "ended"],
  ["issue", { status: "in_review" }, "open"],
  ["issue", { status: "something new" }, "open"],
  ["issue", { status: "completed" }, "open"],
  ["chat", { status: "archived" }, "ended"],
  ["chat", { status: "active" }, "open"],
  ["autopilot", { status: "completed" }, "ended"],
  ["autopilot", { status: "running" }, "open"],
  ["task", { status: "failed" }, "ended"],
  ["task", { status: "queued" }, "open"],
];

function word(subject: WorkRecord["subject"], answer: unknown): Promise<Word> {
  const client = fakeClient({ call: () => Promise.resolve(answer as never) });
  const record: WorkRecord = { connection: "team", remote: true, task: "t", subject, subjectId: "i", usedAt: 0 };
  return remoteWord(record, [{ name: "team", client } as unknown as Connection], signal);
}

for (const [subject, answer, kind] of WORDS) {
  Deno.test(`remoteWord() takes ${JSON.stringify(answer)} of a ${subject} for ${kind}`, async () => {
    assertEquals((await word(subject, ok({ ...NEVER, ...answer }))).kind, kind);
  });
}

Deno.test("remoteWord() says since when it is over, that it was deleted, and that nobody knows", async () => {
  const at = Date.parse(WHEN);
  assertEquals(await word("issue", ok({ ...NEVER, status: "done", updated_at: WHEN })), { kind: "ended", at });
  assertEquals(await word("task", ok({ ...NEVER, status: "completed", completed_at: WHEN })), { kind: "ended", at });
  assertEquals((await word("task", refused(404, "task"))).kind, "gone");
  for (const answer of [refused(404, "route"), refused(404, "workspace"), refused(401), refused(500), LOST]) {
    assertEquals((await word("issue", answer)).kind, "unknown", JSON.stringify(answer));
  }
  const record: WorkRecord = {
    connection: "gone",
    remote: true,
    task: "t",
    subject: "issue",
    subjectId: "i",
    usedAt: 0,
  };
  assertEquals((await remoteWord(record, [], signal)).kind, "unknown");
});

Deno.test("the health port passes a checkout on, under its own name only, and nothing else", async () => {
  let handler: (request: Request) => Response | Promise<Response> = () => new Response();
  const serveLoopback: Network["serveLoopback"] = (port, given) => {
    handler = given;
    return { port, close: () => Promise.resolve() };
  };
  openHealthPort({
    port: 9514,
    network: { serveLoopback } as Network,
    log: keptLog(),
    view: () => ({}) as never,
    checkout: (request) =>
      new URL(request.url).pathname === "/repo/checkout" ? Promise.resolve(new Response("asked")) : undefined,
  });
  const ask = async (path: string, host: string) => {
    const answer = await handler(new Request(`http://x${path}`, { method: "POST", headers: { host } }));
    return [answer.status, await answer.text()] as const;
  };
  assertEquals(await ask("/repo/checkout", "127.0.0.1:9514"), [200, "asked"]);
  assertEquals((await ask("/repo/checkout", "evil.example:9514"))[0], 403);
  assertEquals((await ask("/v1/disk/free", "127.0.0.1:9514"))[0], 404);
});
