/** Following a task whose holder goes away: who comes back is followed on, and where nobody can, that is what is said. */
import { assertEquals, assertRejects } from "@std/assert";
import type { FollowEvent, UserApi } from "../../lib/app/control_client.ts";
import type { Holder } from "../../lib/app/daemon_host.ts";
import { leave } from "../../lib/app/sessions.ts";
import { followTask } from "../../lib/cli/follow.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import type { Phase } from "../../lib/core/phase.ts";
import type { TaskView } from "../../lib/wire/control.ts";
import { FakeClock } from "../support/fake_clock.ts";

const CLOSED = new DroverError("not_running", "The coordinator is closed");

const task = (id: string, more: Partial<TaskView> = {}) => ({ id, status: "failed", ...more }) as TaskView;

/** Plays what is said of each task; one of which nothing is known is asked of a holder that has ended. */
function api(events: Record<string, readonly FollowEvent[]>): UserApi {
  return {
    async *follow(id: string) {
      await Promise.resolve();
      if (!events[id]) throw CLOSED;
      yield* events[id];
    },
  } as unknown as UserApi;
}

Deno.test("followTask() says what became of the last attempt where the holder ended and there is no other", async () => {
  const options = {
    clock: new FakeClock(),
    signal: new AbortController().signal,
    onMessage: () => {},
    onTask: () => {},
  };
  const first = api({ one: [{ kind: "end", task: task("one", { retried_by: "two" }) }] });
  const lost = (id: string) => new DroverError("not_running", `${id} waits`);
  const said = await assertRejects(() => followTask(first, "one", { ...options, lost }), DroverError);
  assertEquals(said.message, "two waits");
  assertEquals((await assertRejects(() => followTask(first, "one", options), DroverError)).message, CLOSED.message);
  const second = api({ two: [{ kind: "end", task: task("two", { status: "completed" }) }] });
  const ended = await followTask(first, "one", { ...options, reconnect: () => Promise.resolve(second) });
  assertEquals([ended.id, ended.status], ["two", "completed"]);
});

Deno.test("leave() asks nothing of a holder that another command has ended, or ends while it is asked", async () => {
  for (const when of ["before", "meanwhile"] as const) {
    const phase: { kind: Phase["kind"] } = { kind: when === "before" ? "stopped" : "running" };
    let asked = 0;
    const holder = {
      daemon: { phase, stop: () => {} },
      userApi: {
        queue() {
          asked++;
          phase.kind = "stopped";
          return Promise.reject(CLOSED);
        },
      },
      closed: Promise.resolve("exit"),
    } as unknown as Holder;
    await leave({ clock: new FakeClock() }, holder, new AbortController().signal);
    assertEquals(asked, when === "before" ? 0 : 1);
  }
});
