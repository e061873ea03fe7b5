/** Which agent a task gets: the one that was named, or the best there is. */
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { chooseAgent } from "../../lib/app/choose_agent.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import type { AgentView } from "../../lib/wire/control.ts";

function agent(name: string, change: Partial<AgentView> = {}): AgentView {
  return {
    name,
    provider: name,
    version: "1.0.0",
    status: "online",
    runtime_id: name,
    max_concurrent_tasks: 6,
    running: 0,
    queued: 0,
    ...change,
  };
}

Deno.test("chooseAgent() takes the first of the table that is online, never the demo", () => {
  const found = [agent("demo"), agent("llm"), agent("claude")];
  assertEquals(chooseAgent(found, undefined).name, "claude");
  assertEquals(
    chooseAgent([agent("demo"), agent("llm"), agent("claude", { status: "offline" })], undefined).name,
    "llm",
  );
});

Deno.test("chooseAgent() takes a custom runtime only where nothing was simply found", () => {
  const custom = agent("house", { provider: "claude" });
  assertEquals(chooseAgent([custom, agent("llm")], undefined).name, "llm");
  assertEquals(chooseAgent([custom, agent("demo")], undefined).name, "house");
});

Deno.test("chooseAgent() takes the one that was named, the demo too", () => {
  assertEquals(chooseAgent([agent("claude"), agent("demo")], "demo").name, "demo");
});

Deno.test("chooseAgent() says which agents there are when the named one is not among them", () => {
  for (const found of [[agent("demo")], [agent("demo"), agent("claude", { status: "offline" })]]) {
    const error = assertThrows(() => chooseAgent(found, "claude"), DroverError);
    assertEquals(error.code, "agent_unknown");
    assertStringIncludes(error.message, '"claude"');
    assertStringIncludes(error.message, "(demo)");
  }
});

Deno.test("chooseAgent() points at the demo when there is no real agent", () => {
  const error = assertThrows(() => chooseAgent([agent("demo")], undefined), DroverError);
  assertEquals(error.code, "no_agent");
  assertStringIncludes(error.hint!, "--agent demo");
});
