/** One WebSocket to a server (wire protocol 2): beats, hints, claim calls, and the silence after which it counts as dead. */
import { RPC_SERVER_MS, RPC_WAIT_MS, type RpcOutcome } from "../core/claim_rpc.ts";
import { LEASE } from "../core/lease.ts";
import type { Clock, Random } from "../core/ports.ts";
import type { Dial, Socket } from "../core/socket_port.ts";
import { type Frame, readFrame, RPC, type RpcResponse, writeFrame } from "./frames.ts";

const HANDSHAKE_MS = 10_000;
/** After a frame of ours without any of theirs. Their pings are answered beneath us and not seen. */
const SILENCE_MS = 60_000;
/** The server ends a connection that sends a larger frame. */
const MAX_FRAME = 60 * 1024;

export type Hint = Exclude<Frame, { kind: "rpc-response" }>;

export interface ChannelOptions {
  readonly dial: Dial;
  /** `http:` or `https:`, as for the calls. */
  readonly baseUrl: string;
  readonly headers: () => Readonly<Record<string, string>>;
  /** Frozen for the life of the connection. */
  readonly runtimes: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly onHint: (hint: Hint) => void;
}

export interface Channel {
  readonly runtimes: readonly string[];
  /** The server has offered claims on this very connection. */
  readonly rpc: boolean;
  claim(body: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<RpcOutcome>;
  /** Why it ended, for people. */
  readonly closed: Promise<string>;
  close(why: string): void;
}

/** Rejects when there is no connection within 10 s. Its first frames are beats. */
export async function openChannel(options: ChannelOptions, signal: AbortSignal): Promise<Channel> {
  const channel = new SocketChannel(options);
  await channel.open(signal);
  return channel;
}

class SocketChannel implements Channel {
  readonly runtimes: readonly string[];
  readonly closed: Promise<string>;
  rpc = false;
  readonly #options: ChannelOptions;
  readonly #calls = new Map<string, (response: RpcResponse | undefined) => void>();
  #socket: Socket | undefined;
  #timers: Disposable[] = [];
  /** Since when a frame of ours has had no answer of any kind. */
  #silence: Disposable | undefined;
  #resolveClosed!: (why: string) => void;
  #over = false;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.runtimes = options.runtimes.toSorted();
    this.closed = new Promise((resolve) => this.#resolveClosed = resolve);
  }

  async open(signal: AbortSignal): Promise<void> {
    const { dial, baseUrl, headers, clock } = this.#options;
    const abort = new AbortController();
    const onAbort = () => abort.abort(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    using _limit = clock.after(
      HANDSHAKE_MS,
      () => abort.abort(new Error(`The WebSocket was not open within ${HANDSHAKE_MS} ms`)),
    );
    const url = `${baseUrl.replace(/^http/, "ws")}/api/daemon/ws?runtime_ids=${
      this.runtimes.map(encodeURIComponent).join(",")
    }`;
    try {
      const handlers = {
        text: (frame: string) => this.#hear(frame),
        closed: (why: string) => this.#end(why),
      };
      this.#socket = await dial(url, { headers: headers(), handlers, signal: abort.signal });
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
    if (this.#over) throw new Error("The WebSocket was closed as soon as it was open");
    this.#beat();
  }

  async claim(body: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<RpcOutcome> {
    const { random, clock } = this.#options;
    if (signal.aborted || this.#over) return { kind: "unsent", why: "the connection is over" };
    const request_id = random.uuid();
    const frame = writeFrame("daemon:rpc_request", {
      request_id,
      method: "tasks.claim",
      body,
      timeout_ms: RPC_SERVER_MS,
    });
    if (frame.length > MAX_FRAME) return { kind: "unsent", why: "the frame is too large" };
    const answered = new Promise<RpcResponse | undefined>((resolve) => this.#calls.set(request_id, resolve));
    if (!this.#send(frame)) {
      this.#calls.delete(request_id);
      return { kind: "unsent", why: "the connection took no frame" };
    }
    const giveUp = () => this.#calls.get(request_id)?.(undefined);
    using _limit = clock.after(RPC_WAIT_MS, giveUp);
    signal.addEventListener("abort", giveUp, { once: true });
    const response = await answered;
    signal.removeEventListener("abort", giveUp);
    this.#calls.delete(request_id);
    if (!response) return { kind: "uncertain", why: "the claim over the WebSocket was not answered" };
    return { kind: "answered", status: response.status, body: response.body };
  }

  close(why: string): void {
    this.#socket?.close();
    this.#end(why);
  }

  #beat(): void {
    for (const runtime_id of this.runtimes) {
      this.#send(writeFrame("daemon:heartbeat", { runtime_id, supports_batch_import: true }));
    }
    if (!this.#over) this.#timers = [this.#options.clock.after(LEASE.heartbeatMs, () => this.#beat())];
  }

  #send(frame: string): boolean {
    if (this.#over || !this.#socket?.send(frame)) return false;
    this.#silence ??= this.#options.clock.after(SILENCE_MS, () => this.close(`no answer for ${SILENCE_MS} ms`));
    return true;
  }

  #hear(text: string): void {
    if (this.#over) return;
    this.#silence?.[Symbol.dispose]();
    this.#silence = undefined;
    const frame = readFrame(text);
    if (!frame) return;
    if (frame.kind === "rpc-response") return this.#calls.get(frame.response.request_id)?.(frame.response);
    if (frame.kind === "ack" && frame.answer.server_capabilities.includes(RPC)) this.rpc = true;
    this.#options.onHint(frame);
  }

  #end(why: string): void {
    if (this.#over) return;
    this.#over = true;
    for (const timer of this.#timers) timer[Symbol.dispose]();
    this.#silence?.[Symbol.dispose]();
    for (const resolve of [...this.#calls.values()]) resolve(undefined);
    this.#resolveClosed(why);
  }
}
