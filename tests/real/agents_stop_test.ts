/** Each real agent CLI cancelled in the middle of a tool: it and the tool end, and it does not go on. */
import { assertEquals } from "@std/assert";
import { deadline } from "@std/async";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually } from "../support/drover.ts";
import { compiledForm } from "../support/program.ts";
import { RealHome } from "./real_home.ts";
import { REAL_PROVIDERS } from "./setups.ts";

/** From the word to the last process: the agent's own clean-up, and the patience with what ignores it. */
const GONE_MS = 10_000;

const [form] = compiledForm();

for (const provider of REAL_PROVIDERS) {
  Deno.test({
    name: `[${provider}] tasks cancel while a tool runs ends the agent and the tool, and no process is left`,
    ignore: Deno.build.os !== "linux",
    fn: async () => {
      await using real = await RealHome.create(provider, form!);
      const daemon = await real.daemon();
      const run = real.spawnRun("wait @fake:sleep");
      await real.toolRuns();
      const [task] = await real.tasks();
      assertEquals(task?.status, "running");
      const { task: cancelled } = await real.json(["tasks", "cancel", task!.id]);
      assertEquals(cancelled.status, "cancelled");
      assertEquals((await deadline(run.status, GONE_MS)).code, EXIT_CODES.taskCancelled.code);
      await eventually(async () => (await real.home.processes()).length === 1, "only the daemon is left", GONE_MS);
      assertEquals(real.asked("sleep").length, 1, "the agent did not go on");
      await daemon.stop();
      await real.assertNothingLeft();
      assertEquals((await real.tasks()).map(({ status }) => status), ["cancelled"]);
    },
  });
}
