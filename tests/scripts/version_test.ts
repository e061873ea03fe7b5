/** A build's version: what a tag, a later commit, a changed file and a missing repository make of it. */
import { assert, assertEquals } from "@std/assert";
import { BUILD } from "../../lib/core/build_info.ts";
import { compareVersions, findVersion } from "../../lib/core/version.ts";
import { versionOf } from "../../scripts/version.ts";
import config from "../../deno.json" with { type: "json" };

const COMMIT = "0123456789ab";

Deno.test("versionOf() takes the tag's version only on a clean tag", () => {
  const cases: readonly (readonly [describe: string, version: string])[] = [
    ["v1.2.3", "1.2.3"],
    ["v1.2.3-rc.1", "1.2.3-rc.1"],
    ["v1.2.3-dirty", `1.3.0-dev+${COMMIT}.dirty`],
    ["v1.2.3-4-g0123456", `1.3.0-dev+${COMMIT}`],
    ["v1.2.3-4-g0123456-dirty", `1.3.0-dev+${COMMIT}.dirty`],
    ["0123456", `1.3.0-dev+${COMMIT}`],
    ["0123456-dirty", `1.3.0-dev+${COMMIT}.dirty`],
  ];
  for (const [describe, version] of cases) {
    assertEquals(versionOf("1.3.0", { describe, commit: COMMIT }), { version, commit: COMMIT }, describe);
  }
  assertEquals(versionOf("1.3.0", undefined), { version: "1.3.0-dev", commit: "" });
});

Deno.test("versionOf() orders a build between releases after the last and before the next", () => {
  const between = findVersion(versionOf("1.3.0", { describe: "v1.2.3-4-g0123456", commit: COMMIT }).version);
  const [last, next] = [findVersion("1.2.3"), findVersion("1.3.0")];
  assert(between && last && next);
  assert(compareVersions(last, between) < 0);
  assert(compareVersions(between, next) < 0);
});

Deno.test("BUILD calls a program run from source the next release's development version", () => {
  assertEquals(BUILD, { version: `${config.version}-dev`, commit: "", target: "", local: false, releases: "" });
});
