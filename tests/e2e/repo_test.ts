/** Repositories, end to end: an agent asks for one inside its task, works on it, and the disk is given back when all is pushed. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { TestHome } from "../support/drover.ts";
import { GIT_ENV } from "../support/git_env.ts";
import { GitServer, runGit } from "../support/git_server.ts";
import { programForms } from "../support/program.ts";

const [form] = programForms();
const { PATH: _path, HOME: _home, ...IDENTITY } = GIT_ENV;
const ENV = { ...IDENTITY, DROVER_REPOS_ALLOW_FILE: "true", DROVER_LOGIN_CHECK: "false" };

/** An agent CLI that runs a shell script and reports what it printed. */
async function agentThat(home: TestHome, script: string): Promise<void> {
  await Deno.writeTextFile(join(home.root, "script"), script);
  await home.script(
    "claude",
    `[ "$1" = --version ] && { echo "2.1.300 (Claude Code)"; exit 0; }
read -r _prompt
out=$(sh ${join(home.root, "script")} 2>&1 | tr '\\n"\\\\' ';  ')
printf '{"type":"system","subtype":"init","session_id":"s-1","model":"m","tools":[]}\\n'
printf '{"type":"result","subtype":"success","is_error":false,"result":"%s","session_id":"s-1","usage":{}}\\n' "$out"`,
  );
}

Deno.test("an agent checks out a repository in its task, pushes its work, and disk free then removes all of it", async () => {
  await using home = await TestHome.create(form!);
  const server = await GitServer.create(home.root);
  await agentThat(
    home,
    `drover repo checkout ${server.url} --json
cd app && echo changed > file && git commit --quiet -am changed && git push --quiet origin HEAD && git branch --show-current
drover repo checkout https://user:secret@example.test/a/b; echo "code $?"
DROVER_TOKEN=mat_${"0".repeat(40)} drover repo checkout ${server.url}; echo "code $?"
cd / && drover repo checkout ${server.url}; echo "code $?"`,
  );
  const daemon = await home.daemon({ env: ENV });
  const run = await home.json(["run", "--agent", "claude", "--scratch", "--permission", "full", "work"], { env: ENV });
  assertEquals(run.code, 0, JSON.stringify(run.value));
  const { id, output, work_dir: workdir } = run.value.task;
  const branch = `drover/claude/${id.replaceAll("-", "").slice(-12)}`;
  assertStringIncludes(output, `path : ${workdir}/app`.replace("path : ", ""));
  assertStringIncludes(output, branch);
  assertStringIncludes(output, "credential helper");
  assertStringIncludes(output, "the token is of no task that runs here");
  assertStringIncludes(output, "not inside the task's directory");
  assertEquals(output.match(/code \d+/g), ["code 2", "code 2", "code 2"]);
  assertStringIncludes(await runGit(server.path, "log", "--format=%s", branch), "changed");

  const disk = (await home.json(["disk"])).value;
  assertEquals([disk.work.length, disk.work[0].task, disk.repos.length], [1, id, 1]);
  assert(disk.work[0].bytes > 0 && disk.repos[0].bytes > 0 && disk.databases > 0);
  const young = (await home.json(["disk", "free"])).value;
  assertEquals(young.items.map((item: { removed: boolean }) => item.removed), [false, false]);
  const dry = (await home.json(["disk", "free", "--dry-run", "--all"])).value;
  assertEquals([dry.items[0].removed, (await Deno.stat(workdir)).isDirectory], [true, true]);

  await Deno.writeTextFile(join(workdir, "app", "new"), "unsaved");
  const kept = (await home.json(["disk", "free", "--all"])).value;
  assertEquals([kept.items[0].removed, kept.items[0].why], [false, "it holds uncommitted work"]);
  await Deno.remove(join(workdir, "app", "new"));
  const freed = (await home.json(["disk", "free", "--all"])).value;
  assertEquals(freed.items.map((item: { removed: boolean }) => item.removed), [true, true], JSON.stringify(freed));
  assert(freed.freed > 0);
  assertEquals(Array.from(Deno.readDirSync(join(home.home, "workspaces", disk.work[0].path.split("/").at(-2)))), []);
  await daemon.stop();
});

Deno.test("repo checkout outside of a task says what it is for", async () => {
  await using home = await TestHome.create(form!);
  const { code, value } = await home.json(["repo", "checkout", "https://example.test/a/b"]);
  assertEquals([code, value.error.code], [2, "usage"]);
  assertStringIncludes(value.error.message, "not inside a task");
  assertStringIncludes(value.error.hint, "git clone");
});

Deno.test("disk free without a daemon keeps what a task might still use, and finds an unused home empty", async () => {
  await using home = await TestHome.create(form!);
  assertEquals((await home.json(["disk", "free"])).value.items, []);
  await agentThat(home, "echo nothing > made");
  const run = await home.json(["run", "--agent", "claude", "--scratch", "--permission", "full", "x"], { env: ENV });
  assertEquals(run.code, 0, JSON.stringify(run.value));
  const why = async (...more: string[]) =>
    (await home.json(["disk", "free", ...more])).value.items.map((item: { why: string }) => item.why);
  assertEquals(await why("--older-than", "7d"), ["it was used too recently"]);
  assertEquals(await why("--all"), ["it is over"]);
  assertEquals(await why("--all"), []);
});
