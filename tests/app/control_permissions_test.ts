/** The control socket's routes about permissions: whom a short id means, what is answered, and every refusal. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { answerAboutPermissions } from "../../lib/app/control_permissions.ts";
import type { PendingPermission, PermissionAnswer } from "../../lib/daemon/permissions.ts";

const ASKS: PendingPermission[] = ["aaaa-1", "aaaa-2"].map((requestId) => ({
  requestId,
  tool: "Bash",
  callId: "c",
  title: "make",
  since: 0,
  until: 60_000,
}));

async function ask(method: string, path: string, options: { body?: unknown; answered?: boolean } = {}) {
  const given: [string, string, PermissionAnswer][] = [];
  const response = await answerAboutPermissions(
    new Request(`http://drover.local${path}`, {
      method,
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    }),
    {
      runs: () => [{ task: "1111-2222", asks: ASKS }, { task: "1111-3333", asks: [] }],
      answer: (...all) => (given.push(all), options.answered ?? true),
      // Knows one task that has ended.
      userApi: (request) =>
        Promise.resolve(
          new URL(request.url).pathname === "/v1/tasks/9999"
            ? Response.json({ id: "9999-0000" })
            : Response.json({ error: { code: "task_unknown", message: "no such task" } }, { status: 404 }),
        ),
    },
  );
  return { status: response?.status, body: await response?.json(), given };
}

Deno.test("answerAboutPermissions() tells what a task asks, which is nothing for one that does not run", async () => {
  const { status, body } = await ask("GET", "/v1/tasks/1111-2222/permissions");
  assertEquals([status, body.task_id, body.permissions.length], [200, "1111-2222", 2]);
  assertEquals(body.permissions[0], {
    request_id: "aaaa-1",
    tool: "Bash",
    title: "make",
    asked_at: "1970-01-01T00:00:00.000Z",
    expires_at: "1970-01-01T00:01:00.000Z",
  });
  assertEquals((await ask("GET", "/v1/tasks/9999/permissions")).body, { task_id: "9999-0000", permissions: [] });
});

Deno.test("answerAboutPermissions() passes an answer on, ids cut short or not, with a reason where none was given", async () => {
  const { status, body, given } = await ask("POST", "/v1/tasks/1111-2/permissions/aaaa-2", { body: { allow: false } });
  assertEquals([status, body.request_id], [200, "aaaa-2"]);
  assertEquals(given, [["1111-2222", "aaaa-2", { allow: false, always: false, why: "denied by a person" }]]);
  const always = { allow: true, always: true, why: "go" };
  assertEquals((await ask("POST", "/v1/tasks/1111-2222/permissions/aaaa-1", { body: always })).given[0]![2], always);
});

Deno.test("answerAboutPermissions() refuses what is not asked, and says why", async (t) => {
  const allow = { allow: true };
  const rows: [name: string, path: string, body: unknown, status: number, code: string, says: string][] = [
    ["unknown task", "/v1/tasks/7777/permissions/aaaa-1", allow, 404, "task_unknown", "no such task"],
    ["several tasks", "/v1/tasks/1111/permissions/aaaa-1", allow, 409, "task_ambiguous", "begins 2 ids"],
    ["several questions", "/v1/tasks/1111-2222/permissions/aaaa", allow, 409, "not_asked", "begins 2 ids"],
    ["unknown question", "/v1/tasks/1111-2222/permissions/bbbb", allow, 409, "not_asked", "does not ask that"],
    ["an ended task", "/v1/tasks/9999/permissions/aaaa", allow, 409, "not_asked", "9999-0000 does not ask that"],
    ["no decision", "/v1/tasks/1111-2222/permissions/aaaa-1", {}, 400, "invalid_request", '{"allow": true}'],
  ];
  for (const [name, path, body, status, code, says] of rows) {
    await t.step(name, async () => {
      const refused = await ask("POST", path, { body });
      assertEquals([refused.status, refused.body.error.code, refused.given], [status, code, []]);
      assertStringIncludes(refused.body.error.message, says);
    });
  }
});

Deno.test("answerAboutPermissions() says so when somebody else was faster", async () => {
  const late = await ask("POST", "/v1/tasks/1111-2222/permissions/aaaa-1", { body: { allow: true }, answered: false });
  assertEquals([late.status, late.body.error.code], [409, "not_asked"]);
});

Deno.test("answerAboutPermissions() leaves other requests alone", async () => {
  assertEquals((await ask("GET", "/v1/tasks/1111-2222/permissions/aaaa-1")).status, undefined);
  assertEquals((await ask("POST", "/v1/tasks/1111-2222/permissions")).status, undefined);
});
