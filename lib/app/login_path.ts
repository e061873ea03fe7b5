/** The login shell's PATH: asked for within a bound, kept in the home for the next start, and joined with our own. */
import type { Home } from "../core/home.ts";
import {
  addedEntries,
  loginQuestion,
  loginShell,
  parseAnswer,
  RESOLVING_VARIABLE,
  unionPath,
} from "../core/login_path.ts";
import { type CommandResult, type Env, type Host, HostError, type Logger } from "../core/ports.ts";
import { fixedSurroundings, type Refreshed, type Surroundings } from "../daemon/surroundings.ts";
import { createTroubleLog, type TroubleLog } from "../daemon/trouble_log.ts";

/** Generous, as nobody waits for it: at boot, a shell with a version manager or two takes seconds. */
const LIMIT_MS = 10_000;
const MARKER_BYTES = 16;
const PASSWD = "/etc/passwd";

type Machine = Pick<Host, "files" | "processes" | "random" | "system" | "logs">;

/** Starts with the answer of last time. Without `enabled`, and inside an rc file that we wait for, it is our own PATH. */
export async function openLoginPath(
  host: Machine,
  home: Home,
  { enabled }: { enabled: boolean },
): Promise<Surroundings> {
  if (!enabled || host.system.env[RESOLVING_VARIABLE]) return fixedSurroundings(host.system.env);
  const shell = loginShell({ ...host.system, passwd: await readText(host, PASSWD) ?? "" });
  if (shell === undefined) return fixedSurroundings(host.system.env);
  return new LoginPath(host, { shell, file: home.loginPath, kept: await keptAnswer(host, home.loginPath, shell) });
}

interface Start {
  readonly shell: string;
  readonly file: string;
  readonly kept: string | undefined;
}

class LoginPath implements Surroundings {
  readonly #host: Machine;
  readonly #log: Logger;
  readonly #trouble: TroubleLog;
  readonly #shell: string;
  readonly #file: string;
  #answer: string | undefined;
  #env: Env;

  constructor(host: Machine, { shell, file, kept }: Start) {
    this.#host = host;
    this.#log = host.logs.getLogger("login-path");
    this.#trouble = createTroubleLog(this.#log, {
      failed: "the login shell does not tell its PATH, what is known of it stays",
      fine: "the login shell tells its PATH again",
      fields: { shell },
    });
    this.#shell = shell;
    this.#file = file;
    this.#answer = kept;
    this.#env = withLogin(host.system.env, kept);
  }

  env(): Env {
    return this.#env;
  }

  async refresh(signal: AbortSignal): Promise<Refreshed> {
    const asked = await this.#ask(signal);
    if (asked.kind === "failed") {
      this.#trouble.failed(asked.why, asked.said ? { said: asked.said } : {});
      return "failed";
    }
    this.#trouble.fine();
    if (asked.path === this.#answer) return "same";
    this.#answer = asked.path;
    await this.#keep(asked.path);
    const before = this.#env.PATH;
    this.#env = withLogin(this.#host.system.env, asked.path);
    const [added, removed] = [addedEntries(before, this.#env.PATH), addedEntries(this.#env.PATH, before)];
    if (added.length + removed.length === 0) return "same";
    this.#log.info("PATH follows the login shell", { shell: this.#shell, added, removed });
    return "changed";
  }

  async #ask(signal: AbortSignal): Promise<Asked> {
    const { processes, random, system } = this.#host;
    const marker = random.hex(MARKER_BYTES);
    const question = loginQuestion(this.#shell, marker, system.env);
    let result: CommandResult;
    try {
      result = await processes.run({ ...question, cwd: system.env.HOME || "/" }, { timeoutMs: LIMIT_MS, signal });
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      return { kind: "failed", why: error.message, said: "" };
    }
    // Whatever it did afterwards, it has said it.
    const path = parseAnswer(result.stdout, marker);
    if (path !== undefined) return { kind: "answer", path };
    const why = result.timedOut
      ? `it did not end within ${LIMIT_MS / 1000} s`
      : `it ended with code ${result.exit.code} without an answer`;
    return { kind: "failed", why, said: result.stderr.trim().split("\n").at(-1)?.slice(0, 200) ?? "" };
  }

  async #keep(path: string): Promise<void> {
    const text = JSON.stringify({ schemaVersion: 1, shell: this.#shell, path }, null, 2) + "\n";
    try {
      await this.#host.files.writeAtomic(this.#file, text, { sync: false });
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      this.#log.debug("the answer of the login shell could not be kept", { why: error.message });
    }
  }
}

type Asked =
  | { readonly kind: "answer"; readonly path: string }
  /** `said`: the end of what it printed as errors. */
  | { readonly kind: "failed"; readonly why: string; readonly said: string };

function withLogin(own: Env, answer: string | undefined): Env {
  const path = unionPath(own.PATH, answer);
  return path === "" ? own : { ...own, PATH: path };
}

/** Only of the very shell: another one has another PATH. A damaged file is as good as none. */
async function keptAnswer(host: Machine, file: string, shell: string): Promise<string | undefined> {
  try {
    const kept = JSON.parse(await readText(host, file) ?? "null");
    return kept?.schemaVersion === 1 && kept.shell === shell && typeof kept.path === "string" ? kept.path : undefined;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return undefined;
  }
}

async function readText({ files }: Machine, path: string): Promise<string | undefined> {
  try {
    return await files.readText(path);
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return undefined;
  }
}
