/** The harness holds: the real Claude Code, pointed at the fake model, runs a tool and ends with a result, offline. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { startFakeLlm } from "../support/fake_llm.ts";
import { realCli, realCliVersion } from "./install.ts";

Deno.test("claude runs the tool that the fake model calls, sends its output back, and prints one result", async () => {
  await using llm = await startFakeLlm();
  const home = await Deno.makeTempDir({ prefix: "drover-real-" });
  try {
    const child = new Deno.Command(await realCli("claude"), {
      args: [
        ...["-p", "--verbose", "--input-format", "stream-json", "--output-format", "stream-json"],
        ...["--permission-mode", "bypassPermissions"],
      ],
      cwd: home,
      clearEnv: true,
      env: {
        PATH: "/usr/bin:/bin",
        HOME: home,
        // It leaves sockets and scratch folders there.
        TMPDIR: home,
        ANTHROPIC_BASE_URL: llm.url,
        ANTHROPIC_API_KEY: "fake-key-that-opens-nothing",
        DISABLE_AUTOUPDATER: "1",
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
        // As root it refuses to skip permissions unless told that it is in a sandbox.
        IS_SANDBOX: "1",
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(60_000),
    }).spawn();
    const writer = child.stdin.getWriter();
    const content = [{ type: "text", text: "please run it @fake:default" }];
    await writer.write(
      new TextEncoder().encode(`${JSON.stringify({ type: "user", message: { role: "user", content } })}\n`),
    );
    await writer.close();
    const { code, stdout, stderr } = await child.output();

    const text = new TextDecoder();
    assertEquals(code, 0, text.decode(stderr));
    const lines = text.decode(stdout).trim().split("\n").map((line) => JSON.parse(line));
    const init = lines.find((line) => line.type === "system" && line.subtype === "init");
    assertEquals(init?.claude_code_version, realCliVersion("claude"));
    const results = lines.filter((line) => line.type === "result");
    assertEquals(results.map((line) => [line.subtype, line.is_error]), [["success", false]]);
    assertStringIncludes(results[0]?.result, "Tool said: hello-from-tool");
    // What reached the model is the proof; the CLI's own echo of it is not.
    assert(llm.requests.some((request) => request.asked?.toolResult === "hello-from-tool"));
  } finally {
    await Deno.remove(home, { recursive: true });
  }
});
