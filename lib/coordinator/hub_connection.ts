/** One daemon's WebSocket on the coordinator's side: its beats one after the other, its claims, and no more waiting for it than is fair. */
import type { Logger } from "../core/ports.ts";
import type { ServerSocket } from "../core/upgrade_port.ts";
import { readDaemonFrame, type RpcRequest } from "../wire/daemon_frames.ts";
import { RPC, writeFrame } from "../wire/frames.ts";
import type { Caller } from "./caller.ts";
import { Refusal } from "./refusal.ts";
import { BadBody } from "./request_body.ts";
import { canonicalUuid } from "./uuid.ts";

/** Of UTF-8; whoever sends a larger one is cut off. */
const MAX_FRAME = 64 * 1024;
/** UTF-8 takes at most three bytes for what JavaScript counts as one character. */
const MAX_BYTES_PER_UNIT = 3;
const MAX_CALLS = 8;
/**
 * As many frames may wait, and for as long: what we send in one breath is not the other side's slowness. An answer to a
 * claim may be large, so bytes count only far beyond that.
 */
const MAX_WAITING = 16;
const WAITING_MS = 1_000;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** A claim says how long its sender waits, within these. */
const CALL_MS = { usual: 5_000, most: 30_000 } as const;
/** A token that was revoked opens nothing for longer than this, heard or told; claims ask each time. */
const TRUST_MS = 15_000;

/** Of what a connection hears, frozen for its life. */
export interface HubScope {
  readonly runtimes: ReadonlySet<string>;
  readonly workspaces: ReadonlySet<string>;
  readonly userId?: string;
  /** What the daemon can take (wire protocol 0.4). */
  readonly capabilities: ReadonlySet<string>;
}

export interface HubPorts {
  /** Ms that only ever grow. */
  readonly monotonic: () => number;
  readonly log: Logger;
  /** Who its token stands for now; `undefined` for nobody any more. */
  readonly authenticate: () => Promise<Caller | undefined>;
  /** What a heartbeat is answered with; `undefined` when there is no such runtime any more. */
  readonly beat: (
    runtime: string,
    options: { readonly batchImport: boolean },
  ) => Promise<Record<string, unknown> | undefined>;
  /** `abandoned` becomes true when nobody waits for the answer: then nothing is to be claimed. */
  readonly claim: (caller: Caller, body: unknown, options: { readonly abandoned: () => boolean }) => Promise<unknown>;
  /** Once, at the end. */
  readonly ended: () => void;
}

export class HubConnection {
  readonly scope: HubScope;
  readonly #socket: ServerSocket;
  readonly #ports: HubPorts;
  /** Runtimes, as the daemon spells them, whose beat waits for its turn: a second one before that adds nothing. */
  readonly #beats = new Map<string, boolean>();
  #beating = false;
  #calls = 0;
  #trustedAt: number;
  #asking: Promise<Caller | undefined> | undefined;
  /** Frames sent since nothing waited, and since when that is so. */
  #waiting = { frames: 0, since: 0 };
  #over = false;

  constructor(socket: ServerSocket, scope: HubScope, ports: HubPorts) {
    this.#socket = socket;
    this.scope = scope;
    this.#ports = ports;
    this.#trustedAt = ports.monotonic();
  }

