/** Notices to a service manager: sent as datagrams, to a path or an abstract address, and never a trouble to us. */
import { assertEquals } from "@std/assert";
import { createNotices, withoutServiceVariables } from "../../lib/host/notices.ts";
import { eventually } from "../support/drover.ts";
import { notifySocket } from "../support/notify_socket.ts";
import { tempDirectory } from "./temp_directory.ts";

Deno.test({
  name: "each notice arrives as one datagram, in order",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using dir = await tempDirectory();
    await using socket = await notifySocket(dir.path);
    const notices = createNotices({ NOTIFY_SOCKET: socket.path }, 7);
    const sent = ["READY=1\nSTATUS=ünïcödé", "WATCHDOG=1", "STOPPING=1"];
    for (const text of sent) notices.send(text);
    await eventually(() => socket.notices.length === sent.length, "all arrive");
    assertEquals(socket.notices, sent);
  },
});

Deno.test("where nobody listens, or nobody asked, sending does nothing", async () => {
  await using dir = await tempDirectory();
  const places = [undefined, "", "relative", dir.at("nothing"), "@drover-test-nobody", "/".padEnd(300, "x"), dir.path];
  for (const place of places) createNotices(place === undefined ? {} : { NOTIFY_SOCKET: place }, 7).send("READY=1");
});

Deno.test("the watchdog's period is for the process it names", () => {
  const period = (env: Record<string, string>) => createNotices(env, 7).watchdogMs;
  const linux = Deno.build.os === "linux";
  const asked = { NOTIFY_SOCKET: "/x", WATCHDOG_USEC: "120000000" };
  assertEquals(period(asked), linux ? 120_000 : 0);
  assertEquals(period({ ...asked, WATCHDOG_PID: "7" }), linux ? 120_000 : 0);
  assertEquals(period({ ...asked, WATCHDOG_PID: "8" }), 0);
  assertEquals(period({ WATCHDOG_USEC: "120000000" }), 0);
  assertEquals(period({ ...asked, WATCHDOG_USEC: "soon" }), 0);
  assertEquals(period({ NOTIFY_SOCKET: "/x" }), 0);
});

Deno.test("what a manager means for one process reaches no other", () => {
  const env = {
    PATH: "/bin",
    NOTIFY_SOCKET: "/x",
    WATCHDOG_USEC: "1",
    WATCHDOG_PID: "7",
    INVOCATION_ID: "y",
    USER: "me",
  };
  assertEquals(withoutServiceVariables(env), { PATH: "/bin", USER: "me" });
});
