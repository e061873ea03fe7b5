/** What a row of the table says of one agent CLI: how it is found, started, spoken to, and what it can promise. */
import type { Family, Permission } from "../core/model.ts";
import type { AcpOptions } from "./acp_options.ts";
import type { Dialect } from "./dialect.ts";
import type { SessionLogs } from "./session_logs.ts";

/** How a CLI is found and how one finds out that it works. */
export type Launch =
  | {
    readonly kind: "command";
    /** Names looked up on PATH, the first that is there wins. */
    readonly names: readonly string[];
    readonly versionArgs: readonly string[];
    /** It has no way to tell its version; that it answers to `versionArgs` is all that can be known. */
    readonly unversioned?: true;
    /** Older ones are skipped; absent where any version will do. */
    readonly minimum?: string;
    /** For people who do not have it. */
    readonly install: string;
  }
  /** This program itself, with a verb of its own: nothing to find, nothing to probe. */
  | { readonly kind: "self"; readonly args: readonly string[] };

/** Arguments; `{}` in a template stands for the value. A template that is absent: the CLI has no such option. */
export interface ArgTemplates {
  /** First, in every run. */
  readonly always: readonly string[];
  readonly model?: readonly string[];
  readonly effort?: readonly string[];
  readonly resume?: readonly string[];
  /** For a new session under an id of our choosing, known before the CLI says anything. */
  readonly newSession?: readonly string[];
  readonly sandbox?: readonly string[];
  /** A file with an `mcpServers` object. */
  readonly mcpConfig?: readonly string[];
  /** Last of all, only where the CLI takes a prompt in no other way. */
  readonly prompt?: readonly string[];
  /** After the user's own: a subcommand whose options stand before it. */
  readonly last?: readonly string[];
  /** Options a user must not add, because the protocol or the permission hangs on them; each with its values. */
  readonly reserved?: readonly string[];
}

/** What makes the CLI keep a promise. */
export interface Grant {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** The CLI then looks for nothing of its own in its working directory: neither instructions nor skills. */
  readonly withoutProject?: true;
}

/** A directory of the CLI's own state that each thread of tasks has to itself, made from the user's. */
export interface PrivateHome {
  /** The variable that names it, e.g. `CODEX_HOME`. */
  readonly variable: string;
  /** The user's, below HOME, unless the variable is set. */
  readonly original: string;
  /** Files and folders of the original that are shared by a link: log-ins, caches. */
  readonly linked: readonly string[];
  /** Files that are copied, so that a run cannot change the user's. */
  readonly copied: readonly string[];
}

/** A free, offline look at whether somebody is logged in; never a call of a model. Any one of the signs is enough. */
export interface LoginCheck {
  /** Variables with a key in them. */
  readonly variables?: readonly string[];
  /** Files below HOME, `~/` left out; `$NAME/` in front means the folder that variable names. */
  readonly files?: readonly string[];
  /** A command of the CLI that ends with 0 when somebody is logged in, asked when no variable and no file says so. */
  readonly status?: readonly string[];
  /** Versions before it do not have that command. */
  readonly statusSince?: string;
  /**
   * What it prints when nobody is logged in, whatever other ways there are; only this is believed to mean it. Absent
   * where that is not certain: then a run that fails says so.
   */
  readonly loggedOut?: string;
  /** What to type. */
  readonly how: string;
}

interface RowBase {
  readonly provider: string;
  /** For people. */
  readonly title: string;
  readonly launch: Launch;
  readonly args: ArgTemplates;
  /** `null`: it hangs on, or does not want, an open standard input. */
  readonly stdin: "pipe" | "null";
  /** What the CLI can promise, and what it takes; a permission that is absent is refused. */
  readonly permissions: Readonly<Partial<Record<Permission, Grant>>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Additionally where drover runs as root. */
  readonly rootEnv?: Readonly<Record<string, string>>;
  /** Variables with secrets that this CLI may see, as names or as prefixes that end in `*`. */
  readonly secrets?: readonly string[];
  /** The file in its working directory that the CLI reads as instructions; absent: they go in front of the prompt. */
  readonly brief?: string;
  /** Where it looks for skills, relative to its working directory. */
  readonly skills?: string;
  /** How it is told of MCP servers: by `args.mcpConfig`, by the protocol, by a file in its working directory, or not at all. */
  readonly mcp: "args" | "protocol" | { readonly file: string } | "none";
  readonly privateHome?: PrivateHome;
  readonly login?: LoginCheck;
  /** Places below HOME from which it runs newer code without a change to its installation. */
  readonly runsFrom?: readonly string[];
  /** What it notes of its sessions for itself; absent where that holds no tokens, or no file of lines. */
  readonly sessionLogs?: SessionLogs;
  /** Where its token counts come from. */
  readonly usage: "stream" | "none";
  /** What people should know before they choose it. */
  readonly remark?: string;
  /** No model behind it: never chosen unless asked for by name. */
  readonly demo?: true;
}

interface Speech {
  readonly "claude-stream-json": object;
  readonly "codex-app-server": object;
  readonly acp: { readonly acp: AcpOptions };
  readonly "exec-jsonl": { readonly dialect: Dialect };
  readonly "plain-text": object;
}

export type RowOf<F extends Family> = RowBase & { readonly family: F } & Speech[F];
export type ProviderRow = { [F in Family]: RowOf<F> }[Family];
