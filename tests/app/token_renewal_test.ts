/** The renewal of the token: when it is asked for, and that nothing comes of its failing. */
import { assertEquals } from "@std/assert";
import { renewalLoop } from "../../lib/app/token_renewal.ts";
import { createClient } from "../../lib/wire/client.ts";
import { keptLog } from "../daemon/kept_log.ts";
import { FakeClock } from "../support/fake_clock.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

class World implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly log = keptLog();
  token = "mul_1";
  answer: () => Response = () => Response.json({ expires_at: "2026-06-01T00:00:00Z", renewed: true });
  /** When it was asked, in ms since the start. */
  readonly asked: number[] = [];
  readonly ends: (string | null)[] = [];
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(change: Partial<Pick<World, "answer" | "token">> = {}) {
    Object.assign(this, change);
    const client = createClient({
      name: "team",
      baseUrl: "http://team.example",
      token: () => this.token,
      fetch: (request) => {
        assertEquals([request.method, new URL(request.url).pathname], ["POST", "/api/tokens/current/renew"]);
        this.asked.push(this.clock.monotonic());
        return Promise.resolve().then(this.answer);
      },
      clock: this.clock,
      version: "1",
      os: "linux",
      capabilities: [],
    });
    const onExpiry = (_token: string, end: string | null) => Promise.resolve(void this.ends.push(end));
    const { clock, log } = this;
    this.#running = renewalLoop({ client, clock, log, token: () => this.token, onExpiry }, this.#stop.signal);
  }

  async pass(ms: number): Promise<void> {
    await this.clock.settle();
    await this.clock.advance(ms);
    await this.clock.settle();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    assertEquals(this.clock.waiting, 0);
  }
}

Deno.test("renewalLoop() asks at the start and every three days, and tells until when the token lasts", async () => {
  await using w = new World();
  await w.pass(0);
  assertEquals([w.asked, w.ends], [[0], ["2026-06-01T00:00:00Z"]]);
  w.answer = () => Response.json({ expires_at: "", renewed: false });
  await w.pass(3 * DAY_MS - 1);
  assertEquals(w.asked.length, 1);
  await w.pass(1);
  assertEquals([w.asked, w.ends.at(-1)], [[0, 3 * DAY_MS], null]);
});

Deno.test("renewalLoop() takes no for an answer, and asks again in an hour where there was none", async () => {
  for (const status of [400, 401, 404]) {
    await using w = new World({ answer: () => Response.json({ error: "no" }, { status }) });
    await w.pass(HOUR_MS);
    assertEquals([w.asked.length, w.ends], [1, []], String(status));
  }
  const none = [() => Response.json({}, { status: 503 }), () => {
    throw new TypeError("no route to host");
  }];
  for (const answer of none) {
    await using w = new World({ answer });
    await w.pass(HOUR_MS);
    assertEquals(w.asked, [0, HOUR_MS]);
  }
});

Deno.test("renewalLoop() asks for nothing while nobody is logged in", async () => {
  await using w = new World({ token: "" });
  await w.pass(0);
  assertEquals(w.asked, []);
  w.token = "mul_2";
  await w.pass(HOUR_MS);
  assertEquals(w.asked, [HOUR_MS]);
});
