/** The WebSocket side of the fake Multica server: acks, hints and claim calls, over a real socket or in memory. */
import type { Dial } from "../../lib/core/socket_port.ts";
import type { FakeCall, FakeMultica } from "./fake_multica.ts";

const FRAME_LIMIT = 64 * 1024;

interface Peer {
  readonly runtimes: readonly string[];
  readonly headers: Headers;
  send(frame: string): void;
  close(why: string): void;
}

/** What happens to a claim call: answered, done but the answer lost, or not even heard. */
export type RpcFault = "doubled-answer" | "lost-answer" | "unheard" | { readonly status: number };

export class FakeHub {
  readonly peers = new Set<Peer>();
  /** Every connection that ever was, by the runtimes it came with. */
  readonly connections: (readonly string[])[] = [];
  readonly #server: FakeMultica;
  /** Refuses new connections while set. */
  down = false;
  /** Hears all and answers nothing. */
  mute = false;
  /** Offers claims over the socket. */
  rpc: boolean;
  rpcFault: RpcFault | undefined;

  constructor(server: FakeMultica) {
    this.#server = server;
    this.rpc = server.dialect === "head";
  }

  /** The server as the `Dial` of a connection, without any network. */
  readonly dial: Dial = (url, { headers, handlers, signal }) => {
    signal.throwIfAborted();
    const asked = new Headers(headers);
    const refusal = this.refusal(url, asked);
    if (refusal) return Promise.reject(new Error(`The server refused the WebSocket with status ${refusal.status}`));
    let open = true;
    const peer = this.#join(url, asked, {
      send: (frame) => queueMicrotask(() => open && handlers.text(frame)),
      close(why) {
        if (!open) return;
        open = false;
        queueMicrotask(() => handlers.closed(why));
      },
    });
    return Promise.resolve({
      send: (frame) => {
        if (open) queueMicrotask(() => this.#hear(peer, frame));
        return open;
      },
      close: () => this.#leave(peer, "closed by the daemon"),
    });
  };

  refusal(url: string, headers: Headers): Response | undefined {
    if (this.down) return new Response("down", { status: 503 });
    const call: FakeCall = { route: "WS upgrade", body: undefined, headers };
    this.#server.calls.push(call);
    if (headers.get("authorization") !== `Bearer ${this.#server.token}`) return new Response("", { status: 401 });
    const unknown = idsOf(url).some((id) => !this.#server.runtimes.has(id));
    return unknown ? Response.json({ error: "runtime not found" }, { status: 404 }) : undefined;
  }

  upgrade(request: Request): Response {
    const { url } = request;
    const headers = new Headers(request.headers);
    const { socket, response } = Deno.upgradeWebSocket(request);
    socket.onopen = () => {
      const peer = this.#join(url, headers, { send: (frame) => socket.send(frame), close: () => socket.close() });
      socket.onmessage = ({ data }) => this.#hear(peer, data);
      socket.onclose = () => this.peers.delete(peer);
    };
    return response;
  }

  /** To all whose runtime it is about; to everybody where it names none. */
  send(type: string, payload: Record<string, unknown>): void {
    for (const peer of this.peers) {
      const id = payload.runtime_id;
      if (typeof id === "string" && !peer.runtimes.includes(id)) continue;
      peer.send(JSON.stringify({ type, payload }));
    }
  }

  /** Drops every connection. */
  cut(): void {
    for (const peer of [...this.peers]) this.#leave(peer, "cut by the server");
  }

  #join(url: string, headers: Headers, link: Pick<Peer, "send" | "close">): Peer {
    const peer: Peer = { runtimes: idsOf(url), headers, ...link };
    if (peer.runtimes.join() !== peer.runtimes.toSorted().join()) this.#server.violation("unsorted runtime ids");
    this.peers.add(peer);
    this.connections.push(peer.runtimes);
    return peer;
  }

  #leave(peer: Peer, why: string): void {
    if (this.peers.delete(peer)) peer.close(why);
  }

  #hear(peer: Peer, frame: string): void {
    if (!this.peers.has(peer)) return;
    if (frame.length > FRAME_LIMIT) {
      this.#server.violation("a frame over the limit");
      return this.#leave(peer, "frame too large");
    }
    const { type, payload } = JSON.parse(frame);
    this.#server.calls.push({ route: `WS ${type}`, body: payload, headers: peer.headers });
    if (type === "daemon:heartbeat") this.#ack(peer, payload.runtime_id);
    else if (type === "daemon:rpc_request") void this.#answerCall(peer, payload);
  }

  #ack(peer: Peer, runtime_id: string): void {
    if (this.mute) return;
    const answer = this.#server.beat(runtime_id) ?? { status: "runtime_gone", runtime_gone: true };
    const capabilities = this.rpc ? { server_capabilities: ["rpc-v1"] } : {};
    const payload = { runtime_id, ...answer, ...capabilities };
    peer.send(JSON.stringify({ type: "daemon:heartbeat_ack", payload }));
  }

  // deno-lint-ignore no-explicit-any
  async #answerCall(peer: Peer, { request_id, method, body }: any): Promise<void> {
    if (method !== "tasks.claim" || !this.rpc) this.#server.violation(`an unexpected call ${method}`);
    const fault = this.rpcFault;
    if (fault === "unheard") return;
    const refused = typeof fault === "object" ? fault.status : 0;
    const answer = refused ? undefined : this.#server.claim(body);
    if (fault === "lost-answer" || this.mute) return;
    const status = answer?.status ?? refused;
    const said = status < 400 ? { body: await answer!.json() } : { error: "refused" };
    const frame = JSON.stringify({ type: "daemon:rpc_response", payload: { request_id, status, ...said } });
    peer.send(frame);
    if (fault === "doubled-answer") peer.send(frame);
  }
}

function idsOf(url: string): string[] {
  return (new URL(url).searchParams.get("runtime_ids") ?? "").split(",").filter((id) => id !== "");
}
