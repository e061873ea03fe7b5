/** The hash of a skill bundle: the vector both sides must agree on, and what must change it. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { bundleHash, readBundle, readBundles, type SkillBundle } from "../../lib/wire/skill_bundles.ts";

const BUNDLE: SkillBundle = {
  source: "workspace",
  id: "sk-1",
  name: "demo",
  description: "d",
  hash: "",
  content: "hello\n",
  files: [{ path: "a.txt", content: "A" }, { path: "b/ü.txt", content: "é" }],
};
const VECTOR = "sha256:6ba78e66fd31eb25b85fcec855a29fc192e523771c4f0b72802e4d8992ffeea8";

Deno.test("bundleHash() agrees with the test vector of the protocol, in whatever order the files come", async () => {
  assertEquals(await bundleHash(BUNDLE), VECTOR);
  assertEquals(await bundleHash({ ...BUNDLE, files: BUNDLE.files.toReversed() }), VECTOR);
});

Deno.test("bundleHash() orders files by the bytes of their paths, not by UTF-16", async () => {
  const [private_, emoji] = [{ path: "\uffee.txt", content: "1" }, { path: "\u{1f600}.txt", content: "2" }];
  // UTF-16 has them the other way round, and the lengths of the parts do not tell.
  const hash = await bundleHash({ ...BUNDLE, files: [emoji, private_] });
  assertEquals(hash, await bundleHash({ ...BUNDLE, files: [private_, emoji] }));
  assertEquals(hash, "sha256:9bbfff7bdb447daf99285c8d74d1b20279991e7974448f2c4d8fff7bdee1ff9d");
});

Deno.test("bundleHash() differs for everything an agent would read differently", async () => {
  const changes: Partial<SkillBundle>[] = [
    { source: "builtin" },
    { id: "sk-2" },
    { name: "demo2" },
    { description: "" },
    { content: "hello" },
    { files: [] },
    { files: [{ path: "a.txt", content: "A" }, { path: "b/ü.txt", content: "e" }] },
    { files: [{ path: "a.tx", content: "tA" }, { path: "b/ü.txt", content: "é" }] },
  ];
  const hashes = await Promise.all(changes.map((change) => bundleHash({ ...BUNDLE, ...change })));
  assertEquals(new Set([...hashes, VECTOR]).size, changes.length + 1);
  assertEquals(await bundleHash({ ...BUNDLE, hash: "sha256:other" }), VECTOR);
});

Deno.test("readBundles() takes files that are null, and refuses what has no content", () => {
  const { files: _, ...bare } = BUNDLE;
  for (const files of [null, undefined, []]) {
    assertEquals(readBundles({ bundles: [{ ...bare, files }] })[0]!.files, []);
  }
  for (const value of [{}, { bundles: {} }, { bundles: [{ ...BUNDLE, content: null }] }]) {
    assertThrows(() => readBundles(value));
  }
  assert(readBundle({ ...BUNDLE, name: 7 }) === undefined);
});
