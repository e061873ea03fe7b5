/** The home's place and layout, and a socket path that fits the platform. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { controlSocket, homeLayout, homeRoot } from "../../lib/core/home.ts";

Deno.test("homeRoot() takes DROVER_HOME before HOME, and only absolute paths", () => {
  const rows: [Record<string, string>, string | undefined][] = [
    [{ DROVER_HOME: "/d", HOME: "/h" }, "/d"],
    [{ HOME: "/h" }, "/h/.drover"],
    [{ DROVER_HOME: "", HOME: "/h" }, "/h/.drover"],
    [{ DROVER_HOME: "/d//" }, "/d"],
    [{ DROVER_HOME: "/" }, "/"],
    [{ DROVER_HOME: "relative", HOME: "/h" }, undefined],
    [{ HOME: "relative" }, undefined],
    [{}, undefined],
  ];
  for (const [env, root] of rows) assertEquals(homeRoot(env), root, JSON.stringify(env));
});

Deno.test("homeLayout() keeps everything below the root", () => {
  const home = homeLayout("/h");
  for (const [name, path] of Object.entries(home)) {
    assert(name === "root" || path.startsWith("/h/"), `${name} is ${path}`);
  }
  assertEquals(new Set(Object.values(home)).size, Object.keys(home).length);
});

const INSTANCE = "01234567-89ab-4cde-8f01-23456789abcd";

Deno.test("controlSocket() lies in the home and names the instance", () => {
  const home = homeLayout("/home/me/.drover");
  const place = controlSocket(home, INSTANCE, { uid: 7, env: {} });
  assertEquals(place, { path: "/home/me/.drover/run/c-0123456789ab.sock", directory: "/home/me/.drover/run" });
  assertNotEquals(place.path, controlSocket(home, "f" + INSTANCE.slice(1), { uid: 7, env: {} }).path);
});

Deno.test("controlSocket() goes to a private directory of the user's when the home's path is too long", () => {
  const limit = 103 - "/run/c-0123456789ab.sock".length;
  const fits = homeLayout("/" + "h".repeat(limit - 1));
  const tooLong = homeLayout("/" + "h".repeat(limit));
  const wide = homeLayout("/" + "ü".repeat(limit / 2 + 1));
  assertEquals(controlSocket(fits, INSTANCE, { uid: 7, env: {} }).directory, fits.runDirectory);
  for (const home of [tooLong, wide]) {
    const inRuntime = controlSocket(home, INSTANCE, { uid: 7, env: { XDG_RUNTIME_DIR: "/run/user/7" } });
    assertEquals(inRuntime.path, "/run/user/7/drover-7/c-0123456789ab.sock");
    for (const XDG_RUNTIME_DIR of ["", "relative", "/" + "r".repeat(90)]) {
      const place = controlSocket(home, INSTANCE, { uid: 7, env: { XDG_RUNTIME_DIR } });
      assertEquals(place.directory, "/tmp/drover-7");
    }
  }
});
