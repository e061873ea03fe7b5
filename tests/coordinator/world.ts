/** One coordinator on a fake clock with a daemon's and a user's calls as short actions, and timelines made of them. */
import { assertEquals } from "@std/assert";
import { createCoordinator } from "../../lib/coordinator/embedded.ts";
import type { Coordinator } from "../../lib/coordinator/coordinator.ts";
import type { Database } from "../../lib/coordinator/database.ts";
import type { Logger, Random } from "../../lib/core/ports.ts";
import type { TaskView } from "../../lib/wire/control.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { newDatabase } from "./stores.ts";

export const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {}, critical() {} };

/** Ids that count, with the count in front: in order, and told apart by 8 characters but not by 4. */
export function countingRandom(): Random {
  let count = 0;
  return {
    uuid: () => `${(++count).toString(16).padStart(8, "0")}-0000-4000-8000-000000000000`,
    hex: (bytes) => (++count).toString(16).padStart(bytes * 2, "0"),
    fraction: () => 0.5,
  };
}

export interface Answer {
  readonly status: number;
  // deno-lint-ignore no-explicit-any
  readonly body: any;
}

// deno-lint-ignore no-explicit-any
type Json = any;

/** A beat of every runtime at least this often while time passes, in seconds. */
const BEAT = 60;

export class World implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly coordinator: Coordinator;
  workspaceId = "";
  /** Runtime ids by provider. */
  readonly runtimes = new Map<string, string>();
  readonly #tasks = new Map<string, string>();
  /** The last claim answer of each task, by id. */
  readonly claims = new Map<string, Json>();
  beating = true;
  readonly #start: number;
  readonly #dispose: () => Promise<void>;

  private constructor(clock: FakeClock, coordinator: Coordinator, dispose: () => Promise<void>) {
    this.clock = clock;
    this.#start = clock.now();
    this.coordinator = coordinator;
    this.#dispose = dispose;
  }

  /** Over a database of its own, or over `database`, which then outlives it. */
  static async create(options: { database?: Database; clock?: FakeClock; random?: Random } = {}): Promise<World> {
    const own = options.database ? undefined : await newDatabase();
    const clock = options.clock ?? new FakeClock();
    const coordinator = await createCoordinator({
      database: options.database ?? own!.database,
      clock,
      random: options.random ?? countingRandom(),
      log: SILENT,
    });
    return new World(clock, coordinator, async () => {
      await coordinator.close();
      await own?.[Symbol.asyncDispose]();
    });
  }

  /** With runtimes of these providers registered, in this order. */
  static async with(providers: readonly string[]): Promise<World> {
    const world = await World.create();
    await world.register(providers);
    return world;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispose();
  }

  /** A call of a daemon. A string body is sent as it is. */
  async daemon(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const request = requestFor(path, {
      body,
      headers: { authorization: `Bearer ${this.coordinator.token}`, ...headers },
    });
    return await answerOf(await this.coordinator.fetch(request));
  }

  /** One of a person by another method than POST: `ask("PATCH /api/agents/ID", { … })`. */
  async ask(call: string, body?: unknown): Promise<Answer> {
    const [method = "", path = ""] = call.split(" ");
    const headers = { authorization: `Bearer ${this.coordinator.token}` };
    return await answerOf(
      await this.coordinator.fetch(new Request(requestFor(path, { body, headers }), { method })),
    );
  }

  /** A call of a user. */
  async user(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    return await answerOf(await this.coordinator.userApi(requestFor(path, { body, headers })));
  }

  async register(providers: readonly string[]): Promise<Answer> {
    const [workspace] = (await this.daemon("/api/daemon/workspaces")).body;
    this.workspaceId = workspace.id;
    const answer = await this.daemon("/api/daemon/register", {
      workspace_id: this.workspaceId,
      daemon_id: "d1",
      device_name: "box",
      runtimes: providers.map((type) => ({ type, version: "1.0.0" })),
    });
    for (const runtime of answer.body.runtimes ?? []) this.runtimes.set(runtime.provider, runtime.id);
    return answer;
  }

  name(alias: string, id: string): void {
    this.#tasks.set(alias, id);
  }

  runtime(provider = "claude"): string {
    return this.runtimes.get(provider) ?? provider;
  }

  /** The id of a task called `a`, or of its second attempt `a#2`. Throws when there is none. */
  async id(alias: string): Promise<string> {
    const id = await this.findId(alias);
    if (id === undefined) throw new Error(`There is no task ${alias}`);
    return id;
  }

  async findId(alias: string): Promise<string | undefined> {
    const known = this.#tasks.get(alias);
    if (known !== undefined) return known;
    const [base = "", attempt = 1] = alias.split("#");
    if (Number(attempt) < 2) return undefined;
    const parent = await this.findId(Number(attempt) === 2 ? base : `${base}#${Number(attempt) - 1}`);
    if (parent === undefined) return undefined;
    const child: string | null = (await this.viewOf(parent)).retried_by;
    if (child !== null) this.name(alias, child);
    return child ?? undefined;
  }

  async viewOf(id: string): Promise<TaskView> {
    return (await this.user(`/v1/tasks/${id}`)).body;
  }

  /** What a timeline calls the task with this id. */
  async aliasOf(id: string): Promise<string> {
    for (const [alias, known] of this.#tasks) if (known === id) return alias;
    const { retry_of, attempt } = await this.viewOf(id);
    const [base] = (await this.aliasOf(retry_of ?? "")).split("#");
    this.name(`${base}#${attempt}`, id);
    return `${base}#${attempt}`;
  }

  /** Lets time pass until `seconds` after the start, with beats unless the daemon is silent. */
  async advanceTo(seconds: number): Promise<void> {
    const end = this.#start + seconds * 1_000;
    while (this.clock.now() < end) {
      const rest = end - this.clock.now();
      await this.clock.advance(this.beating ? Math.min(BEAT * 1_000, rest) : rest);
      if (this.beating) await this.beat();
    }
  }

  async beat(): Promise<void> {
    for (const id of this.runtimes.values()) await this.daemon("/api/daemon/heartbeat", { runtime_id: id });
  }
}

