/** Notices between coordinators: what is told is heard, and what cannot be understood does no harm. */
import { assert, assertEquals } from "@std/assert";
import type { Wakeup } from "../../lib/coordinator/coordinator.ts";
import { hearPeers, tellPeers } from "../../lib/coordinator/notices.ts";
import { Progress } from "../../lib/coordinator/progress.ts";
import type { Peers } from "../../lib/coordinator/store.ts";
import { Topics, Wakeups } from "../../lib/coordinator/wake.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { SILENT } from "./world.ts";

/** One process that tells and one that hears, and all that went between them. */
function pair() {
  const sent: string[] = [];
  let heard: (notice: string) => void = () => {};
  const told: Peers = { send: (notice) => (sent.push(notice), heard(notice)), listen() {} };
  const tell = tellPeers(told);
  const here = { wakeups: new Wakeups(new FakeClock()), topics: new Topics(SILENT), progress: new Progress() };
  hearPeers({ send() {}, listen: (fn) => heard = fn }, { ...here, log: SILENT });
  const there = {
    wakeups: new Wakeups(new FakeClock(), tell),
    topics: new Topics(SILENT, tell),
    progress: new Progress(tell),
  };
  return { here, there, sent, say: (text: string) => heard(text) };
}

Deno.test("Wakeups, Topics and Progress reach those of the other process, and are not sent back", async () => {
  const { here, there, sent } = pair();
  const stop = new AbortController();
  const wakeups = here.wakeups.subscribe(stop.signal)[Symbol.asyncIterator]();
  let changes = 0;
  using _follower = here.topics.follow("t", { changed: () => changes++, closed() {} });
  const wakeup: Wakeup = { kind: "task-available", runtimeId: "r", taskId: "t" };
  there.wakeups.publish(wakeup);
  there.wakeups.publish({ kind: "profiles-changed" });
  there.topics.notify("t");
  there.progress.set("t", "half way");
  assertEquals((await wakeups.next()).value, wakeup);
  assertEquals((await wakeups.next()).value, { kind: "profiles-changed" });
  assertEquals([changes, here.progress.get("t")], [1, "half way"]);
  there.progress.delete("t");
  assertEquals([here.progress.get("t"), sent.length], [undefined, 5]);
  stop.abort();
});

Deno.test("tellPeers() keeps every notice below the limit, however long a progress line is", () => {
  const { there, here, sent } = pair();
  there.progress.set("t", "\u{1f600}\u0001".repeat(50_000));
  assert(new TextEncoder().encode(sent[0]).length < 7_000);
  assert(here.progress.get("t")!.length >= 1_000);
});

Deno.test("Progress forgets the oldest lines rather than grow without end", () => {
  const progress = new Progress();
  for (let i = 0; i < 10_001; i++) progress.set(`t${i}`, "x");
  assertEquals([progress.get("t0"), progress.get("t1"), progress.get("t10000")], [undefined, "x", "x"]);
});

Deno.test("hearPeers() passes over what it does not understand", () => {
  const { here, say } = pair();
  for (const text of ["", "{", "null", '{"wakeup":{"kind":"new-kind"}}', '{"progress":1}', '{"later":true}']) say(text);
  say('{"progress":"t","line":"still here","more":1}');
  assertEquals(here.progress.get("t"), "still here");
});
