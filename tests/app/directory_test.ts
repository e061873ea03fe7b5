/** Where a run works: what was asked for, and what a real repository suggests. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type DirectoryWish, planDirectory } from "../../lib/app/directory.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import { type TempDirectory, tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";
import { GIT_ENV } from "../support/git_env.ts";

async function git(cwd: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command("git", { args, cwd, env: GIT_ENV, clearEnv: true }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

async function repository(dir: TempDirectory, { commit = true } = {}): Promise<string> {
  const path = dir.at("repo");
  await Deno.mkdir(`${path}/sub`, { recursive: true });
  await git(path, "init", "--quiet");
  await Deno.writeTextFile(`${path}/sub/file`, "");
  if (!commit) return path;
  await git(path, "add", ".");
  await git(path, "commit", "--quiet", "-m", "first");
  return path;
}

function plan(cwd: string, wish: Partial<DirectoryWish> = {}, env: Record<string, string> = {}) {
  const { host } = testHost({ cwd, env: { ...GIT_ENV, ...env } });
  return planDirectory(host, { worktree: false, scratch: false, ...wish });
}

async function refused(code: string, words: string, fn: () => Promise<unknown>): Promise<void> {
  const error = await assertRejects(fn, DroverError, words);
  assertEquals(error.code, code);
}

Deno.test("planDirectory() suggests a worktree inside a repository, of the very directory one is in", async () => {
  await using dir = await tempDirectory();
  const path = await repository(dir);
  for (const wish of [{}, { worktree: true }]) {
    assertEquals(await plan(`${path}/sub`, wish), {
      directory: { mode: "worktree", path: `${path}/sub` },
      remarks: [],
    });
  }
});

Deno.test("planDirectory() says that uncommitted changes go along, and that submodules do not", async () => {
  await using dir = await tempDirectory();
  const path = await repository(dir);
  await Deno.writeTextFile(`${path}/sub/file`, "changed");
  assertEquals((await plan(path)).remarks, [`the worktree gets 1 uncommitted change of ${path}, which stays as it is`]);
  await Deno.writeTextFile(`${path}/new`, "");
  assertStringIncludes((await plan(path)).remarks[0]!, "2 uncommitted changes");
  await Deno.writeTextFile(`${path}/.gitmodules`, "");
  assertStringIncludes((await plan(path)).remarks[1]!, "git submodule update");
  await git(dir.path, "init", "--quiet", "--bare", "bare");
  await refused("directory_unusable", "is bare", () => plan(dir.at("bare"), { worktree: true }));
});

Deno.test("planDirectory() falls back to an empty directory where there is no repository to use", async () => {
  await using dir = await tempDirectory();
  await Deno.mkdir(dir.at("plain"));
  assertEquals(await plan(dir.at("plain")), { directory: { mode: "scratch" }, remarks: [] });
  const unborn = await repository(dir, { commit: false });
  const fallback = await plan(unborn);
  assertEquals(fallback.directory, { mode: "scratch" });
  assertStringIncludes(fallback.remarks[0]!, "no commit yet");
});

Deno.test("planDirectory() refuses a worktree that was asked for and cannot be", async () => {
  await using dir = await tempDirectory();
  await Deno.mkdir(dir.at("plain"));
  await refused("directory_unusable", "not in a git repository", () => plan(dir.at("plain"), { worktree: true }));
  const unborn = await repository(dir, { commit: false });
  await refused("directory_unusable", "no commit yet", () => plan(unborn, { worktree: true }));
});

Deno.test("planDirectory() looks at where one is, whatever git's own variables name", async () => {
  await using dir = await tempDirectory();
  await using elsewhere = await tempDirectory();
  const other = await repository(elsewhere);
  await Deno.mkdir(dir.at("plain"));
  const found = await plan(dir.at("plain"), {}, { GIT_DIR: `${other}/.git`, GIT_WORK_TREE: other });
  assertEquals(found.directory, { mode: "scratch" });
});

Deno.test("planDirectory() works in place where that was asked for", async () => {
  await using dir = await tempDirectory();
  await Deno.mkdir(dir.at("mine"));
  const place = { directory: { mode: "in-place" as const, path: dir.at("mine") }, remarks: [] };
  assertEquals(await plan(dir.path, { cwd: "mine" }), place);
  assertEquals(await plan("/", { cwd: dir.at("mine") }), place);
});

Deno.test("planDirectory() refuses a place that is none, and wishes that contradict each other", async () => {
  await using dir = await tempDirectory();
  await Deno.writeTextFile(dir.at("file"), "");
  await refused("directory_unusable", "does not exist", () => plan(dir.path, { cwd: "none" }));
  await refused("directory_unusable", "not a directory", () => plan(dir.path, { cwd: "file" }));
  await refused("usage", "Cannot combine --cwd and --scratch", () => plan(dir.path, { cwd: ".", scratch: true }));
  await refused("usage", "--worktree and --scratch", () => plan(dir.path, { worktree: true, scratch: true }));
});

Deno.test("planDirectory() makes no demands on an empty directory", async () => {
  assertEquals(await plan("/", { scratch: true }), { directory: { mode: "scratch" }, remarks: [] });
});
