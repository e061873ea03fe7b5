/** What a team server's tasks may do here, through a whole daemon: the owner's word, or no run at all. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Backend } from "../../lib/agents/backend.ts";
import type { Permission } from "../../lib/core/model.ts";
import type { FakeProfile } from "../support/fake_multica.ts";
import { fakeBackend } from "./fake_agent.ts";
import { TeamWorld } from "./team_world.ts";

const PROFILE: FakeProfile = { id: "p1", display_name: "House", protocol_family: "bot", command_name: "house-bot" };

Deno.test("Daemon fails a task whose agent cannot promise the owner's policy, and has prepared and started nothing", async () => {
  const agents: { backend?: Backend } = {};
  await using w = await TeamWorld.started({
    policy: () => "ask",
    daemon: { backendFor: () => ({ ...agents.backend!, permissions: ["full", "read-only"] }) },
  });
  agents.backend = fakeBackend(w.agents);
  const task = w.server.enqueue(w.runtime.id, { permission: "full" });
  await w.is(task, "failed");
  await w.idle();
  assertEquals([task.failure_reason, task.starts, w.agents.started.length], ["agent_error.missing_config", 0, 0]);
  assertStringIncludes(task.error, "bot cannot promise ask");
  assertStringIncludes(task.error, "--workspace w1 --policy full");
  assertEquals([...Deno.readDirSync(w.home.workspaces)].length, 0);
  // Nothing gets better by itself.
  await w.clock.advance(60_000);
  assertEquals(w.server.tasks.all.size, 1);
});

Deno.test("Daemon registers a server's custom runtimes only while the owner allows that server everything", async () => {
  let policy: Permission = "ask";
  await using w = await TeamWorld.started({ policy: () => policy });
  const seen = w.server.calls.length;
  const failed = () =>
    w.server.calls.slice(seen).findLast(({ route }) => route.endsWith("/register"))?.body.failed_profiles;
  w.server.setProfiles("w1", [PROFILE]);
  await w.later("it is refused", () => failed()?.length === 1);
  assertStringIncludes(failed()[0].reason, "--policy full");
  assertEquals(w.ids().length, 1);
  policy = "full";
  w.consentChanged();
  await w.later("it is registered", () => w.ids().length === 2);
  policy = "read-only";
  w.consentChanged();
  await w.later("it is taken back", () => w.ids().length === 1);
});
