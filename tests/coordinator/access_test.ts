/** Every route for every kind of caller: who is let in, what the others hear, and that it changes nothing. */
import { assertEquals } from "@std/assert";
import { callOf, type Row, TABLE } from "./access_table.ts";
import { AccessWorld, answerTo, type CallerName, CALLERS } from "./access_world.ts";
import { storeKind } from "./stores.ts";

Deno.test("Every route is in the table of who may call it, and the table has no other", async () => {
  await using w = await AccessWorld.create();
  assertEquals([...w.routes].sort(), Object.keys(TABLE).sort());
});

type Table = readonly (readonly [route: string, row: Row])[];

/** All callers of these routes, one after the other in one world. */
async function check(table: Table, callers: (row: Row) => readonly CallerName[]): Promise<void> {
  await using w = await AccessWorld.create();
  const secrets = [w.home, w.runtime, w.task, w.issue, w.agent, w.profile];
  for (const [route, row] of table) {
    const call = callOf(w, route);
    const dump = () => w.dump(row.elsewhere ? w.home : "");
    let before = await dump();
    let ok = row.ok ?? 200;
    for (const caller of callers(row)) {
      const expected = row.who[caller];
      const { status, body } = await answerTo(w.fetch, call, w.header(caller));
      if (expected === "in") {
        assertEquals(status, ok, `${route}: ${caller} is let in: ${JSON.stringify(body)}`);
        ok = row.again ?? ok;
        before = await dump();
        continue;
      }
      const [wanted, text] = expected;
      assertEquals([status, body], [wanted, text ?? body], `${route}: ${caller}`);
      const said = JSON.stringify(body ?? "");
      const told = secrets.filter((secret) => !JSON.stringify(call).includes(secret) && said.includes(secret));
      assertEquals(told, [], `${route}: ${caller} hears nothing of what is there: ${said}`);
      if (table.length === 1) assertEquals(await dump(), before, `${route}: ${caller} changes nothing`);
    }
    assertEquals(await dump(), before, `${route}: nobody has changed anything who may not`);
  }
}

if (storeKind() === "sqlite") {
  for (const entry of Object.entries(TABLE)) {
    Deno.test(`${entry[0]}: who is let in, and what the others hear`, () => check([entry], () => CALLERS));
  }
} else {
  Deno.test("Every route turns away whom it should", () =>
    check(Object.entries(TABLE), ({ who }) => CALLERS.filter((caller) => who[caller] !== "in")));
}

Deno.test("No other spelling of an address leads past the question who comes", async () => {
  await using w = await AccessWorld.create();
  const paths = [
    `/api/%64aemon/tasks/${w.task}/status`,
    `/%61pi/daemon/tasks/${w.task}/status`,
    `//api/daemon/tasks/${w.task}/status`,
    `/api//daemon/tasks/${w.task}/status`,
    `/API/daemon/tasks/${w.task}/status`,
    `/api/daemon/tasks/${w.task}/status/`,
    `/api/x/../daemon/tasks/${w.task}/status`,
    `/api/daemon%2ftasks/${w.task}/status`,
    `/api/daemon/tasks/${w.task}/status;x=1`,
    `/V1/tasks/${w.task}`,
    `/%76%31/tasks/${w.task}`,
    `//v1/tasks/${w.task}`,
    `/v1//tasks/${w.task}`,
  ];
  for (const path of paths) {
    for (const caller of ["no token", "the task", "a user of another workspace"] as const) {
      for (const method of ["GET", "HEAD", "OPTIONS", "POST"]) {
        const { status } = await answerTo(w.fetch, { method, path, body: {} }, w.header(caller));
        assertEquals(status === 401 || status === 404, true, `${caller}: ${method} ${path} -> ${status}`);
      }
    }
  }
});

Deno.test("Who leaves a workspace is out of it with the next call, with the token that was good before", async () => {
  await using w = await AccessWorld.create();
  const call = { method: "POST", path: `/api/daemon/tasks/${w.task}/start` };
  const see = { method: "GET", path: `/api/daemon/tasks/${w.task}/status` };
  assertEquals((await answerTo(w.fetch, see, w.header("the user"))).status, 200);
  await w.shared.store.run("DELETE FROM members WHERE workspace_id = :home", { home: w.home });
  assertEquals(await answerTo(w.fetch, call, w.header("the user")), { status: 404, body: { error: "not found" } });
  assertEquals((await answerTo(w.fetch, see, w.header("the daemon"))).body, { status: "dispatched" });
});

Deno.test("What is named in a body is looked at like what is named in an address", async () => {
  await using w = await AccessWorld.create();
  const stranger = w.header("a user of another workspace");
  const send = (path: string, body: unknown) => answerTo(w.fetch, { method: "POST", path, body }, stranger);
  const [away] = (await answerTo(w.fetch, { method: "GET", path: "/api/workspaces" }, stranger)).body;
  const before = await w.dump(w.home);
  const registered = await send("/api/daemon/register", {
    workspace_id: away.id,
    daemon_id: "d1",
    runtimes: [{ type: "claude", profile_id: w.profile }],
  });
  assertEquals(registered, { status: 400, body: { error: `unknown runtime profile: ${w.profile}` } });
  const checked = await send(`/api/daemon/workspaces/${away.id}/issues/gc-check`, { issue_ids: [w.issue] });
  assertEquals(checked.body.issues, [{ id: w.issue, found: false }]);
  assertEquals((await send("/api/issues", { title: "x", agent_id: w.agent })).status, 404);
  assertEquals((await send("/api/agents", { name: "x", runtime_id: w.runtime })).status, 404);
  const named = { "x-workspace-id": w.home };
  for (const path of ["/api/issues", "/v1/tasks", "/v1/agents"]) {
    const { status } = await answerTo(w.fetch, { method: "GET", path, headers: named }, stranger);
    assertEquals(status >= 400 && status < 500, true, `${path}: ${status}`);
  }
  const claim = { daemon_id: "d1", runtime_ids: [w.runtime], max_tasks: 9 };
  assertEquals((await send("/api/daemon/tasks/claim", claim)).body, { tasks: [] });
  assertEquals(await w.dump(w.home), before);
});
