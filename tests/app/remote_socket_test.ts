/** The WebSocket of a team server: opened only by somebody who is logged in, and gone with that login. */
import { assertEquals, assertRejects } from "@std/assert";
import { whileLoggedIn } from "../../lib/app/remote_connection.ts";
import type { Dial, SocketHandlers } from "../../lib/core/socket_port.ts";

class World {
  current = "mul_1";
  dialled = 0;
  readonly ends: string[] = [];
  readonly listeners = new Set<() => void>();
  /** While the socket is being opened. */
  meanwhile = () => {};
  readonly #dial: Dial = (_url, { handlers }) => {
    this.dialled++;
    this.meanwhile();
    return Promise.resolve({ send: () => true, close: () => handlers.closed("closed by us") });
  };
  readonly dial = whileLoggedIn(this.#dial, {
    token: () => this.current,
    onChange: (listener) => {
      this.listeners.add(listener);
      return { [Symbol.dispose]: () => void this.listeners.delete(listener) };
    },
  });

  open() {
    const handlers: SocketHandlers = { text() {}, closed: (why) => this.ends.push(why) };
    return this.dial("ws://team.example", { headers: {}, handlers, signal: new AbortController().signal });
  }

  login(token: string): void {
    this.current = token;
    for (const listener of [...this.listeners]) listener();
  }
}

Deno.test("whileLoggedIn() opens nothing for nobody", async () => {
  const w = new World();
  w.login("");
  await assertRejects(() => w.open(), Error, "nobody is logged in");
  assertEquals(w.dialled, 0);
});

Deno.test("whileLoggedIn() closes the socket when another token counts, and listens to nothing after that", async () => {
  for (const next of ["", "mul_2"]) {
    const w = new World();
    await w.open();
    w.login("mul_1");
    assertEquals([w.ends, w.listeners.size], [[], 1], "the same token is no change");
    w.login(next);
    assertEquals([w.ends, w.listeners.size], [["closed by us"], 0]);
  }
});

Deno.test("whileLoggedIn() closes a socket that was opened across a change", async () => {
  const w = new World();
  w.meanwhile = () => w.login("mul_2");
  await w.open();
  assertEquals([w.ends, w.listeners.size], [["closed by us"], 0]);
});
