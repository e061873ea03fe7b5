/** The manifest of a release: what a good one says, and that each field a hostile one could use is refused by its name. */
import { assertEquals, assertThrows } from "@std/assert";
import { readReleaseManifest } from "../../lib/wire/release_manifest.ts";

const SHA = "0123456789abcdef".repeat(4);

const BUILD = {
  archive: "drover-1.2.3-linux-x86_64.tar.gz",
  size: 35_000_000,
  sha256: SHA,
  binary_sha256: SHA,
  binary_size: 94_000_000,
  signatures: [{ key: "0123456789abcdef", signature: `${"A".repeat(86)}==` }],
};

const MANIFEST = {
  schema: 1,
  name: "drover",
  version: "1.2.3",
  commit: "0123456789ab",
  published_at: "2026-01-02T03:04:05.000Z",
  targets: { "linux-x86_64": BUILD },
  left_out: { "macos-x86_64": "its runtime cannot be had" },
  state: { writes: 1, readable_by: "0.1.0" },
};

function read(change: Record<string, unknown>) {
  return readReleaseManifest({ ...MANIFEST, ...change });
}

Deno.test("readReleaseManifest() reads a whole manifest, and ignores what it does not know", () => {
  assertEquals(readReleaseManifest(MANIFEST), MANIFEST as ReturnType<typeof readReleaseManifest>);
  assertEquals(readReleaseManifest({ ...MANIFEST, more: 1 }), readReleaseManifest(MANIFEST));
  const targets = { ...MANIFEST.targets, "plan9-mips": { archive: "../../etc" } };
  assertEquals(Object.keys(read({ targets }).targets), ["linux-x86_64"]);
  assertEquals(read({ left_out: undefined }).left_out, {});
  assertEquals(read({ commit: "" }).commit, "");
});

Deno.test("readReleaseManifest() names the field that is missing or not as it must be", () => {
  const cases: readonly (readonly [field: string, change: Record<string, unknown>])[] = [
    ["schema", { schema: 2 }],
    ["name", { name: "other" }],
    ["version", { version: "1.2.3/../../x" }],
    ["version", { version: undefined }],
    ["commit", { commit: "$(id)" }],
    ["published_at", { published_at: "yesterday" }],
    ["targets", { targets: [] }],
    ["state", { state: undefined }],
    ["state.readable_by", { state: { writes: 1, readable_by: "any" } }],
    ["state.writes", { state: { writes: -1, readable_by: "0.1.0" } }],
  ];
  for (const [field, change] of cases) {
    assertThrows(() => read(change), Error, `a release failed: ${field} is missing`, JSON.stringify(change));
  }
  for (const value of [undefined, null, "text", [], 3]) assertThrows(() => readReleaseManifest(value), Error, "failed");
});

Deno.test("readReleaseManifest() believes no target that leads elsewhere, is too large or is not whole", () => {
  const cases: readonly (readonly [field: string, change: Record<string, unknown>])[] = [
    ["archive", { archive: "../../../etc/passwd" }],
    ["archive", { archive: "drover-1.2.2-linux-x86_64.tar.gz" }],
    ["archive", { archive: "drover-1.2.3-linux-aarch64.tar.gz" }],
    ["size", { size: 0 }],
    ["size", { size: 1e12 }],
    ["size", { size: 1.5 }],
    ["sha256", { sha256: SHA.toUpperCase() }],
    ["binary_sha256", { binary_sha256: "" }],
    ["binary_size", { binary_size: 1e12 }],
    ["signatures", { signatures: undefined }],
    ["signatures", { signatures: Array.from({ length: 9 }, () => BUILD.signatures[0]) }],
    ["signatures.0.signature", { signatures: [{ ...BUILD.signatures[0], signature: "A" }] }],
  ];
  for (const [field, change] of cases) {
    const targets = { "linux-x86_64": { ...BUILD, ...change } };
    assertThrows(() => read({ targets }), Error, `targets.linux-x86_64.${field} is missing`, JSON.stringify(change));
  }
});

Deno.test("readReleaseManifest() is not confused by names that objects have by themselves", () => {
  const targets = JSON.parse(`{"__proto__": {"linux-x86_64": 1}, "constructor": 1, "toString": 1}`);
  assertEquals(Object.keys(read({ targets }).targets), []);
});
