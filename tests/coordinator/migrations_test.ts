/** A database of an earlier drover: everything in it is found again, in the workspace it had before there were several. */
import { assertEquals } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { MIGRATIONS } from "../../lib/coordinator/migrations.ts";
import { SqlitePlace } from "./stores.ts";
import { World } from "./world.ts";

const BEFORE_TEAMS = 5;
const WORKSPACE = "11111111-1111-4111-8111-111111111111";
const TASK = "22222222-2222-4222-8222-222222222222";

const ROWS = `
INSERT INTO meta VALUES ('workspace_id', '${WORKSPACE}');
INSERT INTO runtimes VALUES
  ('33333333-3333-4333-8333-333333333333', 'd1', 'claude', NULL, 'n', '1.0.0', 'box', 0, 'online', 9e15, 0, 0, NULL);
INSERT INTO agents VALUES ('44444444-4444-4444-8444-444444444444', '33333333-3333-4333-8333-333333333333', 'claude', 3);
INSERT INTO threads VALUES ('55555555-5555-4555-8555-555555555555', 'old', 7);
INSERT INTO runtime_profiles VALUES ('p', 'mine', 'claude', 'claude', NULL, '[]', '{}', 'workspace', 1, 0, 0);
INSERT INTO tasks (id, thread_id, agent_id, runtime_id, status, priority, prompt, directory_mode, permission, created_at,
  completed_at)
VALUES ('${TASK}', '55555555-5555-4555-8555-555555555555', '44444444-4444-4444-8444-444444444444',
  '33333333-3333-4333-8333-333333333333', 'completed', 0, 'p', 'scratch', 'full', 8, 9);`;

Deno.test("createCoordinator() brings a database of the time before teams up to date, with all that was in it", async () => {
  await using place = new SqlitePlace();
  const db = new DatabaseSync(place.path);
  for (const step of MIGRATIONS.slice(0, BEFORE_TEAMS)) db.exec(step);
  db.exec(ROWS);
  db.exec(`PRAGMA application_id = ${0x64726f76}; PRAGMA user_version = ${BEFORE_TEAMS}`);
  db.close();

  await using world = await World.create({ database: place.database });
  assertEquals((await world.daemon("/api/daemon/workspaces")).body, [{ id: WORKSPACE, name: "local" }]);
  const [task] = (await world.user("/v1/tasks")).body.tasks;
  assertEquals([task.id, task.agent], [TASK, "claude"]);
  assertEquals(
    (await world.user("/v1/agents")).body.agents.map((one: { max_concurrent_tasks: number }) =>
      one.max_concurrent_tasks
    ),
    [3],
  );
  assertEquals((await world.user("/v1/runtime-profiles")).body.profiles.length, 1);
  assertEquals(await place.sql("SELECT * FROM pragma_foreign_key_check"), []);
  const registered = await world.register(["claude"]);
  assertEquals(registered.body.runtimes[0].id, "33333333-3333-4333-8333-333333333333");
});
