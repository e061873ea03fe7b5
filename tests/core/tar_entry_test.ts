/** What an archive's header may say: one plain file, and nothing that leads elsewhere. */
import { assertEquals, assertThrows } from "@std/assert";
import { paddedSize, readTarHeader, TAR_BLOCK } from "../../lib/core/tar_entry.ts";
import { type TarEntry, tarOf } from "../support/release_files.ts";

function header(entry: TarEntry): Uint8Array {
  return tarOf([entry]).subarray(0, TAR_BLOCK);
}

Deno.test("a plain file is read, and a block of zeros is the end", () => {
  const body = new Uint8Array(700);
  assertEquals(readTarHeader(header({ name: "drover", body })), { kind: "entry", name: "drover", size: 700 });
  assertEquals(readTarHeader(new Uint8Array(TAR_BLOCK)), { kind: "end" });
  assertEquals([paddedSize(0), paddedSize(1), paddedSize(512), paddedSize(513)], [0, 512, 512, 1024]);
});

for (
  const [what, entry] of [
    ["a path upwards", { name: "../drover" }],
    ["an absolute path", { name: "/tmp/drover" }],
    ["a path", { name: "a/drover" }],
    ["a symbolic link", { name: "drover", type: "2", target: "/etc/passwd" }],
    ["a hard link", { name: "drover", type: "1", target: "/etc/passwd" }],
    ["a directory", { name: "drover", type: "5" }],
    ["a file that begins with a dot", { name: ".drover" }],
  ] as const
) {
  Deno.test(`${what} is refused`, () => void assertThrows(() => readTarHeader(header(entry)), Error, "failed"));
}

Deno.test("a damaged header is refused, wherever the damage is", () => {
  const good = header({ name: "drover", body: new Uint8Array(9) });
  for (let at = 0; at < TAR_BLOCK; at += 7) {
    const bad = good.slice();
    bad[at] = bad[at]! ^ 1;
    // The sum's own padding says nothing.
    if (at < 154 || at > 155) assertThrows(() => readTarHeader(bad));
  }
  assertThrows(() => readTarHeader(good.subarray(0, 100)), Error, "in the middle");
});
