/** A round of cleaning up over real directories and real git: what goes, what stays and why, and what is left behind. */
import { assert, assertEquals } from "@std/assert";
import { freeingPolicy, gcPolicy, type Word } from "../../lib/core/gc.ts";
import { homeLayout } from "../../lib/core/home.ts";
import { type Files, HostError } from "../../lib/core/ports.ts";
import { runGcLoop } from "../../lib/daemon/gc_loop.ts";
import { type GcItem, type GcOptions, gcRound } from "../../lib/daemon/gc_round.ts";
import { RepoCache } from "../../lib/daemon/repo_cache.ts";
import { RunningTasks } from "../../lib/daemon/running_tasks.ts";
import { noteUse, type WorkRecord } from "../../lib/daemon/work_record.ts";
import { makeWorktree } from "../../lib/daemon/worktree.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createFiles } from "../../lib/host/files.ts";
import { createProcesses } from "../../lib/host/process.ts";
import { createRandom } from "../../lib/host/random.ts";
import { type TempDirectory, tempDirectory } from "../host/temp_directory.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { GIT_ENV } from "../support/git_env.ts";
import { GitServer, runGit } from "../support/git_server.ts";
import { keptLog } from "./kept_log.ts";
import { loadedLocks } from "../support/loaded_locks.ts";

const DAY = 86_400_000;
const files = createFiles();
const processes = createProcesses({ clock: createClock() });
const locks = await loadedLocks();

function world(dir: TempDirectory) {
  const home = homeLayout(dir.path);
  const clock = new FakeClock(Date.now());
  const running = new RunningTasks();
  const words = new Map<string, Word>();
  const policy = gcPolicy({ retentionMs: 30 * DAY, discard: false });
  const signal = new AbortController().signal;
  const options: GcOptions = {
    ...{ home, clock, running, policy, files, processes, locks, signal },
    env: GIT_ENV,
    random: createRandom(),
    log: keptLog(),
    wordOf: (record) => Promise.resolve(words.get(record.task) ?? { kind: "unknown", why: "not told" }),
  };
  /** The directory of a task of an issue that was used so many days ago. */
  const directory = async (n: number, word: Word | undefined, days = 40): Promise<string> => {
    const root = `${home.workspaces}/w/${String(n).padStart(12, "0")}`;
    await Deno.mkdir(`${root}/workdir`, { recursive: true });
    const usedAt = clock.now() - days * DAY;
    const record: WorkRecord = {
      ...{ connection: "team", remote: true, task: `t${n}`, subject: "issue", subjectId: `i${n}`, usedAt },
    };
    await noteUse([root], record, files);
    if (word) words.set(`t${n}`, word);
    return root;
  };
  const round = (more: Partial<GcOptions> = {}) => gcRound({ ...options, ...more });
  return { home, clock, running, round, directory, options, policy };
}

const ENDED: Word = { kind: "ended" };
const gone = (items: readonly GcItem[]) => items.filter(({ removed }) => removed).map(({ path }) => path.slice(-1));
const there = async (path: string) => await files.stat(path) !== undefined;

Deno.test("gcRound() removes what is over, and says of the rest why it stays", async () => {
  await using dir = await tempDirectory();
  const w = world(dir);
  await w.directory(1, ENDED);
  await w.directory(2, { kind: "open" });
  await w.directory(3, undefined);
  await w.directory(4, { kind: "gone" });
  const used = await w.directory(5, ENDED);
  await w.directory(6, ENDED, 0);
  await Deno.mkdir(`${w.home.workspaces}/w/not-ours`);
  using _presence = await w.running.enter({ workdir: "" } as never, [used]);
  const dry = await w.round({ dryRun: true });
  assertEquals([gone(dry), (await files.list(`${w.home.workspaces}/w`)).length], [["1", "4"], 7]);
  const items = await w.round();
  assertEquals(gone(items), ["1", "4"]);
  assertEquals(items.filter(({ removed }) => !removed).map(({ why }) => why), [
    "its task or issue is open",
    "the server did not say whether it is over: not told",
    "a task uses it",
    "it was used too recently",
  ]);
  assertEquals((await files.list(`${w.home.workspaces}/w`)).length, 5);
  assertEquals(await files.list(w.home.workspaces), ["w"]);
});

