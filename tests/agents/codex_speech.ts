/** Codex's side of its app-server protocol, for the tests of the adapter: what it says, and what it was sent. */
import { codexAppServer } from "../../lib/agents/codex_app_server.ts";
import type { PermissionRequest } from "../../lib/core/message.ts";
import type { AgentTask } from "../../lib/core/model.ts";
import { type FakeAgent, type Heard, playback, runOn } from "./agent_io.ts";

export const TURN = { threadId: "t1", turnId: "u1" };
export const INITIALIZED = { id: 1, result: {} };
export const OPENED = { id: 2, result: { thread: { id: "t1" }, model: "m1" } };
export const BEGUN = { id: 3, result: { turn: { id: "u1" } } };
export const HANDSHAKE = [INITIALIZED, OPENED, BEGUN];

export function jsonLines(...messages: unknown[]): string {
  return messages.map((message) => `${JSON.stringify(message)}\n`).join("");
}

export function notice(method: string, params: Record<string, unknown>): unknown {
  return { method, params: { ...TURN, ...params } };
}

export function ended(item: Record<string, unknown>): unknown {
  return notice("item/completed", { item });
}

export function turnEnd(turn: Record<string, unknown> = { status: "completed" }): unknown {
  return { method: "turn/completed", params: { threadId: "t1", turn: { id: "u1", ...turn } } };
}

export const DONE = [ended({ type: "agentMessage", id: "a", text: "fine" }), turnEnd()];

export interface Sent {
  readonly id?: number | string;
  readonly method?: string;
  // deno-lint-ignore no-explicit-any
  readonly params?: any;
  readonly result?: unknown;
  readonly error?: { code: number };
}

export interface Ran extends Heard {
  readonly sent: Sent[];
}

/** A run against an agent that prints these, and what it was sent. */
export async function run(messages: readonly unknown[], options: {
  task?: Partial<AgentTask>;
  ask?: (request: PermissionRequest) => boolean;
} = {}): Promise<Ran> {
  const { ask } = options;
  const agent = playback(jsonLines(...messages), {
    ...(ask ? { ask: (request) => Promise.resolve({ allow: ask(request), why: "said so" }) } : {}),
  });
  const heard = await runOn(codexAppServer, agent, { task: options.task });
  await agent.stdinClosed;
  return { ...heard, sent: agent.written().trim().split("\n").map((line) => JSON.parse(line)) };
}

export function sentTo(method: string, { sent }: Ran): Sent["params"] {
  return sent.find((message) => message.method === method)?.params;
}

/** Prints them and waits until the adapter has done with them: it takes the empty line only then. */
export async function tell(agent: FakeAgent, ...messages: unknown[]): Promise<void> {
  await agent.print(jsonLines(...messages));
  await agent.print("\n");
}

/** What it was sent so far. */
export function sentSoFar(agent: FakeAgent): Sent[] {
  return agent.written().trim().split("\n").map((line) => JSON.parse(line));
}
