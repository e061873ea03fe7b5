/** What a server asks for in the answer to a heartbeat: each done once, beside the beats, and its result reported. */
import { isSpent, type PingTimes, pingVerdict } from "../core/ping_budget.ts";
import type { Permission, Runtime } from "../core/model.ts";
import type { Clock, Logger } from "../core/ports.ts";
import type { BeatAnswer } from "../wire/frames.ts";
import { isTransient } from "../wire/retry.ts";
import type { Connection, RegisteredRuntime } from "./connection.ts";
import type { LocalSkills } from "./local_skills.ts";

/** Replacing this program by another version of itself. */
export interface Updates {
  /** Why this installation cannot do it, for people; nothing where it can. */
  refusal(): string | undefined;
  /** Brings that version into place; what was done, for people. Rejects when it could not. */
  install(version: string, signal: AbortSignal): Promise<string>;
  /** Afterwards: this process ends in favour of the new one. */
  restart(): void;
}

/** How an agent answered a single word. */
export interface PingResult {
  readonly ok: boolean;
  readonly text: string;
  readonly ms: number;
}

/** For whom: the owner's word on the tasks of who asks. */
export interface PingRequest {
  readonly runtime: Runtime;
  readonly policy: Permission;
}

export interface PendingPorts {
  /** Absent where nothing can be updated. */
  readonly updates?: Updates;
  /** Tasks in hand, and claims on their way, each of which may bring one. */
  readonly inFlight: () => { readonly active: number; readonly claims: number };
  /** Nothing is claimed until it is disposed. */
  readonly holdClaims: () => Disposable;
  readonly skillsOf?: (runtime: Runtime) => LocalSkills | undefined;
  readonly ping?: (asked: PingRequest, signal: AbortSignal) => Promise<PingResult>;
}

export interface PendingOptions extends PendingPorts {
  readonly connection: Pick<Connection, "name" | "client" | "runtimes" | "consent">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

type Body = Readonly<Record<string, unknown>>;
type Item = { readonly id: string; readonly target_version?: string; readonly skill_key?: string };
type Report = (body: Body) => Promise<void>;

interface Action {
  readonly items: (answer: BeatAnswer) => readonly Item[];
  /** Below `/api/daemon/runtimes/{id}/`; the id of the request and `/result` follow. */
  readonly route: string;
  readonly perform: (item: Item, registered: RegisteredRuntime, report: Report) => Promise<Body>;
}

/** Before the 1st, 2nd … attempt to report, in ms (wire protocol 0.6). */
const REPORT_SCHEDULE_MS = [0, 500, 2_000, 4_000] as const;
const MAX_SEEN = 1_000;
/** A claim is answered at once, or is late; an idle daemon claims again and again. */
const CLAIMS_MS = 10_000;
const LOOK_MS = 100;
const NO_UPDATER = "This drover cannot replace itself: update it the way it was installed, then restart its daemon";

const one = <T>(item: T | null | undefined): T[] => item ? [item] : [];
const failed = (error: string): Body => ({ status: "failed", error });

export class PendingActions {
  readonly #options: PendingOptions;
  readonly #seen = new Set<string>();
  readonly #pings: PingTimes = new Map();
  readonly #actions: readonly Action[];
  #updating = false;

  constructor(options: PendingOptions) {
    this.#options = options;
    this.#actions = [
      {
        items: (answer) => one(answer.pending_update).map(({ id, target_version }) => ({ id, target_version })),
        route: "update",
        perform: (item, _runtime, report) => this.#update(item.target_version ?? "", report),
      },
      {
        items: (answer) => one(answer.pending_model_list),
        route: "models",
        // The CLIs know their models, and none of them tells.
        perform: () => Promise.resolve({ status: "completed", models: [], supported: false }),
      },
      {
        items: (answer) => one(answer.pending_local_skills),
        route: "local-skills",
        perform: (_item, { runtime }) => this.#skills(runtime),
      },
      {
        // The single one repeats the first of the list.
        items: (answer) => answer.pending_local_skill_imports ?? one(answer.pending_local_skill_import),
        route: "local-skills/import",
        perform: ({ skill_key = "" }, { runtime }) => this.#import(skill_key, runtime),
      },
      { items: (answer) => one(answer.pending_ping), route: "ping", perform: (_item, one) => this.#ping(one) },
    ];
  }