Deno.test("gcRound() keeps uncommitted work and unpushed commits, and forgets worktrees and branches that are pushed", async () => {
  await using dir = await tempDirectory();
  const w = world(dir);
  const server = await GitServer.create(dir.path);
  const log = keptLog();
  const cache = new RepoCache({
    ...{ directory: w.home.repos, protocols: "file", env: () => GIT_ENV, allowFile: true },
    ...{ files, processes, locks, log, clock: w.clock },
  });
  const repo = async (n: number) => {
    const root = await w.directory(n, ENDED);
    const request = { url: server.url, workspace: "w", into: `${root}/workdir`, branch: `drover/bot/${n}` };
    return (await cache.checkout(request, w.options)).path;
  };
  const [clean, dirty, committed, pushed] = [await repo(1), await repo(2), await repo(3), await repo(4)];
  await Deno.writeTextFile(`${dirty}/new`, "not committed");
  for (const path of [committed, pushed]) {
    await Deno.writeTextFile(`${path}/file`, path);
    await runGit(path, "commit", "--quiet", "-am", "work");
  }
  await runGit(pushed, "push", "--quiet", "origin", "HEAD");
  const items = await w.round();
  assertEquals(gone(items), ["1", "4"]);
  assertEquals(items.map(({ why }) => why), [
    "it is over",
    "it holds uncommitted work",
    "it holds commits that were not pushed",
    "it is over",
    "directories of tasks depend on it",
  ]);
  assert(!await there(clean) && await there(dirty) && await there(committed));
  const bare = items.at(-1)!.path;
  const branches = async () => (await runGit(bare, "branch", "--format=%(refname:short)")).split("\n");
  assertEquals(await branches(), ["drover/bot/2", "drover/bot/3"]);

  const discard = freeingPolicy(w.policy, { all: true, discard: true });
  assertEquals(gone(await w.round({ policy: discard })).length, 3, "both directories, and then the repository");
  assert(!await there(bare));
});

Deno.test("gcRound() finds the work in a repository that an agent has made further down", async () => {
  await using dir = await tempDirectory();
  const w = world(dir);
  const root = await w.directory(1, ENDED);
  const deep = `${root}/workdir/a/b/project`;
  await Deno.mkdir(deep, { recursive: true });
  await runGit(deep, "init", "--quiet");
  await Deno.writeTextFile(`${deep}/file`, "1");
  assertEquals((await w.round())[0]?.why, "it holds uncommitted work");
  await runGit(deep, "add", ".");
  await runGit(deep, "commit", "--quiet", "-m", "kept nowhere else");
  assertEquals((await w.round())[0]?.why, "it holds commits that were not pushed");
});

Deno.test("gcRound() removes a worktree of the user's repository, whose branch stays there", async () => {
  await using dir = await tempDirectory();
  const w = world(dir);
  const repo = dir.at("mine");
  await Deno.mkdir(repo);
  await runGit(repo, "init", "--quiet", "-b", "main");
  await Deno.writeTextFile(`${repo}/file`, "1");
  await runGit(repo, "add", ".");
  await runGit(repo, "commit", "--quiet", "-m", "first");
  const root = await w.directory(1, ENDED);
  await Deno.remove(`${root}/workdir`);
  const made = await makeWorktree(repo, { ...w.options, root, branch: "drover/bot-1" });
  await Deno.writeTextFile(`${made.path}/file`, "2");
  assertEquals(gone(await w.round()), []);
  await runGit(made.path, "commit", "--quiet", "-am", "work");
  assertEquals(gone(await w.round()), ["1"]);
  assertEquals((await runGit(repo, "worktree", "list")).split("\n").length, 1);
  assertEquals(await runGit(repo, "log", "-1", "--format=%s", "drover/bot-1"), "work");
});

Deno.test("gcRound() finishes what a killed one began, and takes directories without any note by their age", async () => {
  await using dir = await tempDirectory();
  const w = world(dir);
  await Deno.mkdir(`${w.home.workspaces}/.trash/half/of/it`, { recursive: true });
  for (const n of [1, 2]) {
    await Deno.mkdir(`${w.home.workspaces}/w/${String(n).padStart(12, "0")}`, { recursive: true });
  }
  const old = new Date(w.clock.now() - 4 * DAY);
  await Deno.utime(`${w.home.workspaces}/w/000000000001`, old, old);
  assertEquals(gone(await w.round()), ["1"]);
  assertEquals(await files.list(w.home.workspaces), ["w"]);
});

