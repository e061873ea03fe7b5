/** Version numbers as agent CLIs print them, and their order. */
import { assertEquals, assertExists } from "@std/assert";
import { compareVersions, findVersion, formatVersion } from "../../lib/core/version.ts";

function read(text: string): string | undefined {
  const found = findVersion(text);
  return found && formatVersion(found);
}

Deno.test("findVersion() reads the first version number in what a CLI prints", () => {
  const rows: [string, string | undefined][] = [
    ["2.1.328 (Claude Code)", "2.1.328"],
    ["codex-cli 0.99.0-alpha.3\n", "0.99.0-alpha.3"],
    ["v1.2.3", "1.2.3"],
    ["tool version 1.2.3, runtime 9.9.9", "1.2.3"],
    ["tool 1.2.3-rc.1.", "1.2.3-rc.1"],
    ["1.2.3-", "1.2.3"],
    ["1.2.3+build.5", "1.2.3"],
    ["10.20.30", "10.20.30"],
    ["1.2", undefined],
    ["", undefined],
    ["no number here", undefined],
  ];
  for (const [text, version] of rows) assertEquals(read(text), version, text);
});

Deno.test("compareVersions() orders by number, and a pre-release before its release", () => {
  const ascending = [
    "0.9.9",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0",
    "1.0.2",
    "1.0.10",
    "1.2.0",
    "2.0.0",
  ].map((text) => {
    const version = findVersion(text);
    assertExists(version);
    return version;
  });
  ascending.forEach((a, i) =>
    ascending.forEach((b, j) =>
      assertEquals(Math.sign(compareVersions(a, b)), Math.sign(i - j), `${formatVersion(a)} and ${formatVersion(b)}`)
    )
  );
});
