/** Asking the login shell for its PATH: which shell, with which words, what its answer means, and how it joins our own PATH. */
import type { Env, SystemInfo } from "./ports.ts";

/** Set while a shell is asked: an rc file can tell by it, and a drover that one starts does not ask again. */
export const RESOLVING_VARIABLE = "DROVER_RESOLVING_PATH";

export interface ShellFacts {
  readonly env: Env;
  readonly os: SystemInfo["os"];
  readonly uid: number;
  /** Text of the password file; empty where there is none. */
  readonly passwd: string;
}

/**
 * The path of the user's shell; `undefined` where the account has none. `SHELL` comes from the same entry at a login, and
 * also from directories that are in no file; but cron sets it to plain `sh` for everybody, which says nothing.
 */
export function loginShell({ env, os, uid, passwd }: ShellFacts): string | undefined {
  const set = env.SHELL?.startsWith("/") ? env.SHELL : undefined;
  const telling = set !== undefined && baseName(set) !== "sh" ? set : undefined;
  const shell = telling ?? shellOf(passwd, uid) ?? set ?? (os === "darwin" ? "/bin/zsh" : "/bin/sh");
  return NO_SHELLS.has(baseName(shell)) ? undefined : shell;
}

/** What accounts have that nobody logs into. */
const NO_SHELLS = new Set(["false", "true", "nologin", "sync", "halt", "shutdown", "git-shell"]);

/** The last field of the user's line. */
function shellOf(passwd: string, uid: number): string | undefined {
  const fields = passwd.split("\n").map((line) => line.split(":")).find((one) => one[2] === String(uid));
  return fields?.[6]?.trim().startsWith("/") ? fields[6].trim() : undefined;
}

/** By name, the words before the script. Version managers add to PATH where only interactive shells look. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  sh: ["-l", "-c"],
  ash: ["-l", "-c"],
  dash: ["-l", "-c"],
  bash: ["-l", "-i", "-c"],
  zsh: ["-l", "-i", "-c"],
  fish: ["-l", "-i", "-c"],
  ksh: ["-l", "-i", "-c"],
  ksh93: ["-l", "-i", "-c"],
  mksh: ["-l", "-i", "-c"],
  // They take -l only when it is their only word.
  csh: ["-i", "-c"],
  tcsh: ["-i", "-c"],
  nu: ["--login", "-c"],
};

/** Stands for a shell whose words we do not know: its files are at least what a graphical session reads. */
const FALLBACK_SHELL = "/bin/sh";

export interface Question {
  readonly executable: string;
  readonly args: readonly string[];
  readonly env: Env;
}

/**
 * How to ask a shell. `marker` is random hex, new for each question: it tells the answer from whatever else comes. The
 * shell hands its PATH to a program, which is what an agent would get, and which spares us each shell's notation of lists.
 */
export function loginQuestion(shell: string, marker: string, own: Env): Question {
  const known = WORDS[baseName(shell)];
  const name = known ? baseName(shell) : "sh";
  const script = `/bin/sh -c 'printf "\\n%s%s%s\\n" "${marker}<" "$PATH" ">${marker}"'`;
  return {
    executable: known ? shell : FALLBACK_SHELL,
    args: [...WORDS[name]!, name === "nu" ? `^${script}` : script],
    // Nothing that draws: there is no terminal, and what an rc file does for one takes time or waits for an answer.
    env: { ...own, TERM: "dumb", [RESOLVING_VARIABLE]: "1" },
  };
}

/** The PATH in what a shell printed; `undefined` when there is none with an absolute entry. The last one counts. */
export function parseAnswer(printed: string, marker: string): string | undefined {
  const parts = printed.split(`${marker}<`).slice(1);
  const answers = parts.filter((part) => part.includes(`>${marker}`)).map((part) => part.split(`>${marker}`)[0]!);
  return answers.map((answer) => entriesOf(answer).join(":")).findLast((answer) => answer !== "");
}

/** The longest entry a path may have. */
const MAX_ENTRY_CHARS = 4_096;
/** Beyond it nothing is added to our own PATH: a program's whole environment has a limit too. */
const MAX_PATH_CHARS = 32 * 1_024;

/** Our own entries in their order, then what the login shell adds: only absolute ones, each once. */
export function unionPath(own: string | undefined, login: string | undefined): string {
  const ours = distinct(entriesOf(own));
  let room = MAX_PATH_CHARS - ours.join(":").length;
  const theirs = distinct([...ours, ...entriesOf(login)]).slice(ours.length).filter(({ length }) => {
    const fits = length < room;
    if (fits) room -= length + 1;
    return fits;
  });
  return [...ours, ...theirs].join(":");
}

function distinct(entries: readonly string[]): string[] {
  const seen = new Map<string, string>();
  for (const entry of entries) {
    const key = entry.replace(/\/+$/, "");
    if (!seen.has(key)) seen.set(key, entry);
  }
  return [...seen.values()];
}

/** What the second PATH has beyond the first. */
export function addedEntries(before: string | undefined, after: string | undefined): readonly string[] {
  const known = new Set(entriesOf(before));
  return entriesOf(after).filter((entry) => !known.has(entry));
}

/** An empty or relative entry means the current directory, which for an agent is somebody's repository. */
function entriesOf(path: string | undefined): string[] {
  // deno-lint-ignore no-control-regex
  const usable = (entry: string) => entry.startsWith("/") && !/[\x00-\x1f\x7f]/.test(entry);
  return (path ?? "").split(":").filter((entry) => usable(entry) && entry.length <= MAX_ENTRY_CHARS);
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