Deno.test("gcRound() goes on past what it cannot remove, says so, and takes it once it can", async () => {
  await using dir = await tempDirectory();
  const w = world(dir);
  const trash = `${w.home.workspaces}/.trash`;
  await Deno.mkdir(`${trash}/stuck`, { recursive: true });
  await Deno.mkdir(`${trash}/other`);
  for (const n of [1, 2]) await w.directory(n, ENDED);
  const log = keptLog();
  const stubborn: Files = {
    ...files,
    remove: (path) =>
      path.startsWith(`${trash}/`) && !path.endsWith("/other")
        ? Promise.reject(new HostError("other", `Cannot remove ${path}: Operation not permitted`))
        : path === trash
        ? Promise.reject(new HostError("other", "Cannot remove the trash"))
        : files.remove(path),
  };
  assertEquals(gone(await w.round({ files: stubborn, log })), ["1", "2"]);
  assertEquals([(await files.list(trash)).length, (await files.list(trash)).includes("other")], [3, false]);
  assertEquals(log.said("warn").length, 3);
  await w.round();
  assertEquals(await files.list(w.home.workspaces), ["w"]);
});

Deno.test("gcRound() removes directories that a program has made read-only, as caches of modules are", async () => {
  await using dir = await tempDirectory();
  const w = world(dir);
  const inner = `${await w.directory(1, ENDED)}/workdir/cache/module`;
  await Deno.mkdir(inner, { recursive: true });
  await Deno.writeTextFile(`${inner}/file`, "");
  for (const path of [inner, `${inner}/..`]) await Deno.chmod(path, 0o555);
  // As for somebody who is not root, who may remove them anyway.
  const readOnly = async (path: string): Promise<boolean> => {
    for (const { name, isDirectory } of await Array.fromAsync(Deno.readDir(path))) {
      if (isDirectory && await readOnly(`${path}/${name}`)) return true;
    }
    return ((await Deno.stat(path)).mode! & 0o200) === 0;
  };
  const strict: Files = {
    ...files,
    remove: async (path) => {
      if (path.includes("/.trash") && await there(path) && await readOnly(path)) {
        throw new HostError("other", "Cannot remove it");
      }
      await files.remove(path);
    },
  };
  assertEquals(gone(await w.round({ files: strict })), ["1"]);
  assertEquals(await files.list(w.home.workspaces), ["w"]);
});

Deno.test("gcRound() packs a repository that many fetches have left in pieces", async () => {
  await using dir = await tempDirectory();
  const w = world(dir);
  const bare = `${w.home.repos}/w/app.git`;
  await Deno.mkdir(bare, { recursive: true });
  await runGit(bare, "init", "--quiet", "--bare");
  const packs = async () => (await files.list(`${bare}/objects/pack`)).filter((name) => name.endsWith(".pack")).length;
  const tree = await runGit(bare, "write-tree");
  for (let i = 0; i < 31; i++) {
    const commit = await runGit(bare, "commit-tree", tree, "-m", `${i}`);
    await runGit(bare, "update-ref", `refs/remotes/origin/b${i}`, commit);
    await runGit(bare, "repack", "--quiet", "-d");
  }
  assert(await packs() > 30, `${await packs()} packs`);
  assertEquals(gone(await w.round({ dryRun: true })), []);
  assert(await packs() > 30);
  await w.round();
  assertEquals(await packs(), 1);
});

Deno.test("runGcLoop() begins half a minute after the start, goes on every two hours, and survives a round that fails", async () => {
  const clock = new FakeClock();
  const log = keptLog();
  const stop = new AbortController();
  let rounds = 0;
  const loop = runGcLoop({
    clock,
    log,
    round: () => {
      rounds++;
      if (rounds === 1) return Promise.reject(new Error("disk on fire"));
      return Promise.resolve([{ kind: "work", path: "/w", task: "", removed: true, why: "" }]);
    },
  }, stop.signal);
  await clock.advance(29_999);
  assertEquals(rounds, 0);
  await clock.advance(1);
  assertEquals([rounds, log.said("warn").length], [1, 1]);
  await clock.advance(2 * 60 * 60_000);
  assertEquals([rounds, log.said("info").length], [2, 1]);
  stop.abort();
  await loop;
  assertEquals(clock.waiting, 0);
});
