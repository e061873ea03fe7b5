/** Whether somebody is logged in to an agent CLI: variables, files and a status command of its own, never a model. */
import { isAbsolute, join } from "@std/path";
import type { Runtime } from "../core/model.ts";
import { type Env, type Files, type Fingerprints, HostError, type Processes } from "../core/ports.ts";
import type { LoginSight } from "../core/runtime_pause.ts";
import { compareVersions, findVersion } from "../core/version.ts";
import { withoutSecrets } from "../core/secret_variables.ts";
import type { LoginCheck } from "./provider_row.ts";
import { rowOf } from "./registry.ts";
import { secretsOf } from "./secrets.ts";

const STATUS_LIMIT_MS = 10_000;

export interface LoginOptions {
  readonly processes: Processes;
  readonly files: Files;
  readonly fingerprints: Pick<Fingerprints, "hashText">;
  /** What agents inherit. */
  readonly env: Env;
  /** Variables with secrets that agents may see besides those of their rows. */
  readonly variables?: readonly string[];
  readonly signal?: AbortSignal;
}

type Asked = Pick<Runtime, "executable" | "fixedArgs" | "version" | "env">;

/** What to type to log in; empty where nobody knows. */
export function howToLogIn(provider: string): string {
  return rowOf(provider)?.login?.how ?? "";
}

/** Rejects only with the signal's reason. */
export async function lookAtLogin(runtime: Runtime, options: LoginOptions): Promise<LoginSight> {
  const row = rowOf(runtime.provider);
  if (!row?.login) return { verdict: "unknown", signs: "" };
  // As in a run: a key that the CLI does not get is none.
  const env = withoutSecrets(options.env, secretsOf(row.provider, options.variables ?? []));
  return await checkLogin(row.login, runtime, { ...options, env });
}

export async function checkLogin(check: LoginCheck, asked: Asked, options: LoginOptions): Promise<LoginSight> {
  const env = { ...options.env, ...asked.env };
  const keys = (check.variables ?? []).map((name) => env[name] ?? "");
  const marks = await Promise.all((check.files ?? []).map((path) => markOf(path, env, options.files)));
  const somewhere = [...keys, ...marks].some((sign) => sign !== "");
  const status = somewhere ? undefined : await askStatus(check, asked, { ...options, env });
  const verdict = somewhere ? "in" : status?.verdict ?? "unknown";
  const signs = (await options.fingerprints.hashText(JSON.stringify([keys, marks, status?.said ?? ""]))).slice(0, 16);
  return { verdict, signs };
}

/** Of a file with something in it; empty for none. */
async function markOf(path: string, env: Env, files: Files): Promise<string> {
  const place = placeOf(path, env);
  if (place === undefined) return "";
  try {
    const info = await files.stat(place);
    return info?.isFile && info.size > 0 ? [info.ino, info.size, info.mtimeMs].join(" ") : "";
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return "";
  }
}

/** `$NAME/file` where the variable is set, else `file` below HOME. */
function placeOf(path: string, env: Env): string | undefined {
  const [, variable, rest] = /^\$(\w+)\/(.*)$/.exec(path) ?? [];
  const root = variable === undefined ? env.HOME : env[variable];
  return root && isAbsolute(root) ? join(root, rest ?? path) : undefined;
}

interface Said {
  readonly verdict: LoginSight["verdict"];
  readonly said: string;
}

async function askStatus(check: LoginCheck, asked: Asked, options: LoginOptions): Promise<Said | undefined> {
  if (!check.status || !hasStatus(check, asked.version)) return undefined;
  const { processes, env, signal } = options;
  try {
    const { exit, stdout, stderr, timedOut } = await processes.run(
      { executable: asked.executable, args: [...asked.fixedArgs, ...check.status], cwd: env.HOME || "/", env },
      { timeoutMs: STATUS_LIMIT_MS, signal },
    );
    if (timedOut) return undefined;
    const said = `${exit.code}\n${stdout}`;
    if (exit.code === 0) return { verdict: "in", said };
    const denied = check.loggedOut !== undefined && `${stdout}\n${stderr}`.includes(check.loggedOut);
    return { verdict: denied ? "out" : "unknown", said };
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return undefined;
  }
}

/** To an older version the words would be a prompt. */
function hasStatus({ statusSince }: LoginCheck, version: string): boolean {
  const [since, have] = [statusSince, version].map((text) => text === undefined ? undefined : findVersion(text));
  return !since || (have !== undefined && compareVersions(have, since) >= 0);
}
