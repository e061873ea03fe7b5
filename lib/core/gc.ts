/** Which work directories and cached repositories may be removed, and when: by the server's word, their age, and the work that is in them. */

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** What the server says of that for which a directory was made. */
export type Word =
  | { readonly kind: "open" }
  /** `at`: since when, in ms since 1970, where it says so. */
  | { readonly kind: "ended"; readonly at?: number }
  /** It was deleted. */
  | { readonly kind: "gone" }
  /** It could not be asked, or did not say. */
  | { readonly kind: "unknown"; readonly why: string };

/** What would be lost with a directory. */
export type Unsaved = "nothing" | "uncommitted" | "unpushed";

export interface WorkDirectory {
  /** Of this machine's own tasks, or of a server's; `none`: nobody knows any more, `begun`: it never became one. */
  readonly of: "local" | "issue" | "chat" | "autopilot" | "task" | "none" | "begun";
  readonly inUse: boolean;
  /** ms since 1970. */
  readonly usedAt: number;
}

export interface GcPolicy {
  /** How long after its end, or its last use where that is later, a directory stays. */
  readonly keepMs: Readonly<Record<WorkDirectory["of"], number>>;
  /** Repositories that nothing uses. */
  readonly repoMs: number;
  /** Also with unsaved work, once its task or issue is over. */
  readonly discard: boolean;
  /** Whatever the server says. */
  readonly unasked: boolean;
}

export type GcDecision =
  | { readonly remove: true; readonly why: string }
  | { readonly remove: false; readonly why: string };

/** `retentionMs` is how long this machine's own tasks are remembered. */
export function gcPolicy(options: { retentionMs: number; discard: boolean }): GcPolicy {
  const { retentionMs, discard } = options;
  return {
    keepMs: {
      local: retentionMs,
      issue: DAY_MS,
      chat: HOUR_MS,
      autopilot: HOUR_MS,
      task: HOUR_MS,
      none: retentionMs,
      begun: 3 * DAY_MS,
    },
    repoMs: 30 * DAY_MS,
    discard,
    unasked: false,
  };
}

/** What a person wants gone: by age alone where one is given, and at once where all of it is meant. */
export function freeingPolicy(
  policy: GcPolicy,
  wish: { readonly olderThanMs?: number; readonly all: boolean; readonly discard: boolean },
): GcPolicy {
  const age = wish.all ? 0 : wish.olderThanMs;
  const discard = policy.discard || wish.discard;
  if (age === undefined) return { ...policy, discard };
  const keepMs = Object.fromEntries(Object.keys(policy.keepMs).map((of) => [of, age])) as GcPolicy["keepMs"];
  return { keepMs, repoMs: age, discard, unasked: wish.all };
}

/** Before the work in it is looked at, which takes longer: is there anything to decide at all. */
export function mayGo(directory: WorkDirectory, word: Word, policy: GcPolicy, now: number): GcDecision {
  if (directory.inUse) return keep("a task uses it");
  const known = directory.of !== "none" && directory.of !== "begun";
  if (known && !policy.unasked) {
    if (word.kind === "open") return keep("its task or issue is open");
    if (word.kind === "unknown") return keep(`the server did not say whether it is over: ${word.why}`);
    if (word.kind === "gone") return age(directory.usedAt, HOUR_MS, now, "it was deleted");
  }
  const since = Math.max(directory.usedAt, word.kind === "ended" ? word.at ?? 0 : 0);
  return age(since, policy.keepMs[directory.of], now, known ? "it is over" : "nothing knows it any more");
}

/** With what is in it. */
export function mayBeLost(unsaved: Unsaved, word: Word, policy: GcPolicy): GcDecision {
  if (unsaved === "nothing") return { remove: true, why: "" };
  const over = word.kind === "ended" || word.kind === "gone" || policy.unasked;
  if (policy.discard && over) return { remove: true, why: `with ${unsaved} work` };
  return keep(unsaved === "uncommitted" ? "it holds uncommitted work" : "it holds commits that were not pushed");
}

/** A repository of the cache: `worktrees` is how many directories of tasks depend on it. */
export function repoMayGo(
  repo: { readonly usedAt: number; readonly worktrees: number; readonly unpushed: boolean },
  policy: GcPolicy,
  now: number,
): GcDecision {
  if (repo.worktrees > 0) return keep("directories of tasks depend on it");
  if (repo.unpushed && !policy.discard) return keep("it holds commits that were not pushed");
  return age(repo.usedAt, policy.repoMs, now, "nothing uses it");
}

function age(since: number, limitMs: number, now: number, why: string): GcDecision {
  // Clocks of file systems and of servers may be ahead of ours.
  return limitMs === 0 || now - since >= limitMs ? { remove: true, why } : keep("it was used too recently");
}

function keep(why: string): GcDecision {
  return { remove: false, why };
}
