/** A run over JSON-RPC: reads the agent's lines, hands them to the one who knows the protocol, and says what that one says. */
import type { AgentMessage, Outcome } from "../core/message.ts";
import type { ChildExit } from "../core/ports.ts";
import type { AgentIo, Session } from "./backend.ts";
import { Garbage } from "./garbage.ts";
import { type Incoming, JsonRpcPeer } from "./jsonrpc.ts";
import { readLines } from "./ndjson.ts";
import { AgentInput, type Conversation, exitOf, sessionOf } from "./session.ts";

/** What a protocol's side of a run may do. */
export interface Stage {
  readonly peer: JsonRpcPeer;
  /** In the order of the calls. */
  say(...messages: AgentMessage[]): void;
  /** Once all that was said before has been taken: a question must not come before what it is about. */
  afterSaid(act: () => void): void;
  /** The run is over; later calls change nothing. What was said before is still passed on. */
  settle(outcome: Outcome): void;
  readonly settled: boolean;
}

/** One protocol's side of one run. */
export interface Talker {
  /** Sends the first request. */
  begin(): void;
  /** A request or notification of the agent's. Must answer each request, now or later. Throws nothing. */
  accept(message: Extract<Incoming, { kind: "request" | "notification" }>): void;
  /** Output ended before the run was settled. `unreadable` says how much of it was no protocol; empty when all was. */
  ended(exit: ChildExit | undefined, unreadable: string): Outcome;
  /** Right before the agent's input is closed, on every path. */
  leave?(): void;
}

export function rpcSession(
  io: AgentIo,
  signal: AbortSignal,
  { bare, create }: { bare?: boolean; create: (stage: Stage) => Talker },
): Session {
  return sessionOf(converse(io, signal, { bare, create }), signal);
}

async function* converse(
  io: AgentIo,
  signal: AbortSignal,
  { bare, create }: { bare?: boolean; create: (stage: Stage) => Talker },
): Conversation {
  const input = new AgentInput(io.stdin);
  using peer = new JsonRpcPeer({ send: (line) => input.send(line), clock: io.clock, ...(bare ? { bare } : {}) });
  const over = new AbortController();
  let outcome: Outcome | undefined;
  let said: (AgentMessage | (() => void))[] = [];
  const stage: Stage = {
    peer,
    say: (...messages) => void said.push(...messages),
    afterSaid: (act) => void said.push(act),
    settle(given) {
      if (outcome) return;
      outcome = given;
      // A time limit passes while nothing is read, so reading has to be ended from here.
      over.abort();
    },
    get settled() {
      return outcome !== undefined;
    },
  };
  const take = function* () {
    while (said.length > 0) {
      const next = said;
      said = [];
      for (const each of next) {
        if (typeof each === "function") each();
        else yield each;
      }
    }
  };
  const talker = create(stage);
  const garbage = new Garbage("JSON-RPC");
  // Not `AbortSignal.any`: Deno 2.6 forgets such a signal while nobody but its own listener waits for it.
  const leave = () => over.abort();
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) leave();
  try {
    talker.begin();
    yield* take();
    for await (const lines of readLines(io.stdout, { signal: over.signal })) {
      for (const line of lines) {
        if (typeof line !== "string") {
          yield { kind: "error", text: `Left out a line of ${line.bytes} bytes` };
          continue;
        }
        if (line.trim() === "" || outcome) continue;
        const message = peer.accept(line);
        if (message.kind === "garbage") garbage.add(message.text);
        else if (message.kind !== "answer") talker.accept(message);
        yield* take();
      }
      if (outcome) break;
    }
    yield* take();
  } finally {
    signal.removeEventListener("abort", leave);
    talker.leave?.();
    input.close();
  }
  return outcome ?? talker.ended(await exitOf(io, signal), garbage.describe());
}