  /** Never rejects, and never waits. */
  take(runtimeId: string, answer: BeatAnswer): void {
    for (const action of this.#actions) {
      for (const item of action.items(answer)) {
        if (this.#seen.has(item.id)) continue;
        // Ids are handed out once; that many later none of the first comes again.
        if (this.#seen.size >= MAX_SEEN) this.#seen.clear();
        this.#seen.add(item.id);
        void this.#handle(runtimeId, item, action);
      }
    }
  }

  async #handle(runtimeId: string, item: Item, { route, perform }: Action): Promise<void> {
    const { connection, log } = this.#options;
    const fields = { connection: connection.name, what: route, request: item.id };
    log.info("server asks for something", fields);
    const path = `/api/daemon/runtimes/${encodeURIComponent(runtimeId)}/${route}/${encodeURIComponent(item.id)}/result`;
    const report: Report = (body) => this.#report(path, body);
    const registered = connection.runtimes.get(runtimeId);
    let result: Body;
    try {
      result = registered
        ? await perform(item, registered, report)
        : failed(`This daemon has no runtime ${runtimeId} any more`);
    } catch (error) {
      result = failed(error instanceof Error ? error.message : String(error));
    }
    if (result.status === "failed") {
      log.warn("what the server asked for was not done", { ...fields, why: result.error });
    }
    await report(result);
    if (route === "update" && result.status === "completed") this.#options.updates?.restart();
  }

  async #report(path: string, body: Body): Promise<void> {
    const { connection, clock, log, signal } = this.#options;
    let why = "";
    for (const ms of REPORT_SCHEDULE_MS) {
      if (ms > 0) await clock.sleep(ms, { signal }).catch(() => {});
      if (signal.aborted) return;
      const answer = await connection.client.call({ method: "POST", path, body }, { signal });
      if (answer.kind === "ok" || answer.code === "aborted") return;
      why = answer.detail;
      if (!isTransient(answer)) break;
    }
    log.warn("a result could not be reported", { connection: connection.name, why });
  }

  /** One at a time, and never under a task: the owner of the process is whoever set the flag. */
  async #update(version: string, report: Report): Promise<Body> {
    const { updates, inFlight, holdClaims, clock, signal } = this.#options;
    const refusal = updates ? updates.refusal() : NO_UPDATER;
    if (!updates || refusal !== undefined) return failed(refusal ?? NO_UPDATER);
    if (this.#updating) return failed("Another update is under way");
    this.#updating = true;
    const hold = holdClaims();
    try {
      const until = clock.monotonic() + CLAIMS_MS;
      while (inFlight().active === 0 && inFlight().claims > 0 && clock.monotonic() < until) {
        await clock.sleep(LOOK_MS, { signal });
      }
      const { active, claims } = inFlight();
      if (active > 0) return failed(`Tasks are running (${active}): try again when they are over`);
      if (claims > 0) return failed("Tasks are being claimed: try again later");
      await report({ status: "running" });
      const output = await updates.install(version, signal);
      return { status: "completed", output };
    } finally {
      this.#updating = false;
      hold[Symbol.dispose]();
    }
  }

  async #skills(runtime: Runtime): Promise<Body> {
    const skills = this.#options.skillsOf?.(runtime);
    if (!skills) return { status: "completed", skills: [], supported: false, mcp_servers: [], mcp_supported: false };
    const list = (await skills.list()).map((skill) => ({ ...skill, provider: runtime.provider, root: "provider" }));
    return { status: "completed", skills: list, supported: true, mcp_servers: [], mcp_supported: false };
  }

  async #import(key: string, runtime: Runtime): Promise<Body> {
    const skills = this.#options.skillsOf?.(runtime);
    if (!skills) return failed(`The skills of ${runtime.provider} on this machine cannot be read`);
    return { status: "completed", skill: { ...await skills.read(key), provider: runtime.provider } };
  }

  /** It runs the model, which costs money: seldom, and only for whom the owner lets send tasks. */
  async #ping({ id, workspace, runtime }: RegisteredRuntime): Promise<Body> {
    const { connection, clock, ping, signal } = this.#options;
    const now = clock.monotonic();
    const word = connection.consent ? connection.consent.watched(workspace) : { policy: "full" } as const;
    const verdict = pingVerdict({
      allowed: word !== undefined,
      spent: isSpent(this.#pings, id, now),
      able: ping !== undefined,
    });
    if (verdict) return { ...failed(verdict), duration_ms: 0 };
    this.#pings.set(id, now);
    const { ok, text, ms } = await ping!({ runtime, policy: word!.policy }, signal);
    return ok
      ? { status: "completed", output: text, duration_ms: ms }
      : { status: "failed", error: text, duration_ms: ms };
  }
}
