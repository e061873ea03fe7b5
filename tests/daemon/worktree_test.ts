/** What a worktree takes along of the user's uncommitted work, and that nothing of the user's is touched: real git. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { createClock } from "../../lib/host/clock.ts";
import { createFiles } from "../../lib/host/files.ts";
import { createProcesses } from "../../lib/host/process.ts";
import { WorkdirError } from "../../lib/daemon/git.ts";
import { CARRY_LIMIT, makeWorktree, type Worktree } from "../../lib/daemon/worktree.ts";
import { type TempDirectory, tempDirectory } from "../host/temp_directory.ts";
import { GIT_ENV } from "../support/git_env.ts";

const files = createFiles();
const processes = createProcesses({ clock: createClock() });

async function git(cwd: string, ...args: string[]): Promise<string> {
  // Or a mere look would write the index.
  const env = { ...GIT_ENV, GIT_OPTIONAL_LOCKS: "0" };
  const { success, stdout, stderr } = await new Deno.Command("git", { args, cwd, env, clearEnv: true }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout).trimEnd();
}

const BINARY = new Uint8Array([0, 1, 2, 255, 254, 10, 13, 0]);

/** A repository with one commit of a dozen files. */
async function repository(dir: TempDirectory): Promise<string> {
  const path = dir.at("repo");
  await Deno.mkdir(`${path}/sub`, { recursive: true });
  await git(path, "init", "--quiet", "-b", "main");
  for (const name of ["kept", "edited", "staged", "both", "deleted", "unlinked", "moved", "script", "sub/deep"]) {
    await Deno.writeTextFile(`${path}/${name}`, `${name}, as it was committed\n`);
  }
  await Deno.writeFile(`${path}/picture`, BINARY);
  await Deno.writeTextFile(`${path}/.gitignore`, "ignored\n");
  await git(path, "add", ".");
  await git(path, "commit", "--quiet", "-m", "first");
  return path;
}

/** Every kind of change there is. */
async function makeDirty(path: string): Promise<void> {
  await Deno.writeTextFile(`${path}/edited`, "edited\n");
  await Deno.writeTextFile(`${path}/staged`, "staged\n");
  await Deno.writeTextFile(`${path}/both`, "half staged\n");
  await git(path, "add", "staged", "both");
  await Deno.writeTextFile(`${path}/both`, "and edited again\n");
  await Deno.remove(`${path}/deleted`);
  await git(path, "rm", "--quiet", "unlinked");
  await git(path, "mv", "moved", "renamed");
  await Deno.chmod(`${path}/script`, 0o755);
  await Deno.writeFile(`${path}/picture`, BINARY.toReversed());
  await Deno.symlink("kept", `${path}/link`);
  await Deno.symlink("/nowhere", `${path}/dangling`);
  await Deno.mkdir(`${path}/new dir`);
  await Deno.writeTextFile(`${path}/new dir/ünïcode`, "untracked\n");
  await Deno.writeTextFile(`${path}/ignored`, "secret\n");
}

function make(path: string, dir: TempDirectory, change: { env?: Record<string, string> } = {}): Promise<Worktree> {
  const root = dir.at("root");
  const env = { ...GIT_ENV, ...change.env };
  const signal = new AbortController().signal;
  return files.makeDirectory(root).then(() =>
    makeWorktree(path, { files, processes, env, signal, root, branch: "drover/bot-1" })
  );
}

/** All that the user could notice of a repository, the branches and worktrees that are asked for left out. */
async function seen(path: string): Promise<string> {
  const index = Array.from(await Deno.readFile(`${path}/.git/index`)).join();
  const parts = await Promise.all([
    git(path, "status", "--porcelain=v2", "--ignored", "--untracked-files=all"),
    git(path, "stash", "list"),
    git(path, "for-each-ref", "refs/heads/main", "refs/stash", "refs/tags"),
    git(path, "config", "--local", "--list"),
    Deno.readTextFile(`${path}/.git/info/exclude`),
  ]);
  return [index, ...parts].join("\n--\n");
}

Deno.test("makeWorktree() carries every kind of uncommitted work along, and what is staged stays staged", async () => {
  await using dir = await tempDirectory();
  const path = await repository(dir);
  await makeDirty(path);
  const before = await seen(path);
  const made = await make(path, dir);
  assertEquals(await seen(path), before);
  assertEquals(made.remarks, []);
  const status = ["status", "--porcelain=v1", "--untracked-files=all"];
  assertEquals(await git(made.path, ...status), await git(path, ...status));
  assertStringIncludes(await git(made.path, ...status), "MM both");
  assertEquals(await git(made.path, "diff", "--staged"), await git(path, "diff", "--staged"));
  assertEquals(await git(made.path, "diff"), await git(path, "diff"));
  assertEquals(await Deno.readFile(`${made.path}/picture`), BINARY.toReversed());
  assertEquals((await Deno.stat(`${made.path}/script`)).mode! & 0o111, 0o111);
  assertEquals(await Deno.readLink(`${made.path}/link`), "kept");
  assertEquals(await Deno.readLink(`${made.path}/dangling`), "/nowhere");
  assertEquals(await Deno.readTextFile(`${made.path}/new dir/ünïcode`), "untracked\n");
  assertEquals(await files.stat(`${made.path}/ignored`), undefined);
  assertEquals(await git(made.path, "rev-parse", "HEAD"), await git(path, "rev-parse", "main"));
  assertEquals(await git(made.path, "branch", "--show-current"), "drover/bot-1");
  assertEquals(await files.list(dir.at("root")), ["workdir"]);
});

