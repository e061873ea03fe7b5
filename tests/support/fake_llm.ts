/** A scripted model on 127.0.0.1 that real agent CLIs are pointed at, so that they run to the end offline. */
// Not Deno.serve: it cannot break a connection without printing a stack trace, and prints a notice where the client's
// hanging up is watched.
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { deadline, delay } from "@std/async";
import { ANTHROPIC } from "./fake_llm_anthropic.ts";
import { CHAT } from "./fake_llm_chat.ts";
import type { Dialect } from "./fake_llm_dialect.ts";
import { GEMINI } from "./fake_llm_gemini.ts";
import { RESPONSES } from "./fake_llm_responses.ts";
import {
  callsOf,
  locate,
  type Place,
  SCENARIOS,
  type Scenarios,
  type Step,
  synthesize,
  type Turn,
} from "./fake_llm_script.ts";

export { SCENARIOS, type Scenarios, type Step } from "./fake_llm_script.ts";

/** The wire formats it speaks, tried in this order. */
const DIALECTS: readonly Dialect[] = [ANTHROPIC, RESPONSES, CHAT, GEMINI];

/** What `GET …/models` lists, in the members that any of the formats looks for. */
const MODELS = {
  object: "list",
  data: [{ id: "fake-model", object: "model", type: "model", display_name: "Fake", created: 1_700_000_000 }],
  has_more: false,
  models: [],
};

/** Tokens of every answer whose step says nothing else. */
const USAGE = { input: 1000, output: 50, cached: 200, cacheWrite: 30 };

/** One request, as it came and as it was answered so far. */
export interface FakeRequest {
  readonly method: string;
  readonly path: string;
  /** What the client calls itself, with its version. */
  readonly client: string;
  /** What was answered; 0 while nothing is, and for ever after `hang`. */
  status: number;
  /** The client hung up before the answer was complete. */
  aborted: boolean;
  /** The model request behind it; missing for probes and token counts. */
  asked?: Asked;
}

export interface Asked {
  readonly dialect: string;
  readonly model: string;
  readonly stream: boolean;
  readonly scenario: string;
  readonly step: number;
  /** No tools offered: a title, a summary, a routing question. Not answered from the script. */
  readonly side: boolean;
  readonly tools: readonly string[];
  readonly prompt: string;
  /** What the tool really gave back to the model: assert here, not on the CLI's echo of it. */
  readonly toolResult: string;
  /** The whole conversation as the model gets it: what a resumed session remembers. */
  readonly turns: readonly Turn[];
}

export interface FakeLlm extends AsyncDisposable {
  readonly url: string;
  /** Oldest first. */
  readonly requests: readonly FakeRequest[];
  setScenarios(scenarios: Scenarios): void;
  /** The first request, past or coming, that fits; rejects when none has come within `timeoutMs` (default 10,000). */
  waitFor(fits: (request: FakeRequest) => boolean, options?: { timeoutMs?: number }): Promise<FakeRequest>;
}

/** `maxRequests` (default 300) ends a CLI that goes round in circles: from then on every model request gets a 400. */
export async function startFakeLlm(options: { scenarios?: Scenarios; maxRequests?: number } = {}): Promise<FakeLlm> {
  const server = new Server(options.scenarios ?? SCENARIOS, options.maxRequests ?? 300);
  await server.listen();
  return server;
}

class Server implements FakeLlm {
  readonly requests: FakeRequest[] = [];
  readonly #failures = new Map<string, number>();
  readonly #watchers = new Set<() => void>();
  readonly #http = createServer((request, response) => void this.#handle(request, response));
  #url = "";
  #scenarios: Scenarios;
  readonly #maxRequests: number;
  #asked = 0;
  #ids = 0;

  constructor(scenarios: Scenarios, maxRequests: number) {
    this.#scenarios = scenarios;
    this.#maxRequests = maxRequests;
  }

  async listen(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#http.once("error", reject);
    this.#http.listen(0, "127.0.0.1", resolve);
    await promise;
    const address = this.#http.address();
    if (!address || typeof address === "string") throw new Error(`Cannot use the address ${address} of the fake model`);
    this.#url = `http://127.0.0.1:${address.port}`;
  }

  get url(): string {
    return this.#url;
  }

  setScenarios(scenarios: Scenarios): void {
    this.#scenarios = scenarios;
  }

