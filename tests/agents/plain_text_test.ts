/** The plain-text adapter: what is printed is the answer, the exit code says whether it is one. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { backendFor } from "../../lib/agents/registry.ts";
import { plainText } from "../../lib/agents/plain_text.ts";
import { fakeAgent, listen, playback, runOn, taskOf } from "./agent_io.ts";

Deno.test("commandFor() passes the model, and the prompt nowhere", () => {
  const runtime = {
    provider: "llm",
    family: "plain-text",
    executable: "/bin/llm",
    fixedArgs: [],
    version: "1",
  } as const;
  assertEquals(backendFor("llm").commandFor(runtime, taskOf({ model: "small" })), {
    executable: "/bin/llm",
    args: ["--model", "small"],
    env: {},
    stdin: "pipe",
  });
});

Deno.test("run() hands the prompt in, closes stdin, and takes the printed lines as the answer", async () => {
  const agent = fakeAgent();
  const heard = listen(plainText.run(agent.io, taskOf({ prompt: "ask" }), new AbortController().signal));
  await agent.stdinClosed;
  assertEquals(agent.written(), "ask");
  await agent.print("a\n\nb");
  await agent.end();
  assertEquals(await heard, {
    messages: [{ kind: "text", text: "a\n" }, { kind: "text", text: "\n" }, { kind: "text", text: "b\n" }],
    outcome: { kind: "completed", output: "a\n\nb" },
  });
});

Deno.test("run() fails with the code and stderr when the code is not 0, whatever was printed", async () => {
  const agent = playback("half an answer", { exit: { code: 2 }, stderr: "Error: no key\n" });
  assertEquals((await runOn(plainText, agent)).outcome, {
    kind: "failed",
    reason: "agent_error.process_failure",
    detail: "The agent ended with code 2; the end of its error output:\nError: no key",
  });
});

Deno.test("run() takes silence for a failure", async () => {
  const { outcome } = await runOn(plainText, playback(" \n\n"));
  assertEquals(outcome.kind === "failed" && outcome.reason, "agent_error.empty_or_unparseable_output");
});

Deno.test("run() names the signal that ended the agent", async () => {
  const { outcome } = await runOn(plainText, playback("x", { exit: { code: 137, signal: "SIGKILL" } }));
  assertStringIncludes(outcome.kind === "failed" ? outcome.detail : "", "was ended by SIGKILL");
});
