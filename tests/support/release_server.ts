/** Serves a directory of releases on 127.0.0.1, as a release host does, and breaks downloads where a test wants it. */
// Not Deno.serve: it cannot break a connection without printing a stack trace.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { deadline } from "@std/async";

/** What happens to a file on its way. Offsets and counts in bytes, of the part that is sent. */
export type Fault =
  | { readonly kind: "status"; readonly status: number }
  /** The connection breaks after so many. */
  | { readonly kind: "truncate"; readonly bytes: number }
  /** So many are sent as if they were all. */
  | { readonly kind: "short"; readonly bytes: number }
  /** Nothing comes after so many, until the client leaves, or `until` resolves. */
  | { readonly kind: "stall"; readonly bytes: number; readonly until?: Promise<void> }
  /** One bit is another; counted from the end when negative. */
  | { readonly kind: "flip"; readonly at: number }
  | { readonly kind: "replace"; readonly body: string | Uint8Array }
  | { readonly kind: "redirect"; readonly to: string };

export interface ServedRequest {
  readonly method: string;
  /** Below the base address, without the leading slash. */
  readonly path: string;
  readonly client: string;
  /** The header, empty when there is none. */
  readonly range: string;
}

interface Armed {
  readonly fault: Fault;
  left: number;
}

export class ReleaseServer implements AsyncDisposable {
  /** Oldest first. */
  readonly requests: ServedRequest[] = [];
  readonly #directory: string;
  readonly #faults = new Map<string, Armed>();
  readonly #watchers = new Set<() => void>();
  readonly #http = createServer((request, response) => void this.#handle(request, response));
  #url = "";

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** `directory` holds `latest/download/VERSION` and `download/v<version>/…`; what is added to it later is served too. */
  static async start(directory: string): Promise<ReleaseServer> {
    const server = new ReleaseServer(directory);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.#http.once("error", reject);
    server.#http.listen(0, "127.0.0.1", resolve);
    await promise;
    const address = server.#http.address();
    if (!address || typeof address === "string") throw new Error(`Cannot use the address ${address} of the releases`);
    server.#url = `http://127.0.0.1:${address.port}`;
    return server;
  }

  /** The base address of the releases. */
  get url(): string {
    return this.#url;
  }

  /** For every file whose path ends in `end`, `times` times (default: always). */
  fault(end: string, fault: Fault, { times = Infinity }: { times?: number } = {}): void {
    this.#faults.set(end, { fault, left: times });
  }

  heal(): void {
    this.#faults.clear();
  }

  /** The first request, past or coming, for a file whose path ends in `end`; rejects when none came in time. */
  async waitFor(end: string, { timeoutMs = 20_000 }: { timeoutMs?: number } = {}): Promise<ServedRequest> {
    const { promise, resolve } = Promise.withResolvers<ServedRequest>();
    const look = () => {
      const found = this.requests.find(({ path }) => path.endsWith(end));
      if (found) resolve(found);
    };
    this.#watchers.add(look);
    look();
    try {
      return await deadline(promise, timeoutMs);
    } catch (cause) {
      const seen = this.requests.map(({ path }) => path).join(", ") || "none";
      throw new Error(`Nobody asked for ${end} within ${timeoutMs} ms; requests were: ${seen}`, { cause });
    } finally {
      this.#watchers.delete(look);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#http.close(() => resolve());
    this.#http.closeAllConnections();
    await promise;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = decodeURIComponent(new URL(request.url ?? "/", this.#url).pathname).replace(/^\/+/, "");
    const method = request.method ?? "GET";
    const range = request.headers.range ?? "";
    this.requests.push({ method, path, range, client: request.headers["user-agent"] ?? "" });
    for (const look of this.#watchers) look();
    try {
      await this.#answer(path, { response, range, head: method === "HEAD" });
    } catch (error) {
      // What a test reads as the server's answer, unless part of one is out already.
      if (!response.headersSent) response.writeHead(500);
      response.end(String(error));
    }
  }

  async #answer(path: string, exchange: Exchange): Promise<void> {
    const { response, range, head } = exchange;
    const fault = this.#take(path);
    if (fault?.kind === "status") return void response.writeHead(fault.status).end();
    if (fault?.kind === "redirect") return void response.writeHead(302, { location: fault.to }).end();
    const whole = fault?.kind === "replace" ? bytesOf(fault.body) : await this.#read(path);
    if (!whole) return void response.writeHead(404, { "content-type": "text/plain" }).end("Not Found");
    const from = Number(/^bytes=(\d+)-$/.exec(range)?.[1] ?? 0);
    if (from > 0 && from >= whole.length) return void response.writeHead(416).end();
    const body = damaged(whole.subarray(from), fault);
    const headers: Record<string, string | number> = {
      "content-type": "application/octet-stream",
      "content-length": body.length,
      "accept-ranges": "bytes",
    };
    if (from > 0) headers["content-range"] = `bytes ${from}-${whole.length - 1}/${whole.length}`;
    response.writeHead(from > 0 ? 206 : 200, headers);
    if (head) return void response.end();
    if (fault?.kind !== "truncate" && fault?.kind !== "stall") return void response.end(body);
    response.flushHeaders();
    if (fault.bytes > 0) await write(response, body.subarray(0, fault.bytes));
    if (fault.kind === "truncate") return void response.destroy();
    if (!fault.until) return;
    await fault.until;
    response.end(body.subarray(fault.bytes));
  }

  async #read(path: string): Promise<Uint8Array | undefined> {
    if (path.split("/").includes("..")) return undefined;
    try {
      return await Deno.readFile(`${this.#directory}/${path}`);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.IsADirectory) return undefined;
      throw error;
    }
  }

  #take(path: string): Fault | undefined {
    for (const [end, armed] of this.#faults) {
      if (!path.endsWith(end) || armed.left <= 0) continue;
      armed.left--;
      return armed.fault;
    }
    return undefined;
  }
}

interface Exchange {
  readonly response: ServerResponse;
  readonly range: string;
  readonly head: boolean;
}

function bytesOf(body: string | Uint8Array): Uint8Array {
  return typeof body === "string" ? new TextEncoder().encode(body) : body;
}

function damaged(body: Uint8Array, fault: Fault | undefined): Uint8Array {
  if (fault?.kind === "short") return body.subarray(0, fault.bytes);
  if (fault?.kind !== "flip") return body;
  const copy = body.slice();
  const at = fault.at < 0 ? copy.length + fault.at : fault.at;
  copy[at] = copy[at]! ^ 1;
  return copy;
}

/** Resolves when the chunk is on its way, or never can be: destroying the connection before that would lose it. */
function write(response: ServerResponse, chunk: Uint8Array): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  response.once("close", resolve);
  response.write(chunk, () => resolve());
  return promise.finally(() => response.off("close", resolve));
}