  hear(frame: string): void {
    if (this.#over) return;
    if (isTooLarge(frame)) return this.close("frame too large");
    const heard = readDaemonFrame(frame);
    if (heard?.kind === "rpc") void this.#call(heard.request);
    if (heard?.kind !== "beat" || !this.scope.runtimes.has(canonicalUuid(heard.runtime) ?? "")) return;
    this.#beats.set(heard.runtime, heard.batchImport);
    void this.#beatOn();
  }

  send(type: string, payload: Record<string, unknown>): void {
    if (this.#over) return;
    const now = this.#ports.monotonic();
    const bytes = this.#socket.waiting;
    if (bytes === 0) this.#waiting = { frames: 0, since: now };
    const { frames, since } = this.#waiting;
    if (bytes > MAX_WAITING_BYTES || (frames >= MAX_WAITING && now - since > WAITING_MS)) {
      return this.close("too slow: frames wait to be read");
    }
    this.#waiting = { frames: frames + 1, since };
    this.#socket.send(writeFrame(type, payload));
  }

  /** As `send`, to whom it may still concern: one that was silent for long is asked for its token before it hears more. */
  tell(type: string, payload: Record<string, unknown>): void {
    if (this.#isTrusted()) return this.send(type, payload);
    const asked = this.#asking ??= this.#caller().finally(() => this.#asking = undefined);
    // Where that fails the hint is lost, as any may be.
    asked.then((caller) => caller && this.send(type, payload)).catch((error) => {
      this.#ports.log.error("A hint over a WebSocket failed", { type, error });
    });
  }

  close(why: string): void {
    if (this.#over) return;
    this.#ports.log.debug("A daemon's WebSocket is closed", { why });
    this.end();
    this.#socket.close(why);
  }

  /** The socket is closed. */
  end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#beats.clear();
    this.#ports.ended();
  }

  async #beatOn(): Promise<void> {
    if (this.#beating) return;
    this.#beating = true;
    try {
      for (const [runtime, batchImport] of this.#beats) {
        this.#beats.delete(runtime);
        await this.#beat(runtime, batchImport);
        if (this.#over) return;
      }
    } finally {
      this.#beating = false;
    }
  }

  /** Never rejects: a beat that cannot be answered is not answered. */
  async #beat(runtime: string, batchImport: boolean): Promise<void> {
    const { log, beat } = this.#ports;
    try {
      if (!this.#isTrusted() && !await this.#caller()) return;
      const answer = await beat(canonicalUuid(runtime) ?? "", { batchImport });
      const gone = { status: "runtime_gone", runtime_gone: true };
      this.send("daemon:heartbeat_ack", { ...answer ?? gone, runtime_id: runtime, server_capabilities: [RPC] });
    } catch (error) {
      log.error("A heartbeat over a WebSocket failed", { runtime, error });
    }
  }

  #isTrusted(): boolean {
    return this.#ports.monotonic() - this.#trustedAt <= TRUST_MS;
  }

  /** Who it is, as long as that opens what it did; else the end: whoever may come back comes with a new connection. */
  async #caller(): Promise<Caller | undefined> {
    const caller = await this.#ports.authenticate();
    if (!caller || !this.scope.workspaces.isSubsetOf(caller.workspaces)) {
      this.close("the token does not open this any more");
      return undefined;
    }
    this.#trustedAt = this.#ports.monotonic();
    return caller;
  }

  async #call({ request_id, method, body, timeout_ms }: RpcRequest): Promise<void> {
    const answer = (status: number, said: { body: unknown } | { error: string }) =>
      this.send("daemon:rpc_response", { request_id, status, ...said });
    if (this.#calls >= MAX_CALLS) return answer(429, { error: "too many calls at once" });
    if (method !== "tasks.claim") return answer(404, { error: `unknown method: ${method.slice(0, 100)}` });
    this.#calls++;
    try {
      const limit = Math.min(timeout_ms > 0 ? timeout_ms : CALL_MS.usual, CALL_MS.most);
      const until = this.#ports.monotonic() + limit;
      const abandoned = () => this.#over || this.#ports.monotonic() >= until;
      const caller = await this.#caller();
      if (caller) answer(200, { body: await this.#ports.claim(caller, body, { abandoned }) });
    } catch (error) {
      const [status, text] = this.#failure(error);
      answer(status, { error: text });
    } finally {
      this.#calls--;
    }
  }

  #failure(error: unknown): [status: number, text: string] {
    if (error instanceof Refusal) return [error.status, error.text];
    if (error instanceof BadBody) return [400, error.message];
    this.#ports.log.error("A claim over a WebSocket failed", { error });
    return [500, "database error"];
  }
}

function isTooLarge(frame: string): boolean {
  if (frame.length * MAX_BYTES_PER_UNIT <= MAX_FRAME) return false;
  return frame.length > MAX_FRAME || new TextEncoder().encode(frame).length > MAX_FRAME;
}
