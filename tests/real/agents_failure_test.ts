/** Each real agent CLI when its provider refuses, limits or fails: the reason, one attempt, and nothing left. */
import { assertEquals, assertMatch } from "@std/assert";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { compiledForm } from "../support/program.ts";
import { RealHome } from "./real_home.ts";
import { FAILING, type FailingScenario, REAL_PROVIDERS, type RealSetup, SETUPS } from "./setups.ts";

/** What a turn that ends in nothing at all is taken for. */
const SILENT = { reason: "agent_error.empty_or_unparseable_output", says: /without an answer/ };

/** Some CLIs try again for minutes before they say that their provider fails. */
const DEADLINE_MS = 300_000;

const [form] = compiledForm();

for (const provider of REAL_PROVIDERS) {
  const { failures: quick, slow = [], silentAbout = [] }: RealSetup = SETUPS[provider];
  const failures = Deno.env.get("DROVER_TEST_SLOW") ? [...quick, ...slow] : quick;

  Deno.test(`[${provider}] each way the provider fails has its reason and its words: ${failures.join(", ")}`, async () => {
    await using real = await RealHome.create(provider, form!);
    const daemon = await real.daemon();
    const check = async (scenario: FailingScenario) => {
      const { reason, says } = silentAbout.includes(scenario) ? SILENT : FAILING[scenario];
      const { code, task } = await real.run(`please @fake:${scenario}`, undefined, { deadlineMs: DEADLINE_MS });
      const seen = [code, task.status, task.failure_reason, task.attempt, task.retried_by];
      assertEquals(seen, [EXIT_CODES.taskFailed.code, "failed", reason, 1, null], `${scenario}: ${task.error}`);
      assertMatch(task.error ?? "", says, scenario);
    };
    await Promise.all(failures.filter((scenario) => scenario !== "http401").map(check));
    // Last: a CLI that nobody is logged in to gets no more tasks.
    await check("http401");
    const { agents } = await real.json(["agents"]);
    assertEquals(agents.find((agent: { provider: string }) => agent.provider === provider)?.paused?.kind, "login");
    await daemon.stop();
    await real.assertNothingLeft();
  });
}
