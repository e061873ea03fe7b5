/** One end of JSON-RPC 2.0 over lines: answers find their request, requests have a time limit, nothing here waits. */
import type { Clock } from "../core/ports.ts";
import { isRecord, type JsonRecord, parseRecord, recordOf, textOf } from "./json_fields.ts";

/** JSON-RPC 2.0, section 5.1. */
export const METHOD_NOT_FOUND = -32_601;
export const INVALID_PARAMS = -32_602;

/** Ids are the other side's and go back as they came; some agents begin at 0. */
export type RpcId = string | number;

export type Incoming =
  | { readonly kind: "request"; readonly id: RpcId; readonly method: string; readonly params: JsonRecord }
  | { readonly kind: "notification"; readonly method: string; readonly params: JsonRecord }
  /** An answer, whose request has been told. */
  | { readonly kind: "answer" }
  /** No JSON, or no message of the protocol. */
  | { readonly kind: "garbage"; readonly text: string };

export type RpcFailure =
  | {
    readonly kind: "error";
    readonly method: string;
    readonly code: number;
    readonly message: string;
    readonly data: unknown;
  }
  | { readonly kind: "timeout"; readonly method: string; readonly limitMs: number };

/** Called while the answer's line is taken in, so that what follows in the stream finds the state it left. */
export interface Waiting {
  readonly done: (result: JsonRecord) => void;
  readonly failed: (failure: RpcFailure) => void;
  /** Without it the request may take for ever, as a turn of a model does. In ms. */
  readonly limitMs?: number;
}

export interface PeerOptions {
  readonly send: (line: string) => void;
  readonly clock: Pick<Clock, "after">;
  /** Some agents speak it without the `jsonrpc` member. */
  readonly bare?: boolean;
}

interface Pending extends Waiting {
  readonly method: string;
  readonly timer?: Disposable;
}

export class JsonRpcPeer implements Disposable {
  readonly #options: PeerOptions;
  readonly #pending = new Map<RpcId, Pending>();
  #lastId = 0;

  constructor(options: PeerOptions) {
    this.#options = options;
  }

  /** Its id. */
  request(method: string, params: JsonRecord, waiting: Waiting): RpcId {
    const id = ++this.#lastId;
    const { limitMs } = waiting;
    const timer = limitMs === undefined ? undefined : this.#options.clock.after(limitMs, () => {
      this.#pending.delete(id);
      waiting.failed({ kind: "timeout", method, limitMs });
    });
    this.#pending.set(id, { ...waiting, method, ...(timer ? { timer } : {}) });
    this.#send({ id, method, params });
    return id;
  }

  notify(method: string, params: JsonRecord): void {
    this.#send({ method, params });
  }

  reply(id: RpcId, result: JsonRecord): void {
    this.#send({ id, result });
  }

  refuse(id: RpcId, code: number, message: string): void {
    this.#send({ id, error: { code, message } });
  }

  /** Never throws because of what the line holds. */
  accept(line: string): Incoming {
    const message = parseRecord(line);
    if (!message) return { kind: "garbage", text: line };
    const { id, method } = message;
    const known = typeof id === "string" || typeof id === "number";
    if (typeof method === "string") {
      const params = recordOf(message.params);
      return known ? { kind: "request", id, method, params } : { kind: "notification", method, params };
    }
    if (!known || !("result" in message || "error" in message)) return { kind: "garbage", text: line };
    this.#settle(id, message);
    return { kind: "answer" };
  }

  /** Forgets what is still asked; nobody is told. */
  [Symbol.dispose](): void {
    for (const { timer } of this.#pending.values()) timer?.[Symbol.dispose]();
    this.#pending.clear();
  }

  #settle(id: RpcId, message: JsonRecord): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    pending.timer?.[Symbol.dispose]();
    if (!isRecord(message.error)) return pending.done(recordOf(message.result));
    const { code, message: text, data } = message.error;
    pending.failed({
      kind: "error",
      method: pending.method,
      code: typeof code === "number" ? code : 0,
      message: textOf(text) || "no message",
      data,
    });
  }

  #send(message: JsonRecord): void {
    const { send, bare } = this.#options;
    send(`${JSON.stringify(bare ? message : { jsonrpc: "2.0", ...message })}\n`);
  }
}
