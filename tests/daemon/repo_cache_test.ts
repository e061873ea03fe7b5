/** The cache of repositories, with real git: what a task gets, that it stays cheap, and what happens when the server is away. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { Files, Locks, Processes } from "../../lib/core/ports.ts";
import { allowedProtocols } from "../../lib/core/repo_request.ts";
import { type Checkout, type CheckoutRequest, RepoCache, RepoError } from "../../lib/daemon/repo_cache.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createFiles } from "../../lib/host/files.ts";
import { createProcesses } from "../../lib/host/process.ts";
import { type TempDirectory, tempDirectory } from "../host/temp_directory.ts";
import { GIT_ENV } from "../support/git_env.ts";
import { GitServer, runGit } from "../support/git_server.ts";
import { keptLog } from "./kept_log.ts";
import { placeScript } from "../support/program_file.ts";
import { loadedLocks } from "../support/loaded_locks.ts";

const clock = createClock();
const files = createFiles();
const processes = createProcesses({ clock });
const signal = new AbortController().signal;
const locks = await loadedLocks(clock);

async function world(
  dir: TempDirectory,
  given: { locks?: Locks; lockMs?: number; processes?: Processes; files?: Files } = {},
) {
  const server = await GitServer.create(dir.path);
  const cache = new RepoCache({
    directory: dir.at("repos"),
    protocols: allowedProtocols({ allowFile: true }),
    env: () => GIT_ENV,
    log: keptLog(),
    allowFile: true,
    ...{ files, processes, locks, clock, ...given },
  });
  let tasks = 0;
  const checkout = async (more: Partial<CheckoutRequest> = {}, until = signal): Promise<Checkout> => {
    const into = more.into ?? dir.at(`task${tasks++}`);
    await Deno.mkdir(into, { recursive: true });
    const branch = `drover/bot/${into.split("/").at(-1)}`;
    return await cache.checkout({ url: server.url, workspace: "w", branch, ...more, into }, { signal: until });
  };
  const bare = dir.at(
    `repos/w/${encodeURIComponent(server.path.slice(1).replace(/\.git$/, "")).replaceAll("%", "~")}.git`,
  );
  return { server, cache, checkout, bare };
}

const textIn = (checkout: Checkout) => Deno.readTextFile(`${checkout.path}/file`);

Deno.test("RepoCache makes a worktree of the default branch, on a branch of its own, that can be pushed", async () => {
  await using dir = await tempDirectory();
  const { server, checkout } = await world(dir);
  const made = await checkout();
  assertEquals([made.branch, made.existed, made.stale], ["drover/bot/task0", false, undefined]);
  assertEquals(made.path, `${dir.path}/task0/app`);
  assertEquals(await textIn(made), "first");
  await Deno.writeTextFile(`${made.path}/file`, "changed");
  await runGit(made.path, "commit", "--quiet", "-am", "by the agent");
  await runGit(made.path, "push", "--quiet", "origin", "HEAD");
  assertStringIncludes(await runGit(server.path, "branch", "--list"), "drover/bot/task0");
});

Deno.test("RepoCache brings its clone up to date for each checkout, and shares it among the tasks of a workspace alone", async () => {
  await using dir = await tempDirectory();
  const { server, checkout, bare } = await world(dir);
  await checkout();
  await server.commit("second");
  assertEquals(await textIn(await checkout()), "second");
  assertEquals((await runGit(bare, "worktree", "list")).split("\n").length, 3);
  await checkout({ workspace: "other" });
  assertEquals([...Deno.readDirSync(dir.at("repos"))].map(({ name }) => name).sort(), ["other", "w"]);
});

Deno.test("RepoCache leaves out the contents of files that nobody checks out, where the server can", async () => {
  await using dir = await tempDirectory();
  const { server, checkout, bare } = await world(dir);
  await server.commit("never checked out");
  await server.commit("newest");
  await checkout();
  const missing = await runGit(bare, "rev-list", "--objects", "--missing=print", "--remotes");
  assertEquals(missing.split("\n").filter((line) => line.startsWith("?")).length, 2, missing);
});

Deno.test("RepoCache finds branches, tags, commits in short, and commits that no branch has", async () => {
  await using dir = await tempDirectory();
  const { server, checkout } = await world(dir);
  await server.tag("v1");
  const second = await server.commit("on a branch", "feature/x");
  await server.commit("newest", "main");
  await runGit(server.path, "config", "uploadpack.allowAnySHA1InWant", "true");
  const head = await runGit(server.path, "rev-parse", "refs/heads/main");
  await runGit(server.path, "update-ref", "refs/pull/7/head", second);
  const wanted = {
    "v1": "first",
    "feature/x": "on a branch",
    "origin/main": "newest",
    [second.slice(0, 9)]: "on a branch",
  };
  for (const [ref, text] of Object.entries(wanted)) assertEquals(await textIn(await checkout({ ref })), text, ref);
  assertEquals(await textIn(await checkout({ ref: "refs/pull/7/head" })), "on a branch");
  assertEquals(await textIn(await checkout({ ref: head })), "newest");
});

Deno.test("RepoCache goes on with what it has when the server is away, and says so", async () => {
  await using dir = await tempDirectory();
  const { server, checkout } = await world(dir);
  await checkout();
  await Deno.rename(server.path, `${server.path}.away`);
  const made = await checkout();
  assertEquals(await textIn(made), "first");
  assertStringIncludes(made.stale ?? "", "Git fetch failed");
  await assertRejects(() => checkout({ ref: "not-there" }), RepoError, "no such branch");
});

Deno.test("RepoCache leaves nothing of a clone that failed, and begins one anew that was cut off", async () => {
  await using dir = await tempDirectory();
  const { server, checkout, bare } = await world(dir);
  await Deno.rename(server.path, `${server.path}.away`);
  const error = await assertRejects(() => checkout(), RepoError, "Cannot check out");
  assertEquals(error.kind, "failed");
  assertEquals(await files.stat(bare), undefined);
  await Deno.rename(`${server.path}.away`, server.path);
  await Deno.mkdir(bare, { recursive: true });
  await Deno.writeTextFile(`${bare}/HEAD`, "half of it");
  assertEquals(await textIn(await checkout()), "first");
});

Deno.test("RepoCache gives a task what it has already, untouched, and never writes over something else", async () => {
  await using dir = await tempDirectory();
  const { server, checkout } = await world(dir);
  const first = await checkout();
  await Deno.writeTextFile(`${first.path}/file`, "half done");
  await server.commit("second");
  const again = await checkout({ into: dir.at("task0") });
  assertEquals([again.existed, again.branch, await textIn(again)], [true, first.branch, "half done"]);
  await Deno.mkdir(dir.at("mine/app"), { recursive: true });
  const error = await assertRejects(() => checkout({ into: dir.at("mine") }), RepoError, "something else is there");
  assertEquals(error.kind, "invalid");
});

Deno.test("RepoCache makes a clone that needs nothing outside its directory, where that is asked for", async () => {
  await using dir = await tempDirectory();
  const { server, checkout } = await world(dir);
  const made = await checkout({ isolated: true });
  assertEquals(await textIn(made), "first");
  assertEquals(await runGit(made.path, "rev-parse", "--git-common-dir"), ".git");
  assertEquals(await runGit(made.path, "remote", "get-url", "origin"), server.url);
  assertEquals(await runGit(made.path, "branch", "--show-current"), made.branch);
  await Deno.remove(dir.at("repos"), { recursive: true });
  assertEquals(await runGit(made.path, "status", "--porcelain"), "");
  assertEquals(await runGit(made.path, "log", "--format=%s"), "first");
});

for (const isolated of [false, true]) {
  for (const how of [isolated ? "failed" : "aborted", "killed"] as const) {
    const what = `${isolated ? "clone" : "worktree"} whose last step was ${how}`;
    Deno.test(`RepoCache never takes for a checkout a ${what}`, async () => {
      await using dir = await tempDirectory();
      const abort = new AbortController();
      const into = dir.at("task");
      let [sound, dead] = [false, false];
      const living = () => {
        if (dead) throw new Error("this process is no more");
      };
      const run: Processes["run"] = async (command, options) => {
        living();
        if (sound || !(command.args.includes(isolated ? "checkout" : "add") && !command.args.includes("remote"))) {
          return await processes.run(command, options);
        }
        // Git has made the directory, but not every file in it.
        if (!isolated) {
          await processes.run(command, options);
          await Deno.remove(`${into}/app/file`);
          await Deno.writeTextFile(`${dir.path}/repos/w/${await bareName(dir)}/worktrees/app/locked`, "initializing");
        }
        dead = how === "killed";
        if (how === "aborted") abort.abort(new Error("enough"));
        living();
        return { exit: { code: 128, signal: null }, stdout: "", stderr: "fatal: the line is down", timedOut: false };
      };
      const { checkout } = await world(dir, {
        processes: { ...processes, run },
        files: { ...files, remove: async (path) => (living(), await files.remove(path)) },
      });
      await assertRejects(() => checkout({ into, isolated }, abort.signal), Error);
      if (how !== "killed") assertEquals(await files.list(into), []);
      [sound, dead] = [true, false];
      const made = await checkout({ into, isolated });
      assertEquals([made.existed, made.branch, await textIn(made)], [false, "drover/bot/task", "first"]);
      assertEquals([(await checkout({ into, isolated })).existed, await files.list(into)], [true, ["app"]]);
    });
  }
}

async function bareName(dir: TempDirectory): Promise<string> {
  return (await files.list(dir.at("repos/w"))).find((name) => name.endsWith(".git"))!;
}

Deno.test("RepoCache says that a repository is busy when its lock is not to be had", async () => {
  await using dir = await tempDirectory();
  const taken: Locks = { tryLock: () => Promise.resolve(undefined), lock: () => Promise.resolve(undefined) };
  const { checkout } = await world(dir, { locks: taken });
  const error = await assertRejects(() => checkout(), RepoError, "another task fetches it");
  assertEquals(error.kind, "busy");
});

Deno.test("RepoCache fetches once at a time: five tasks that ask at once all get their worktree", async () => {
  await using dir = await tempDirectory();
  const { checkout } = await world(dir, { lockMs: 60_000 });
  const made = await Promise.all(Array.from({ length: 5 }, () => checkout()));
  assertEquals(new Set(made.map(({ path }) => path)).size, 5);
  for (const one of made) assertEquals(await textIn(one), "first");
});

Deno.test("RepoCache runs no hook of the user's, and asks no questions", async () => {
  await using dir = await tempDirectory();
  const { server } = await world(dir);
  await Deno.mkdir(dir.at("template/hooks"), { recursive: true });
  await placeScript(dir.at("template/hooks/post-checkout"), `#!/bin/sh\ntouch ${dir.at("hooked")}\n`);
  await Deno.writeTextFile(dir.at("gitconfig"), `[init]\n\ttemplateDir = ${dir.at("template")}\n`);
  const cache = new RepoCache({
    directory: dir.at("others"),
    protocols: "file",
    env: () => ({ ...GIT_ENV, GIT_CONFIG_GLOBAL: dir.at("gitconfig") }),
    log: keptLog(),
    allowFile: true,
    ...{ files, processes, clock, locks },
  });
  await Deno.mkdir(dir.at("task"));
  await cache.checkout({ url: server.url, workspace: "w", into: dir.at("task"), branch: "b" }, { signal });
  assert(!await files.stat(dir.at("hooked")));
});
