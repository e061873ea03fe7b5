/** Reporting start: a process only after a certain yes, and never a good run killed by a doubt. */
import { assertEquals } from "@std/assert";
import type { Random } from "../../lib/core/ports.ts";
import { reportStart, type StartVerdict } from "../../lib/daemon/task_start.ts";
import type { CallFailure, CallResult } from "../../lib/wire/retry.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { fakeClient, LOST, ok, refused } from "./fake_connection.ts";

const RANDOM: Random = { uuid: () => "u", hex: () => "h", fraction: () => 0.5 };
const GONE = refused(404, "task");
const GARBAGE: CallFailure = { kind: "failed", code: "decode", status: 200, detail: "garbage" };

type Start = "ok" | CallFailure;
type Status = string | CallFailure;

interface Told {
  readonly verdict: StartVerdict["kind"];
  readonly starts: number;
  readonly statuses: number;
}

/** Plays the answers in turn; the last of each repeats. */
async function told(starts: readonly Start[], statuses: readonly Status[] = []): Promise<Told> {
  const clock = new FakeClock();
  const counts = { starts: 0, statuses: 0 };
  const client = fakeClient({
    start: (id) => {
      const answer = starts[Math.min(counts.starts++, starts.length - 1)]!;
      return Promise.resolve(answer === "ok" ? ok({ id, status: "running" }) : answer);
    },
    status: () => {
      const answer = statuses[Math.min(counts.statuses++, statuses.length - 1)]!;
      return Promise.resolve<CallResult<string>>(typeof answer === "string" ? ok(answer) : answer);
    },
  });
  const { signal } = new AbortController();
  const verdict = reportStart(client, "t", { clock, random: RANDOM, signal });
  await clock.advance(400_000);
  assertEquals(clock.waiting, 0);
  return { verdict: (await verdict).kind, ...counts };
}

Deno.test("reportStart() spawns after a yes", async () => {
  assertEquals(await told(["ok"]), { verdict: "go", starts: 1, statuses: 0 });
});

Deno.test("reportStart() reads the status after the ambiguous 400, and fails only what is still waiting for us", async () => {
  const rows: [Status, StartVerdict["kind"]][] = [
    ["dispatched", "refused"],
    ["waiting_local_directory", "refused"],
    ["queued", "refused"],
    ["running", "drop"],
    ["completed", "drop"],
    ["failed", "drop"],
    ["cancelled", "drop"],
    [GONE, "drop"],
  ];
  for (const [status, verdict] of rows) {
    assertEquals(await told([refused(400)], [status]), { verdict, starts: 1, statuses: 1 }, String(status));
  }
});

Deno.test("reportStart() fails a task whose start is refused for good", async () => {
  for (const failure of [refused(409), refused(422), refused(404, "route")]) {
    assertEquals(await told([failure], ["dispatched"]), { verdict: "refused", starts: 1, statuses: 0 });
  }
});

Deno.test("reportStart() leaves a task to be offered again while only a person can mend why it is refused", async () => {
  for (const failure of [refused(401), refused(403), refused(404), refused(404, "workspace")]) {
    assertEquals(await told([failure], ["dispatched"]), { verdict: "drop", starts: 4, statuses: 4 });
    assertEquals(await told([failure, "ok"], [failure]), { verdict: "go", starts: 2, statuses: 1 });
  }
});

Deno.test("reportStart() drops a task that was deleted", async () => {
  assertEquals(await told([GONE]), { verdict: "drop", starts: 1, statuses: 0 });
});

Deno.test("reportStart() takes a running task for its own when the answer to its start was lost", async () => {
  for (const lost of [LOST, GARBAGE, refused(502), refused(504)]) {
    assertEquals(await told([lost], ["running"]), { verdict: "go", starts: 1, statuses: 1 });
  }
});

Deno.test("reportStart() remembers a lost answer when the repeated start is then refused", async () => {
  assertEquals(await told([LOST, refused(400)], [LOST, "running"]), { verdict: "go", starts: 2, statuses: 2 });
});

Deno.test("reportStart() drops a running task when its start was certainly not carried out", async () => {
  assertEquals(await told([refused(500)], ["running"]), { verdict: "drop", starts: 1, statuses: 1 });
});

Deno.test("reportStart() tries again while the server is in trouble", async () => {
  assertEquals(await told([refused(500), LOST, "ok"], ["dispatched"]), { verdict: "go", starts: 3, statuses: 2 });
  assertEquals(await told([refused(503), "ok"], [LOST]), { verdict: "go", starts: 2, statuses: 1 });
});

Deno.test("reportStart() drops a task that ended while its start was in doubt", async () => {
  assertEquals(await told([LOST], ["cancelled"]), { verdict: "drop", starts: 1, statuses: 1 });
});

Deno.test("reportStart() gives up after four tries where certainly nothing happened", async () => {
  assertEquals(await told([refused(503)], [refused(503)]), { verdict: "drop", starts: 4, statuses: 4 });
  assertEquals(await told([refused(503)], [LOST]), { verdict: "drop", starts: 4, statuses: 4 });
  assertEquals(await told([LOST], ["dispatched"]), { verdict: "drop", starts: 4, statuses: 4 });
});

Deno.test("reportStart() waits some minutes for a server that may have carried it out, then has it reported", async () => {
  const away = Array.from({ length: 12 }, () => LOST);
  assertEquals(await told([LOST], [...away, "running"]), { verdict: "go", starts: 13, statuses: 13 });
  assertEquals(await told([LOST], [...away, "cancelled"]), { verdict: "drop", starts: 13, statuses: 13 });
  const { verdict, starts, statuses } = await told([LOST, refused(503)], [LOST]);
  assertEquals([verdict, starts === statuses, starts > 50], ["unknown", true, true]);
});

Deno.test("reportStart() ends with its signal, in a call or between two", async () => {
  const aborted: CallFailure = { ...LOST, code: "aborted" };
  assertEquals((await told([aborted])).verdict, "drop");
  const clock = new FakeClock();
  const abort = new AbortController();
  const client = fakeClient({ start: () => Promise.resolve(LOST), status: () => Promise.resolve(LOST) });
  const verdict = reportStart(client, "t", { clock, random: RANDOM, signal: abort.signal });
  await clock.settle();
  abort.abort();
  assertEquals([(await verdict).kind, clock.waiting], ["drop", 0]);
});
