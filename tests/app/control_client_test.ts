/** The control socket's client: what it makes of a daemon that hangs, and of one that is only quiet. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { userApiOver } from "../../lib/app/control_client.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import { FakeClock } from "../support/fake_clock.ts";

/** A stream of events whose server side the test holds. */
function scripted() {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>(undefined, { highWaterMark: 100 });
  const writer = writable.getWriter();
  const say = (text: string) => writer.write(new TextEncoder().encode(text));
  const fetch = () => Promise.resolve(new Response(readable, { headers: { "content-type": "text/event-stream" } }));
  return { fetch, say, writer };
}

Deno.test("follow() gives up on a daemon that says nothing for 20 s after it has connected", async () => {
  const clock = new FakeClock();
  const { fetch, writer } = scripted();
  const api = userApiOver(fetch, clock);
  const following = (async () => {
    for await (const _ of api.follow("t", { since: 0, signal: new AbortController().signal })) { /* nothing comes */ }
  })();
  await clock.advance(19_000);
  const outcome = assertRejects(() => following, DroverError);
  await clock.advance(2_000);
  const error = await outcome;
  assertEquals(error.code, "not_running");
  assertStringIncludes(error.message, "said nothing for 20 s");
  assertEquals(clock.waiting, 0, "no timer is left");
  await writer.close().catch(() => {});
});

Deno.test("follow() stays with a daemon that only gives signs of life", async () => {
  const clock = new FakeClock();
  const { fetch, say, writer } = scripted();
  const abort = new AbortController();
  let ended = "";
  const following = (async () => {
    for await (const _ of userApiOver(fetch, clock).follow("t", { since: 0, signal: abort.signal })) { /* nothing */ }
  })().catch((error) => void (ended = error.message));
  for (let i = 0; i < 20; i++) {
    await say(":\n\n");
    await clock.advance(5_000);
    assertEquals(ended, "");
  }
  await writer.close();
  await following;
  assertStringIncludes(ended, "closed");
});