  async waitFor(
    fits: (request: FakeRequest) => boolean,
    { timeoutMs = 10_000 }: { timeoutMs?: number } = {},
  ): Promise<FakeRequest> {
    const { promise, resolve } = Promise.withResolvers<FakeRequest>();
    const look = () => {
      const found = this.requests.find(fits);
      if (found) resolve(found);
    };
    this.#watchers.add(look);
    look();
    try {
      return await deadline(promise, timeoutMs);
    } catch (cause) {
      const seen = JSON.stringify(
        this.requests.slice(-5),
        (key, value) => key === "turns" ? value.length : value,
      );
      throw new Error(`No fitting request reached the fake model within ${timeoutMs} ms; the last were ${seen}`, {
        cause,
      });
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
    const method = request.method ?? "";
    const path = new URL(request.url ?? "/", this.url).pathname;
    const dialect = DIALECTS.find((other) => other.wants(path));
    const client = request.headers["user-agent"] ?? "";
    const entry: FakeRequest = { method, path, client, status: 0, aborted: false };
    const gone = new AbortController();
    response.on("close", () => {
      if (response.writableEnded) return;
      entry.aborted = true;
      gone.abort();
      this.#note(entry, entry.status);
    });
    try {
      const body = await readBody(request);
      if (dialect && method === "POST" && dialect.wants(path) === "answer") {
        await this.#answer(dialect, JSON.parse(body), { entry, response, gone: gone.signal });
      } else if (dialect && method === "POST") {
        this.#send({ entry, response }, 200, dialect.tokenCount(100));
      } else if (method === "GET" && /\/models(?:\/|$)/.test(path)) {
        this.#send({ entry, response }, 200, MODELS);
      } else if (method === "HEAD" || path === "/") {
        this.#send({ entry, response }, 200, "");
      } else {
        this.#send({ entry, response }, 404, { error: { message: `No route ${method} ${path}` } });
      }
    } catch (error) {
      // The client hung up while a step waited; nobody is left to answer.
      if (gone.signal.aborted) return;
      this.#send({ entry, response }, 500, { error: { message: String(error) } });
    }
  }

  // deno-lint-ignore no-explicit-any
  async #answer(dialect: Dialect, body: any, exchange: Exchange & { gone: AbortSignal }): Promise<void> {
    const { entry, response, gone } = exchange;
    const { turns, tools, stream, schema, model = String(body.model ?? "fake-model") } = dialect.read(body, entry.path);
    const place = locate(turns, this.#scenarios);
    const side = tools.length === 0;
    entry.asked = {
      dialect: dialect.name,
      model,
      stream,
      scenario: place.scenario,
      step: place.index,
      side,
      tools: tools.map((tool) => tool.name),
      prompt: place.prompt.slice(-200),
      toolResult: place.toolResult.slice(0, 400),
      turns,
    };
    this.#note(entry, 0);
    const refuse = (status: number, message: string, headers?: Readonly<Record<string, string>>) =>
      this.#send(exchange, status, dialect.errorBody(status, message), headers);

    if (++this.#asked > this.#maxRequests) return refuse(400, `More than ${this.#maxRequests} requests`);
    const sideText = schema ? JSON.stringify(synthesize(schema)) : "fake title";
    const step: Step = side ? { text: sideText } : place.step;
    if (step.delayMs) await delay(step.delayMs, { signal: gone });
    await step.until;
    if (step.hang) return;
    if (step.status && this.#stillFails(place)) {
      return refuse(step.status, step.message ?? `Scripted error ${step.status}`, step.headers);
    }
    const calls = callsOf(step, tools);
    if (typeof calls === "string") return refuse(400, calls);
    const fill = (text: string | undefined) =>
      text?.replaceAll("{{toolResult}}", place.toolResult.trim().slice(0, 400)).replaceAll("{{prompt}}", place.prompt);
    const written = dialect.write({
      model,
      thinking: step.thinking,
      text: fill(step.text),
      calls,
      usage: { ...USAGE, ...step.usage },
      id: (prefix) => `${prefix}_fake${String(++this.#ids).padStart(6, "0")}`,
    });
    if (!stream) {
      return step.errorEvent ? refuse(529, step.errorEvent) : this.#send(exchange, 200, written.body);
    }
    const events = step.errorEvent ? dialect.errorEvents(step.errorEvent) : written.events;
    this.#note(entry, 200);
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
    for (const [index, { event, data }] of events.entries()) {
      if (index === step.dropAfter) return void response.destroy();
      if (index === step.stallAfter) return;
      const text = typeof data === "string" ? data : JSON.stringify(data);
      await write(response, `${event ? `event: ${event}\n` : ""}data: ${text}\n\n`);
      if (step.chunkMs) await delay(step.chunkMs, { signal: gone });
    }
    response.end();
  }

  #send({ entry, response }: Exchange, status: number, body: unknown, headers: Record<string, string> = {}): void {
    this.#note(entry, status);
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(body === "" ? undefined : JSON.stringify(body));
  }

  #stillFails({ scenario, index, prompt, step }: Place): boolean {
    const key = `${scenario}/${index}/${prompt}`;
    const count = this.#failures.get(key) ?? 0;
    this.#failures.set(key, count + 1);
    return step.times === undefined || count < step.times;
  }

  /** Records the request, or what became of it, and tells who waits for it. */
  #note(entry: FakeRequest, status: number): void {
    entry.status = status;
    if (!this.requests.includes(entry)) this.requests.push(entry);
    for (const look of this.#watchers) look();
  }
}

/** A request under way, as it is recorded and as it is answered. */
interface Exchange {
  readonly entry: FakeRequest;
  readonly response: ServerResponse;
}

async function readBody(request: IncomingMessage): Promise<string> {
  const text = new TextDecoder();
  let body = "";
  for await (const chunk of request) body += text.decode(chunk, { stream: true });
  return body + text.decode();
}

/** Resolves when the chunk is on its way, or never can be: destroying the connection before that would lose it. */
function write(response: ServerResponse, chunk: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  response.once("close", resolve);
  response.write(chunk, () => resolve());
  return promise.finally(() => response.off("close", resolve));
}
