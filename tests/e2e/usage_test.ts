/** `drover usage`, end to end: what the logs of the agent CLIs hold, counted with and without a daemon. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { eventually, TestHome } from "../support/drover.ts";
import { programForms } from "../support/program.ts";

const [form] = programForms();

async function writeLog(home: TestHome): Promise<void> {
  const folder = join(home.root, "user", ".claude", "projects", "p");
  await Deno.mkdir(folder, { recursive: true });
  const line = (id: string, output: number) =>
    JSON.stringify({
      ...{ type: "assistant", timestamp: new Date().toISOString() },
      message: {
        ...{ id, model: "claude-x" },
        usage: {
          input_tokens: 1_500,
          output_tokens: output,
          cache_read_input_tokens: 20,
          cache_creation_input_tokens: 3,
        },
      },
    }) + "\n";
  await Deno.writeTextFile(join(folder, "s.jsonl"), line("a", 1) + line("a", 40) + line("b", 2));
}

Deno.test("usage counts each answer of the logs once, also beside a daemon, whose coordinator is told", async () => {
  await using home = await TestHome.create(form!);
  const none = await home.drover(["usage"]);
  assertEquals(none.code, 0, none.stderr);
  assertStringIncludes(none.stdout, "No tokens in the last 7 days");
  await writeLog(home);
  await home.script("claude", '[ "$1" = --version ] && echo "2.1.300 (Claude Code)"');
  const daemon = await home.daemon({ env: { DROVER_LOGIN_CHECK: "false" } });
  const { value } = await home.json(["usage", "--days", "2"]);
  const [row] = value.usage;
  assertEquals(value.usage.length, 1);
  assertEquals(
    [row.provider, row.model, row.inputTokens, row.outputTokens, row.cacheReadTokens, row.cacheWriteTokens],
    [
      ...["claude", "claude-x"],
      ...[3_000, 42, 40, 6],
    ],
  );
  assertStringIncludes((await home.drover(["usage"])).stdout, "3,000");
  const record = JSON.parse(await Deno.readTextFile(join(home.home, "daemon.json")));
  using client = Deno.createHttpClient({ proxy: { transport: "unix", path: record.controlSocket } });
  const told = async () => (await (await fetch("http://drover.local/v1/usage", { client })).json()).usage;
  await eventually(async () => (await told())[0]?.output_tokens === 42, "the coordinator knows the tokens");
  await daemon.stop();
});

Deno.test("usage says which days it can show, and that it is switched off", async () => {
  await using home = await TestHome.create(form!);
  const wrong = await home.json(["usage", "--days", "0"]);
  assertEquals([wrong.code, wrong.value.error.code], [2, "usage"]);
  assertStringIncludes(wrong.value.error.message, "from 1 to 90");
  const off = await home.json(["usage"], { env: { DROVER_USAGE_SCAN: "false" } });
  assertEquals(off.code, 2);
  assertStringIncludes(off.value.error.hint, "usage.scan");
});
