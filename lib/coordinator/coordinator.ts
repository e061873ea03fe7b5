/** The embedded server as its users see it: one request handler over one database, wake-ups, and a clean end. */
import type { Clock, Fetch, Logger, Random } from "../core/ports.ts";
import type { Upgrade } from "../core/upgrade_port.ts";
import type { Database } from "./database.ts";

export interface CoordinatorOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** What the workspace of a new database is called; absent: `local`. */
  readonly workspace?: string;
  /** Makes WebSockets of requests; absent: daemons get by without. */
  readonly upgrade?: Upgrade;
}

/** Something a daemon may want to look at. A hint: losing one costs latency and never work. */
export interface Wakeup {
  readonly kind: "task-available" | "task-changed" | "profiles-changed" | "workspaces-changed" | "pending-work";
  /** Of changed profiles. */
  readonly workspaceId?: string;
  /** Whose workspaces changed. */
  readonly userId?: string;
  readonly runtimeId?: string;
  readonly taskId?: string;
}

export interface Coordinator {
  /** The Multica daemon protocol and the user API. Needs `Authorization: Bearer <token>` on `/api/`. */
  readonly fetch: Fetch;
  /** Routes under `/v1/` for the control socket: no token, the socket's directory is the authority. */
  readonly userApi: Fetch;
  /**
   * All of it for a listener that others can reach: `/api/` as above, `/v1/` in the workspace that its token opens, and
   * `/health`, which says without a token that somebody is there and nothing else.
   */
  readonly publicApi: Fetch;
  /** The credential of this machine's own daemon, made anew for each process. */
  readonly token: string;
  /** Whether anybody else could come in: there is a token in the store that counts. */
  hasToken(): Promise<boolean>;
  /** Hears everything from the call on; ends when the signal aborts or the coordinator closes. */
  subscribe(signal: AbortSignal): AsyncIterable<Wakeup>;
  /** Runs the sweeps once; the loop that calls it every `LEASE.sweepMs` belongs to the coordinator's `start`. */
  sweep(): Promise<void>;
  /**
   * Deletes tasks that ended before `before` (ms since 1970), with their messages, usage and threads left empty.
   * Returns how many.
   */
  purge(before: number): Promise<number>;
  /** Deletes only the messages of such tasks; the tasks with their outcome and usage stay. Returns how many messages. */
  purgeMessages(before: number): Promise<number>;
  /** Starts the sweep loop. It sweeps only once it has listened for as long as a daemon may be silent. */
  start(): void;
  /** Ends subscriptions and follow streams and closes the database. Idempotent; later requests are answered with 503. */
  close(): Promise<void>;
}
