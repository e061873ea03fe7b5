/** Which repositories and which of their revisions a task may ask for, by how they are written: nothing here is looked up. */

export type RepoAddress =
  | {
    readonly kind: "ok";
    /** As it is given to git. */
    readonly url: string;
    /** The same for two spellings of the same repository. */
    readonly canonical: string;
    /** Of the directory in which people expect it. */
    readonly name: string;
  }
  | { readonly kind: "refused"; readonly why: string };

const MAX_URL = 1_000;
/** A file name holds 255 bytes, and something is appended to it. */
const MAX_KEY = 200;
const SCHEMES: ReadonlySet<string> = new Set(["https", "http", "ssh", "git"]);

/** What git may speak on behalf of a task, redirects and submodules included. */
export function allowedProtocols({ allowFile }: { allowFile: boolean }): string {
  return [...SCHEMES, ...(allowFile ? ["file"] : [])].join(":");
}

/**
 * Git takes more than addresses where one is expected: options, helper programs (`ext::`), paths of this machine. Only
 * what names a server is let through, and `file://` where the owner of this machine allows it.
 */
export function repoAddress(text: string, { allowFile }: { allowFile: boolean }): RepoAddress {
  const url = text.trim();
  const refused = (why: string) => ({ kind: "refused", why }) as const;
  // deno-lint-ignore no-control-regex
  if (url === "" || url.length > MAX_URL || /[\u0000-\u0020\u007f]/.test(url)) {
    return refused(`it must be an address without spaces, of at most ${MAX_URL} characters`);
  }
  if (url.startsWith("-") || /^[\w+.-]*::/.test(url)) {
    return refused("it must begin with https://, ssh:// or user@host:");
  }
  const parts = parse(url);
  if (!parts) return refused("it must begin with https://, ssh:// or user@host:");
  if (parts.scheme === "file") {
    if (!allowFile) return refused("repositories of this machine are not allowed; repos.allow_file = true allows them");
  } else if (!SCHEMES.has(parts.scheme)) {
    return refused(`${parts.scheme}:// is not a way to reach a repository that tasks may use`);
  }
  if (parts.scheme !== "file" && (parts.host === "" || parts.host.startsWith("-"))) return refused("it names no host");
  if (parts.secret) {
    return refused("it holds a user name or password, which others could read; use a credential helper of git instead");
  }
  const path = parts.path.replace(/\/+$/, "").replace(/\.git$/i, "").replace(/^\/+/, "");
  const name = path.split("/").at(-1) ?? "";
  if (!/^[\w.-]+$/.test(name) || /^\.*$/.test(name) || name.startsWith("-") || name.toLowerCase() === ".git") {
    return refused("its last part must be a name of letters, digits, dots, dashes and underscores");
  }
  return { kind: "ok", url, canonical: `${parts.host.toLowerCase()}/${path}`, name };
}

interface Parts {
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
  readonly secret: boolean;
}

function parse(url: string): Parts | undefined {
  const full = /^([a-z][a-z0-9+.-]*):\/\/(?:([^/@]*)@)?([^/]*)(\/.*)$/i.exec(url);
  if (full) {
    const [, scheme = "", user = "", host = "", path = ""] = full;
    const lower = scheme.toLowerCase();
    // The user of ssh is part of the address; that of the web is a credential.
    const secret = user.includes(":") || user.startsWith("-") || (user !== "" && lower !== "ssh");
    return { scheme: lower, host, path, secret };
  }
  const short = /^(?:\w[\w.-]*@)([\w.-]+):(?!\/\/)(.+)$/.exec(url);
  if (!short) return undefined;
  return { scheme: "ssh", host: short[1]!, path: short[2]!, secret: false };
}

/** The name of a repository's folder in the cache; `undefined` where it would be too long for one. */
export function repoKey(canonical: string): string | undefined {
  const key = encodeURIComponent(canonical.replace(/^\/+/, "")).replaceAll("~", "%7E").replaceAll("%", "~");
  return key.length <= MAX_KEY && !key.startsWith(".") ? key : undefined;
}

/** Why git would not take it for a name of a branch, a tag or a commit, or would take it for something else. */
export function refusedRef(ref: string): string | undefined {
  // deno-lint-ignore no-control-regex
  const wrong = /[\u0000-\u0020\u007f~^:?*[\\]|\.\.|@\{|\/\/|^[-/.]|\/\.|[/.]$|\.lock(\/|$)/;
  return ref === "@" || ref.length > 250 || wrong.test(ref)
    ? "it must be the name of a branch or a tag, or a commit in hex"
    : undefined;
}

/** The revisions that a ref may mean, in the order in which they are tried. */
export function revisionsOf(ref: string): readonly string[] {
  const branch = ref.replace(/^refs\/heads\//, "").replace(/^(refs\/remotes\/)?origin\//, "");
  if (ref.startsWith("refs/tags/")) return [ref];
  const named = [`refs/remotes/origin/${branch}`, ...(ref.startsWith("refs/") ? [] : [`refs/tags/${ref}`])];
  return isCommit(ref) ? [...named, ref] : named;
}

/** Something only a fetch of its own brings: a commit that no branch has, the head of a pull request. */
export function fetchedAlone(ref: string): string | undefined {
  if (/^([0-9a-f]{40}|[0-9a-f]{64})$/i.test(ref)) return ref;
  return ref.startsWith("refs/") && !/^refs\/(heads|tags|remotes)\//.test(ref) ? ref : undefined;
}

function isCommit(ref: string): boolean {
  return /^[0-9a-f]{7,64}$/i.test(ref);
}

/** The branch on which an agent works in a repository that it asked for. */
export function taskBranch(agent: string, taskKey: string): string {
  const name = agent.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "") || "agent";
  return `drover/${name}/${taskKey}`;
}