Deno.test("makeWorktree() of a clean repository is what HEAD says, also without a branch", async () => {
  await using dir = await tempDirectory();
  const path = await repository(dir);
  await git(path, "checkout", "--quiet", "--detach");
  await Deno.writeTextFile(`${path}/ignored`, "");
  const made = await make(`${path}/sub`, dir);
  assertEquals([made.path, made.remarks], [dir.at("root/workdir/sub"), []]);
  assertEquals(await git(made.path, "status", "--porcelain"), "");
});

Deno.test("makeWorktree() carries what stands in the files in the middle of a merge", async () => {
  await using dir = await tempDirectory();
  const path = await repository(dir);
  await git(path, "checkout", "--quiet", "-b", "other");
  await Deno.writeTextFile(`${path}/edited`, "theirs\n");
  await git(path, "commit", "--quiet", "-am", "theirs");
  await git(path, "checkout", "--quiet", "main");
  await Deno.writeTextFile(`${path}/edited`, "ours\n");
  await git(path, "commit", "--quiet", "-am", "ours");
  await assertRejects(() => git(path, "merge", "other"));
  const before = await seen(path);
  const made = await make(path, dir);
  assertStringIncludes(await Deno.readTextFile(`${made.path}/edited`), "<<<<<<<");
  assertEquals(await git(made.path, "status", "--porcelain"), " M edited");
  assertEquals(await seen(path), before);
});

Deno.test("makeWorktree() leaves a repository inside the repository alone, and says so", async () => {
  await using dir = await tempDirectory();
  const path = await repository(dir);
  await Deno.mkdir(`${path}/inner`);
  await git(`${path}/inner`, "init", "--quiet");
  await Deno.writeTextFile(`${path}/inner/file`, "");
  await git(`${path}/inner`, "add", ".");
  await git(`${path}/inner`, "commit", "--quiet", "-m", "inner");
  await Deno.writeTextFile(`${path}/new`, "");
  const made = await make(path, dir);
  assertEquals(await git(made.path, "status", "--porcelain"), "?? new");
  assertEquals(made.remarks.length, 1);
  assertStringIncludes(made.remarks[0]!, "inner/");
});

Deno.test("makeWorktree() takes a repository with a submodule, whose directory is empty as in every new worktree", async () => {
  await using dir = await tempDirectory();
  const path = await repository(dir);
  await using other = await tempDirectory();
  const library = await repository(other);
  await git(path, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", library, "library");
  await git(path, "commit", "--quiet", "-m", "with a submodule");
  await Deno.writeTextFile(`${path}/library/edited`, "in the submodule\n");
  await Deno.writeTextFile(`${path}/edited`, "here\n");
  const made = await make(path, dir);
  assertEquals(await git(made.path, "status", "--porcelain"), " M edited");
  assertEquals(await files.list(`${made.path}/library`), []);
});

Deno.test("makeWorktree() refuses to copy what is no work in progress, and makes nothing", async () => {
  await using dir = await tempDirectory();
  const path = await repository(dir);
  const huge = `${path}/disk.img`;
  await Deno.writeTextFile(huge, "");
  await Deno.truncate(huge, CARRY_LIMIT.bytes + 1);
  const error = await assertRejects(() => make(path, dir), WorkdirError, "513 MiB");
  assertStringIncludes(error.message, ".gitignore");
  await Deno.remove(huge);
  await Deno.mkdir(`${path}/many`);
  for (let i = 0; i <= CARRY_LIMIT.files; i++) Deno.writeTextFileSync(`${path}/many/${i}`, "");
  await assertRejects(() => make(path, dir), WorkdirError, "10001 files");
  assertEquals(await git(path, "branch", "--format=%(refname:short)"), "main");
  assertEquals(await files.list(dir.at("root")), []);
});

Deno.test("makeWorktree() names a file that cannot be read", { ignore: Deno.uid() === 0 }, async () => {
  await using dir = await tempDirectory();
  const path = await repository(dir);
  await Deno.writeTextFile(`${path}/locked`, "");
  await Deno.chmod(`${path}/locked`, 0);
  await assertRejects(() => make(path, dir), WorkdirError, "locked");
});

Deno.test("makeWorktree() begins anew where an earlier claim was cut off", async () => {
  await using dir = await tempDirectory();
  const path = await repository(dir);
  const first = await make(path, dir);
  await Deno.remove(`${first.path}/kept`);
  await Deno.writeTextFile(`${path}/edited`, "edited meanwhile\n");
  const second = await make(path, dir);
  assertEquals(second.path, first.path);
  assertEquals(await git(second.path, "status", "--porcelain"), " M edited");
  assert((await git(path, "worktree", "list")).split("\n").length === 2);
});
