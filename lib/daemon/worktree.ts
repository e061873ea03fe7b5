/** A git worktree for a task, on a branch of its own, with the user's uncommitted work in it; the user's tree is not touched. */
import { join, relative, resolve } from "@std/path";
import { git, gitMaybe, type GitPorts, gitRaw, WorkdirError } from "./git.ts";

export interface Worktree {
  /** The directory inside it that corresponds to the user's. */
  readonly path: string;
  /** What people should know: something of theirs that is not in it. */
  readonly remarks: readonly string[];
}

export interface WorktreeOptions extends GitPorts {
  /** The task's own directory, in which the worktree is made. */
  readonly root: string;
  readonly branch: string;
}

/** More than that is no work in progress but something that was never ignored. */
export const CARRY_LIMIT = { files: 10_000, bytes: 512 * 1024 * 1024 } as const;

/** Listed in pieces, so that a large tree does not open ten thousand files at once. */
const LOOKED_AT_ONCE = 256;

/** Throws `WorkdirError`. */
export async function makeWorktree(path: string, options: WorktreeOptions): Promise<Worktree> {
  const { files, root, branch } = options;
  const top = await topOf(path, options);
  const target = join(root, "workdir");
  await removeHalfMade(top, target, options);
  // Before the worktree is there: what cannot be carried is said before anything was made.
  const work = await uncommittedWork(top, options);
  await git(top, ["worktree", "add", "--quiet", "-b", branch, target, "HEAD"], options);
  if (work.everything) {
    await git(target, ["read-tree", "-m", "-u", "HEAD", work.everything], options);
    // The index as the user has it: what is staged there is staged here, the rest is not.
    await git(target, ["read-tree", "-m", work.staged], options);
  }
  const inside = relative(await files.realPath(top), await files.realPath(path));
  const start = inside ? join(target, inside) : target;
  // A directory that git does not know is not in the worktree.
  await files.makeDirectory(start);
  return { path: start, remarks: work.remarks };
}

async function topOf(path: string, options: WorktreeOptions): Promise<string> {
  if (await gitMaybe(path, ["rev-parse", "--is-bare-repository"], options) === "true") {
    throw new WorkdirError(
      `Cannot make a worktree of ${path}: the repository is bare and has no files to work on; clone it and work there`,
    );
  }
  const top = await git(path, ["rev-parse", "--show-toplevel"], options);
  if (await gitMaybe(top, ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], options) === undefined) {
    throw new WorkdirError(
      `Cannot make a worktree of ${path}: the repository has no commit yet that HEAD could name; ` +
        `make one, or use --scratch or --cwd`,
    );
  }
  return top;
}

/** Of a claim that came before and was cut off: no agent has ever been there, and half of the work may be missing. */
async function removeHalfMade(top: string, target: string, options: WorktreeOptions): Promise<void> {
  if (!(await options.files.stat(target, { link: true }))) return;
  await gitMaybe(top, ["worktree", "remove", "--force", "--force", target], options);
  await options.files.remove(target);
  await gitMaybe(top, ["worktree", "prune"], options);
  await gitMaybe(top, ["branch", "--quiet", "-D", options.branch], options);
}

interface Work {
  /** Tree of all there is, ignored files left out; absent when that is what HEAD says. */
  readonly everything?: string;
  /** Tree of what is staged. */
  readonly staged: string;
  readonly remarks: readonly string[];
}

/** Made in a copy of the index: neither the user's index nor the list of stashes nor any branch hears of it. */
async function uncommittedWork(top: string, options: WorktreeOptions): Promise<Work> {
  const { files, root } = options;
  const index = join(root, ".index");
  try {
    const source = resolve(top, await git(top, ["rev-parse", "--git-path", "index"], options));
    // An index without entries need not be there.
    const info = await files.stat(source);
    if (info) {
      await files.writeAtomic(index, await files.readBytes(source), { sync: false });
      // Git reads a file again if it changed when the index was written or later. A copy that looks newer than its
      // original would hide an edit of the same second.
      await files.setModified(index, Math.floor(info.mtimeMs / 1000) * 1000);
    }
    const own = { ...options, index };
    const nested = await checkUntracked(top, own);
    const head = await git(top, ["rev-parse", "HEAD^{tree}"], options);
    // In the middle of a merge there is no such tree.
    const staged = await gitMaybe(top, [...QUIETLY, "write-tree"], own) ?? head;
    const left = nested.map((path) => `:(top,exclude,literal)${path.replace(/\/$/, "")}`);
    await git(top, [...QUIETLY, "add", "--all", "--", ":/", ...left], own);
    const everything = await git(top, [...QUIETLY, "write-tree"], own);
    return {
      staged,
      ...(everything === head && staged === head ? {} : { everything }),
      remarks: nested.map((path) => `the repository ${path} inside ${top} is not known to git and not in the worktree`),
    };
  } finally {
    await files.remove(index);
  }
}

/** A split index would leave a part of ours in the user's repository; line ends are not ours to judge. */
const QUIETLY = ["-c", "core.splitIndex=false", "-c", "core.fsmonitor=false", "-c", "core.safecrlf=false"];

/** Bounded, as every byte is copied; the paths of repositories inside, which cannot be carried. */
async function checkUntracked(top: string, options: WorktreeOptions & { index: string }): Promise<string[]> {
  const listed = await gitRaw(top, ["ls-files", "--others", "--exclude-standard", "-z"], options);
  const paths = listed.split("\0").filter(Boolean);
  const refuse = (what: string) =>
    new WorkdirError(
      `Cannot carry the uncommitted work of ${top} into a worktree: ${what}, and at most ${CARRY_LIMIT.files} files ` +
        `with ${mebibytes(CARRY_LIMIT.bytes)} are copied; put them into .gitignore, commit them, or use --cwd`,
    );
  // A list that is longer than what a command may say has no end mark.
  const cut = listed !== "" && !listed.endsWith("\0");
  if (cut || paths.length > CARRY_LIMIT.files) {
    throw refuse(`there are ${cut ? "more than " : ""}${paths.length} files that git does not know`);
  }
  let bytes = 0;
  for (let at = 0; at < paths.length; at += LOOKED_AT_ONCE) {
    const infos = await Promise.all(
      paths.slice(at, at + LOOKED_AT_ONCE).map((path) => options.files.stat(join(top, path), { link: true })),
    );
    for (const info of infos) bytes += info?.isFile ? info.size : 0;
  }
  if (bytes > CARRY_LIMIT.bytes) throw refuse(`the files that git does not know have ${mebibytes(bytes)}`);
  return paths.filter((path) => path.endsWith("/"));
}

function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 1024 / 1024)} MiB`;
}
