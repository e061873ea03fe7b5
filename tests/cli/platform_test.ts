/** Where drover does not run it says so, before it touches anything. */
import { assertEquals, assertMatch } from "@std/assert";
import { refusalOn } from "../../lib/cli/cli.ts";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";

Deno.test("drover runs on macOS and Linux", () => {
  assertEquals(["linux", "darwin"].map((os) => refusalOn(os, ["status"])), [undefined, undefined]);
});

Deno.test("on Windows it says what to do, for people and as JSON", () => {
  const { stream, text, code } = refusalOn("windows", ["status"])!;
  assertEquals([stream, code], ["err", EXIT_CODES.preflight.code]);
  assertMatch(text, /^drover: Cannot run on windows: drover runs on macOS and Linux\n {2}use WSL.*\n$/);
  const json = refusalOn("windows", ["status", "--json"])!;
  const { error, ok } = JSON.parse(json.text);
  assertEquals([json.stream, ok, error.code], ["out", false, "platform_unsupported"]);
});

Deno.test("elsewhere it says where it does run", () => {
  assertEquals(refusalOn("freebsd", [])!.text, "drover: Cannot run on freebsd: drover runs on macOS and Linux\n");
});
