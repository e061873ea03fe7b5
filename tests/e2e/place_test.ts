/** Where tasks work, end to end: uncommitted work, turns in a directory, and files that are there for a run only. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { GIT_ENV } from "../support/git_env.ts";
import { programForms } from "../support/program.ts";

async function git(cwd: string, ...args: string[]): Promise<string> {
  const env = { ...GIT_ENV, GIT_OPTIONAL_LOCKS: "0" };
  const { success, stdout, stderr } = await new Deno.Command("git", { args, cwd, env, clearEnv: true }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trimEnd();
}

async function repository(home: TestHome): Promise<string> {
  const path = join(home.root, "repo");
  await Deno.mkdir(path);
  await git(path, "init", "--quiet", "-b", "main");
  await Deno.writeTextFile(`${path}/CLAUDE.md`, "mine\n");
  await Deno.writeTextFile(`${path}/edited`, "one\n");
  await git(path, "add", ".");
  await git(path, "commit", "--quiet", "-m", "first");
  await Deno.writeTextFile(`${path}/edited`, "two\n");
  await Deno.writeTextFile(`${path}/new`, "three\n");
  return path;
}

const [form] = programForms();
const FULL = ["--agent", "demo", "--permission", "full"];

Deno.test("run works in a worktree with the uncommitted work, and leaves only what the agent did", async () => {
  await using home = await TestHome.create(form!);
  const path = await repository(home);
  const skill = join(home.root, "review");
  await Deno.mkdir(skill);
  await Deno.writeTextFile(`${skill}/SKILL.md`, "how");
  const before = await git(path, "status", "--porcelain");
  const args = [...FULL, "--instructions", "Be very brief", "--skill", skill, "@demo:fast look"];
  const { code, value } = await home.json(["run", ...args], { cwd: path });
  assertEquals(code, 0, JSON.stringify(value));
  const { work_dir: place, branch_name: branch } = value.task;
  assertEquals(await git(place, "status", "--porcelain"), " M edited\n?? drover-demo.md\n?? new");
  assertEquals([await git(place, "branch", "--show-current"), await git(path, "status", "--porcelain")], [
    branch,
    before,
  ]);
  assertEquals(await Deno.readTextFile(`${place}/CLAUDE.md`), "mine\n");
  const seen = value.messages.find((message: { type: string }) => message.type === "tool_result").output;
  assertStringIncludes(seen, ".claude");
  assertEquals(Array.from(Deno.readDirSync(place), ({ name }) => name).sort(), [
    ".git",
    "CLAUDE.md",
    "drover-demo.md",
    "edited",
    "new",
  ]);
});

Deno.test("a killed daemon's successor takes out what was placed in the user's directory", async () => {
  await using home = await TestHome.create(form!);
  const path = join(home.root, "work");
  await Deno.mkdir(path);
  const brief = join(path, "CLAUDE.md");
  await Deno.writeTextFile(brief, "mine\n");
  const daemon = await home.daemon();
  const run = home.drover(["run", ...FULL, "--cwd", path, "--instructions", "Be very brief", "@demo:hang"]);
  const text = () => Deno.readTextFile(brief);
  await eventually(async () => (await text()).includes("Be very brief"), "the brief is placed");
  await daemon.kill();
  assertStringIncludes(await text(), "mine\n");
  const next = await home.daemon();
  // The task is tried again, which places it again; its end takes it out for good.
  const { value } = await home.json(["tasks", "list"]);
  for (const { id } of value.tasks) await home.drover(["tasks", "cancel", id]);
  await eventually(async () => await text() === "mine\n", "the brief is taken out");
  await next.stop();
  await run;
  assertEquals(Array.from(Deno.readDirSync(path), ({ name }) => name), ["CLAUDE.md"]);
  assertEquals(Array.from(Deno.readDirSync(join(home.home, "placed"))), []);
});

Deno.test("run waits for its turn in a directory and says for which task", async () => {
  await using home = await TestHome.create(form!);
  const path = join(home.root, "work");
  await Deno.mkdir(path);
  const daemon = await home.daemon();
  const first = home.drover(["run", ...FULL, "--cwd", path, "@demo:sleep=600000"]);
  const tasks = async () => (await home.json(["tasks", "list"])).value.tasks;
  await eventually(async () => (await tasks())[0]?.status === "running", "the first one runs");
  const [{ id }] = await tasks();
  const second = home.drover(["run", ...FULL, "--cwd", path, "@demo:fast"]);
  const stages = async () => (await home.json(["status"])).value.tasks.map((task: { stage: string }) => task.stage);
  await eventually(async () => (await stages()).includes("waiting"), "the second one waits", 30_000);
  await home.json(["tasks", "cancel", id]);
  const { code, stdout, stderr } = await second;
  assertEquals([code, (await first).code], [EXIT_CODES.ok.code, EXIT_CODES.taskCancelled.code], stdout + stderr);
  assertStringIncludes(stdout, `waits for task ${id.slice(0, 8)} in ${path}`);
  await daemon.stop();
});

Deno.test("run refuses what it cannot bring for the agent before it queues anything", async () => {
  await using home = await TestHome.create(form!);
  for (const args of [["--mcp-config", "none.json"], ["--skill", "none"], ["--instructions", "none.md"]]) {
    const { code, value } = await home.json(["run", ...FULL, "--scratch", ...args, "hello"]);
    assertEquals([code, value.error.code], [2, "usage"], JSON.stringify(value));
  }
});
