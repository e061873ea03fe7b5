/** The server's side of a conformance test: what people and time do there, however the server is built. */
import type { Endpoint } from "../daemon/team_daemon.ts";

/** The server has no way to do it: the test cannot be made there. */
export class NotOffered extends Error {
  override readonly name = "NotOffered";
}

export interface SideRuntime {
  readonly id: string;
  readonly provider: string;
  readonly online: boolean;
}

export interface SideTask {
  readonly id: string;
  readonly status: string;
  readonly attempt: number;
  readonly output: string;
  readonly failureReason: string;
  readonly sessionId: string;
  readonly workDir: string;
}

export interface SideUsage {
  readonly model: string;
  readonly input: number;
  readonly output: number;
}

/** Any of these throws `NotOffered` where the server cannot. */
export interface ServerSide extends AsyncDisposable {
  readonly name: string;
  readonly endpoint: Endpoint & { readonly token: string };
  /** Of the daemon under test; those that were taken off may be left out. */
  runtimes(): Promise<readonly SideRuntime[]>;
  /** How many tasks the agent of a runtime may have in hand. */
  setCap(runtime: string, cap: number): Promise<void>;
  /** A task for the agent of a runtime; `after`: about the same issue as that one. Its id. */
  enqueue(runtime: string, options?: { readonly after?: string }): Promise<string>;
  cancel(task: string): Promise<void>;
  task(id: string): Promise<SideTask>;
  /** The attempt that repeats this one. */
  repeated(task: string): Promise<string | undefined>;
  messages(task: string): Promise<readonly { readonly seq: number; readonly content: string }[]>;
  usage(task: string): Promise<readonly SideUsage[]>;
  /** As its owner deletes it. */
  deleteRuntime(id: string): Promise<void>;
  /** A custom runtime of a provider; its id. */
  addProfile(name: string, provider: string): Promise<string>;
  enableProfile(id: string, enabled: boolean): Promise<void>;
  deleteProfile(id: string): Promise<void>;
}

/** A call as a daemon makes it, past the daemon: what a server answers to one too many. */
export async function rawCall(
  { endpoint: { baseUrl, token, fetch } }: Pick<ServerSide, "endpoint">,
  path: string,
  body: unknown = {},
  // deno-lint-ignore no-explicit-any
): Promise<{ readonly status: number; readonly body: any }> {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const answer = await fetch(new Request(`${baseUrl}${path}`, { method: "POST", headers, body: JSON.stringify(body) }));
  const text = await answer.text();
  return { status: answer.status, body: text === "" ? undefined : JSON.parse(text) };
}
