/** Who is here: found by its token only while its agent works, and never with the ground removed under it. */
import { assertEquals } from "@std/assert";
import { RunningTasks } from "../../lib/daemon/running_tasks.ts";
import type { Connection } from "../../lib/daemon/connection.ts";
import { ClaimedTask } from "../../lib/wire/payloads.ts";

const connection = { name: "embedded", remote: false } as Connection;

function running(id: string) {
  return { task: ClaimedTask.parse({ id, auth_token: `mat_${id}` }), connection, workdir: "" };
}

Deno.test("RunningTasks knows a task by its token from when it has a directory until it leaves", async () => {
  const tasks = new RunningTasks();
  const entry = running("t1");
  const presence = await tasks.enter(entry, ["/w/1"]);
  assertEquals([tasks.byToken("mat_t1"), tasks.uses("/w/1")], [undefined, true]);
  entry.workdir = "/w/1/workdir";
  assertEquals(tasks.byToken("mat_t1"), entry);
  assertEquals([tasks.byToken(""), tasks.byToken("mat_t2")], [undefined, undefined]);
  presence[Symbol.dispose]();
  assertEquals([tasks.byToken("mat_t1"), tasks.uses("/w/1")], [undefined, false]);
});

Deno.test("RunningTasks removes nothing that a task uses, and a task waits for a removal that has begun", async () => {
  const tasks = new RunningTasks();
  const said: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const removal = tasks.removing("/w/1", async () => {
    await promise;
    said.push("removed");
  });
  const entering = tasks.enter(running("t1"), ["/w/1"]).then((presence) => (said.push("entered"), presence));
  await Promise.resolve();
  assertEquals(said, []);
  resolve();
  assertEquals(await removal, true);
  using _presence = await entering;
  assertEquals(said, ["removed", "entered"]);
  assertEquals(await tasks.removing("/w/1", () => Promise.reject(new Error("not now"))), false);
});

Deno.test("RunningTasks lets tasks in after a removal that failed", async () => {
  const tasks = new RunningTasks();
  const failed = await tasks.removing("/w/1", () => Promise.reject(new Error("disk on fire"))).catch((error) => error);
  assertEquals(failed.message, "disk on fire");
  using _presence = await tasks.enter(running("t1"), ["/w/1"]);
  assertEquals(tasks.uses("/w/1"), true);
});
