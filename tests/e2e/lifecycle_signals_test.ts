/** Whom the life cycle signals: only the process that its record describes, and that one also when it does not answer. */
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { programForms } from "../support/program.ts";

Deno.test("stop never signals the stranger that a forged or outdated record names", async () => {
  const form = programForms()[1]!;
  await using home = await TestHome.create(form);
  await home.json(["start"]);
  const path = join(home.home, "daemon.json");
  const record = JSON.parse(await Deno.readTextFile(path));
  await home.json(["stop"]);
  const stranger = new Deno.Command("sleep", { args: ["60"], stdin: "null", stdout: "null", stderr: "null" }).spawn();
  let ended = false;
  const end = stranger.status.then(() => ended = true);
  try {
    for (const change of [{ pid: stranger.pid }, { pid: stranger.pid, bootId: "another boot" }]) {
      await Deno.writeTextFile(path, JSON.stringify({ ...record, ...change }));
      assertEquals((await home.json(["status"])).value.state, "crashed");
      const { value } = await home.json(["stop", "--now"]);
      assertEquals([value.status, value.staleCleaned], ["notRunning", true]);
    }
    assertEquals(ended, false);
  } finally {
    stranger.kill("SIGKILL");
    await end;
  }
});

/** Most of each is waiting for a daemon that does not answer: they do that at the same time. */
const HANGING: Record<string, () => Promise<void>> = {
  "is reported as degraded, and stop --now still ends it": async () => {
    const form = programForms()[1]!;
    await using home = await TestHome.create(form);
    const { value } = await home.json(["start"]);
    Deno.kill(value.pid, "SIGSTOP");
    const status = await home.json(["status"]);
    assertEquals([status.code, status.value.state, status.value.pid], [EXIT_CODES.busy.code, "degraded", value.pid]);
    assertEquals((await home.json(["stop", "--now"])).value.status, "stopped");
    assertEquals((await home.json(["start"])).value.status, "started");
    await home.json(["stop"]);
    await home.assertNoProcessLeft();
  },

  "in the middle of a run: that says so in bounded time, and its task is not lost": async () => {
    const form = programForms()[1]!;
    await using home = await TestHome.create(form);
    const { value } = await home.json(["start"]);
    const run = home.spawn(["run", "--agent", "demo", "--scratch", "@demo:sleep=1000"], { stdout: "null" });
    await eventually(
      async () => (await home.json(["tasks", "list", "--status", "running"])).value.tasks.length === 1,
      "it runs",
    );
    Deno.kill(value.pid, "SIGSTOP");
    const { code, stderr } = await run.output();
    assertEquals(code, EXIT_CODES.notRunning.code, new TextDecoder().decode(stderr));
    Deno.kill(value.pid, "SIGCONT");
    await eventually(
      async () => (await home.json(["tasks", "list", "--status", "completed"])).value.tasks.length === 1,
      "the task ends well once the daemon goes on",
    );
    await home.json(["stop"]);
  },
};

Deno.test(`a daemon that is stopped by SIGSTOP ${Object.keys(HANGING).join("; ")}`, async () => {
  const ends = await Promise.allSettled(Object.values(HANGING).map((play) => play()));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
});