function requestFor(path: string, options: { body?: unknown; headers: Record<string, string> }): Request {
  const { body, headers } = options;
  return new Request(`http://coordinator${path}`, {
    headers,
    method: body === undefined ? "GET" : "POST",
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
}

async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text();
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) };
}

/** A signal may outlive a thousand subscriptions, so each has to take its listener with it. */
export function countListeners(signal: AbortSignal): { readonly listeners: number } {
  const listeners = new Set<unknown>();
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: unknown[]) => {
    listeners.add(args[1]);
    Reflect.apply(addEventListener, signal, args);
  };
  signal.removeEventListener = (...args: unknown[]) => {
    listeners.delete(args[1]);
    Reflect.apply(removeEventListener, signal, args);
  };
  return {
    get listeners() {
      return listeners.size;
    },
  };
}

export interface Action {
  readonly label: string;
  readonly run: (world: World) => Promise<unknown>;
}

export interface Step {
  readonly seconds: number;
  readonly action: Action;
  readonly want?: { readonly value: unknown };
}

interface Called extends Step {
  /** What the action gives back; without it any answer will do. */
  expect(value: unknown): Step;
}

/** `at(10).call(claim(2)).expect(["a"])`: seconds after the start, an action, and what it gives back. */
export function at(seconds: number): { call(action: Action): Called } {
  return {
    call: (action) => ({ seconds, action, expect: (value) => ({ seconds, action, want: { value } }) }),
  };
}

/** Runs the steps on a new coordinator with one runtime `claude`, or those of `providers`. */
export async function play(steps: readonly Step[], providers: readonly string[] = ["claude"]): Promise<void> {
  await using world = await World.with(providers);
  for (const { seconds, action, want } of steps) {
    await world.advanceTo(seconds);
    const got = await action.run(world);
    if (want) assertEquals(got, want.value, `at ${seconds} s: ${action.label}`);
  }
}
