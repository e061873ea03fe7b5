/** The connection to a team server: whose token it shows to whom, what it makes of the answers, and what is watched. */
import { assertEquals } from "@std/assert";
import type { Credentials } from "../../lib/app/credentials.ts";
import { RemoteLink } from "../../lib/app/remote_link.ts";
import { mergeSettings, type Settings } from "../../lib/core/config.ts";
import { FakeClock } from "../support/fake_clock.ts";

const SERVER = "https://team.example";
const ANN = { id: "u1", name: "Ann", email: "ann@team.example" };

class World {
  readonly clock = new FakeClock();
  settings: Settings = {
    ...mergeSettings({ flags: {}, env: {}, file: {} }),
    remoteEnabled: true,
    serverUrl: SERVER,
    watchedWorkspaces: { w1: "ask" },
  };
  credentials: Credentials | undefined = { server: SERVER, token: "mul_1", user: ANN, expiresAt: null };
  /** The authorization of each request that went out. */
  readonly sent: string[] = [];
  status = 200;
  readonly link = new RemoteLink({
    server: SERVER,
    outward: {
      fetch: (request) => {
        this.sent.push(request.headers.get("authorization") ?? "");
        return Promise.resolve(Response.json({}, { status: this.status }));
      },
      [Symbol.dispose]() {},
    },
    clock: this.clock,
    settings: () => this.settings,
    credentials: () => this.credentials,
  });

  call(token = this.link.token()): Promise<Response> {
    const headers = { authorization: `Bearer ${token}` };
    return this.link.fetch(new Request(`${SERVER}/api/daemon/heartbeat`, { method: "POST", headers }));
  }
}

Deno.test("RemoteLink shows its token to its own server alone", async () => {
  const w = new World();
  const mine = w.credentials!;
  assertEquals([w.link.token(), w.link.view().login], ["mul_1", "untried"]);
  w.credentials = { ...mine, server: "https://other.example" };
  assertEquals([w.link.token(), w.link.view().login, w.link.view().user], ["", "elsewhere", null]);
  w.credentials = mine;
  w.settings = { ...w.settings, serverUrl: "https://other.example" };
  assertEquals([w.link.token(), w.link.watched("w1")], ["", undefined]);
  assertEquals((await w.call()).status, 401);
  assertEquals(w.sent, [], "without a token nothing is sent");
});

Deno.test("RemoteLink takes a new login for the next call, and says what mends a refused one", async () => {
  const w = new World();
  await w.call();
  assertEquals([w.link.view().login, w.link.view().how, w.link.view().lastContactAt], ["accepted", "", w.clock.now()]);
  w.status = 401;
  await w.call();
  assertEquals(w.link.view().login, "refused");
  assertEquals(w.link.view().how, "the server does not accept the token any more, log in again: drover login");
  w.credentials = undefined;
  assertEquals((await w.call()).status, 401);
  assertEquals([w.link.view().login, w.link.view().how], ["missing", "log in: drover login"]);
  w.credentials = { server: SERVER, token: "mul_2", user: null, expiresAt: null };
  assertEquals(w.link.view().login, "untried");
  w.status = 200;
  await w.call();
  assertEquals(w.link.view().login, "accepted");
  assertEquals(w.sent, ["Bearer mul_1", "Bearer mul_1", "Bearer mul_2"]);
});

Deno.test("RemoteLink does not take a task's token that is refused for its own", async () => {
  const w = new World();
  await w.call();
  w.status = 401;
  await w.call("mat_1");
  assertEquals([w.link.view().login, w.sent.at(-1)], ["accepted", "Bearer mat_1"]);
});

Deno.test("RemoteLink says that a token has expired before and after the server does", async () => {
  const w = new World();
  w.credentials = { ...w.credentials!, expiresAt: new Date(w.clock.now() - 1).toISOString() };
  assertEquals(w.link.view().login, "expired");
  w.status = 401;
  await w.call();
  assertEquals(w.link.view().how, "the token has expired, log in again: drover login");
  // Renewed, or by a clock that is wrong: the server's word counts.
  w.status = 200;
  await w.call();
  assertEquals(w.link.view().login, "accepted");
});

Deno.test("RemoteLink counts no answer of something in between as contact", async () => {
  const w = new World();
  w.status = 502;
  await w.call();
  assertEquals([w.link.view().lastContactAt, w.link.view().login], [null, "untried"]);
});

Deno.test("RemoteLink lists what the server has with the owner's word, and what is watched and gone", () => {
  const w = new World();
  w.settings = { ...w.settings, watchedWorkspaces: { w1: "ask", lost: "full" } };
  w.link.found([{ id: "w1", name: "One" }, { id: "w2", name: "Two" }]);
  assertEquals(w.link.view().workspaces, [
    { id: "w1", name: "One", policy: "ask" },
    { id: "w2", name: "Two", policy: null },
    { id: "lost", name: "", policy: "full" },
  ]);
  let told = 0;
  const listening = w.link.onChange(() => told++);
  w.link.changed();
  listening[Symbol.dispose]();
  w.link.changed();
  assertEquals(told, 1);
});
