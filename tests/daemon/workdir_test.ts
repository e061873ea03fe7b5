/** Where a task works: real directories and a real git repository. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { homeLayout } from "../../lib/core/home.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createFiles } from "../../lib/host/files.ts";
import { createProcesses } from "../../lib/host/process.ts";
import { prepareWorkdir, taskKey, type Workdir, WorkdirError } from "../../lib/daemon/workdir.ts";
import { type TempDirectory, tempDirectory } from "../host/temp_directory.ts";
import { claimed } from "./fake_connection.ts";
import { GIT_ENV } from "../support/git_env.ts";

const files = createFiles();
const processes = createProcesses({ clock: createClock() });

const TASK = "01234567-89ab-4cde-8f01-23456789abcd";
const NEXT = "01234567-89ab-4cde-8f01-0000456789ab";

async function git(cwd: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("git", { args, cwd, env: GIT_ENV, clearEnv: true })
    .output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trim();
}

async function repository(dir: TempDirectory, { commit = true } = {}): Promise<string> {
  const path = dir.at("repo");
  await Deno.mkdir(`${path}/sub/deep`, { recursive: true });
  await git(path, "init", "--quiet", "-b", "main");
  await Deno.writeTextFile(`${path}/sub/deep/file`, "committed");
  if (commit) {
    await git(path, "add", ".");
    await git(path, "commit", "--quiet", "-m", "first");
  }
  return path;
}

interface Wish {
  readonly id?: string;
  readonly env?: Record<string, string>;
  readonly [field: string]: unknown;
}

async function prepare(dir: TempDirectory, wish: Wish = {}): Promise<Workdir> {
  const { id = TASK, env = {}, ...change } = wish;
  const home = homeLayout(dir.at("home"));
  await files.makeDirectory(home.workspaces);
  return await prepareWorkdir(claimed(id, { issue_id: "thread", ...change }), home, {
    files,
    processes,
    env: { ...GIT_ENV, ...env },
    signal: new AbortController().signal,
  });
}

Deno.test("taskKey() is the end of the id", () => {
  assertEquals(taskKey(TASK), "23456789abcd");
});

Deno.test("prepareWorkdir() makes an empty private directory for a scratch task", async () => {
  await using dir = await tempDirectory();
  for (const directory of [{ mode: "scratch" }, null]) {
    const made = await prepare(dir, { directory });
    assertEquals(made, { path: dir.at("home/workspaces/w/23456789abcd/workdir"), reused: false });
    assertEquals(await files.list(made.path), []);
    assertEquals((await files.stat(made.path))!.mode, 0o700);
  }
});

Deno.test("prepareWorkdir() works in place in the directory that was named, and makes nothing", async () => {
  await using dir = await tempDirectory();
  const path = dir.at("mine");
  await Deno.mkdir(path);
  assertEquals(await prepare(dir, { directory: { mode: "in-place", path } }), { path, reused: false });
  assertEquals(await prepare(dir, { directory: { mode: "in-place", path }, prior_work_dir: path }), {
    path,
    reused: true,
  });
  assertEquals([await files.list(path), await files.list(dir.at("home/workspaces"))], [[], []]);
});

Deno.test("prepareWorkdir() refuses a place that is none", async () => {
  await using dir = await tempDirectory();
  await Deno.writeTextFile(dir.at("file"), "");
  const refused = (path: string | undefined, words: string) =>
    assertRejects(() => prepare(dir, { directory: { mode: "in-place", path } }), WorkdirError, words);
  await refused(dir.at("none"), "it does not exist");
  await refused(dir.at("file"), "it is not a directory");
  await refused("relative", "it must be absolute");
  await refused(undefined, "it must be absolute");
});

Deno.test("prepareWorkdir() makes a worktree on a branch of its own, from the last commit", async () => {
  await using dir = await tempDirectory();
  const path = await repository(dir);
  const made = await prepare(dir, { directory: { mode: "worktree", path }, agent: { id: "a", name: "My Bot!" } });
  assertEquals(made, {
    path: dir.at("home/workspaces/w/23456789abcd/workdir"),
    branch: "drover/my-bot-23456789abcd",
    reused: false,
  });
  assertEquals(await Deno.readTextFile(`${made.path}/sub/deep/file`), "committed");
  assertEquals(await git(made.path, "branch", "--show-current"), made.branch);
  assertEquals(await git(path, "branch", "--show-current"), "main");
});

Deno.test("prepareWorkdir() starts in the same subdirectory of the worktree", async () => {
  await using dir = await tempDirectory();
  const path = await repository(dir);
  await Deno.mkdir(`${path}/untracked`);
  const deep = await prepare(dir, { directory: { mode: "worktree", path: `${path}/sub/deep` } });
  assert(deep.path.endsWith("/workdir/sub/deep"));
  assertEquals(await files.list(deep.path), ["file"]);
  // Git does not know an empty directory, and the agent has to start somewhere.
  const untracked = await prepare(dir, { id: NEXT, directory: { mode: "worktree", path: `${path}/untracked` } });
  assert((await files.stat(untracked.path))!.isDirectory && untracked.path.endsWith("/workdir/untracked"));
});

Deno.test("prepareWorkdir() finds the worktree of a claim that came twice", async () => {
  await using dir = await tempDirectory();
  const path = await repository(dir);
  const first = await prepare(dir, { directory: { mode: "worktree", path } });
  await Deno.writeTextFile(`${first.path}/begun`, "");
  const second = await prepare(dir, { directory: { mode: "worktree", path } });
  assertEquals(second, first);
  assert((await files.list(second.path)).includes("begun"));
});

Deno.test("prepareWorkdir() says why there can be no worktree", async () => {
  await using dir = await tempDirectory();
  const unborn = await repository(dir, { commit: false });
  const refused = (path: string, words: string) =>
    assertRejects(() => prepare(dir, { directory: { mode: "worktree", path } }), WorkdirError, words);
  await refused(unborn, `Cannot make a worktree of ${unborn}: the repository has no commit yet`);
  await git(dir.path, "init", "--quiet", "--bare", "bare");
  await refused(dir.at("bare"), "the repository is bare");
  await Deno.mkdir(dir.at("plain"));
  await refused(dir.at("plain"), "not a git repository");
  await refused(dir.at("none"), "it does not exist");
  const none = dir.at("plain");
  await assertRejects(
    () => prepare(dir, { directory: { mode: "worktree", path: none }, env: { PATH: dir.at("plain") } }),
    WorkdirError,
    "git rev-parse failed",
  );
});

Deno.test("prepareWorkdir() uses the repository that was named although git's own variables name another", async () => {
  await using dir = await tempDirectory();
  await using elsewhere = await tempDirectory();
  const path = await repository(dir);
  const other = await repository(elsewhere, { commit: false });
  const env = { GIT_DIR: `${other}/.git`, GIT_WORK_TREE: other, GIT_INDEX_FILE: `${other}/.git/index` };
  const made = await prepare(dir, { directory: { mode: "worktree", path }, env });
  assertEquals(await git(path, "rev-parse", made.branch!), await git(path, "rev-parse", "main"));
});

Deno.test("prepareWorkdir() takes the directory of the same conversation up again", async () => {
  await using dir = await tempDirectory();
  const path = await repository(dir);
  for (const directory of [{ mode: "scratch" }, { mode: "worktree", path: `${path}/sub` }]) {
    await Deno.remove(dir.at("home"), { recursive: true }).catch(() => {});
    await git(path, "worktree", "prune");
    await git(path, "branch", "--quiet", "-D", "drover/bot-23456789abcd").catch(() => {});
    const first = await prepare(dir, { directory });
    await Deno.writeTextFile(`${first.path}/kept`, "");
    const second = await prepare(dir, { id: NEXT, directory, prior_work_dir: first.path });
    assertEquals(second, { ...first, reused: true });
    assertEquals(await files.list(dir.at("home/workspaces/w")), ["23456789abcd"]);
  }
});

Deno.test("prepareWorkdir() takes no directory up again whose marker names somebody else, or nobody", async () => {
  await using dir = await tempDirectory();
  const first = await prepare(dir);
  const marker = dir.at("home/workspaces/w/23456789abcd/.drover-task.json");
  const own = JSON.parse(await Deno.readTextFile(marker));
  const again = async (change: Record<string, unknown> = {}) =>
    (await prepare(dir, { id: NEXT, prior_work_dir: first.path, ...change })).reused;
  assertEquals(await again(), true);
  assertEquals(await again({ issue_id: "another thread" }), false);
  assertEquals(await again({ issue_id: "" }), false);
  assertEquals(await again({ agent_id: "b", agent: { id: "b", name: "bot" } }), false);
  for (const text of [{ ...own, workspace: "v" }, { ...own, thread: 7 }, {}, []]) {
    await Deno.writeTextFile(marker, JSON.stringify(text));
    assertEquals(await again(), false, JSON.stringify(text));
  }
  await Deno.writeTextFile(marker, "{");
  assertEquals(await again(), false);
  await Deno.remove(marker);
  assertEquals(await again(), false);
});

Deno.test("prepareWorkdir() takes no directory up again that lies elsewhere", async () => {
  await using dir = await tempDirectory();
  const first = await prepare(dir);
  const root = dir.at("home/workspaces/w/23456789abcd");
  const marker = await Deno.readTextFile(`${root}/.drover-task.json`);
  const elsewhere = dir.at("elsewhere");
  await Deno.mkdir(`${elsewhere}/workdir`, { recursive: true });
  await Deno.writeTextFile(`${elsewhere}/.drover-task.json`, marker);
  await Deno.mkdir(dir.at("home/workspaces/other/23456789abcd/workdir"), { recursive: true });
  await Deno.writeTextFile(dir.at("home/workspaces/other/23456789abcd/.drover-task.json"), marker);
  const places = [
    `${elsewhere}/workdir`,
    `${root}/../../../../elsewhere/workdir`,
    dir.at("home/workspaces/other/23456789abcd/workdir"),
    dir.at("home/workspaces/w"),
    root,
    `${root}/none`,
    "relative",
    "",
  ];
  for (const prior_work_dir of places) {
    assertEquals((await prepare(dir, { id: NEXT, prior_work_dir })).reused, false, prior_work_dir);
  }
  // A link of the agent's that leads out of its directory.
  await Deno.remove(first.path, { recursive: true });
  await Deno.symlink(`${elsewhere}/workdir`, first.path);
  assertEquals((await prepare(dir, { id: NEXT, prior_work_dir: first.path })).reused, false);
});
