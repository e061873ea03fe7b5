/** The names inside a bundle: the same for the same program, wherever it was bundled. */
import { assertEquals, assertNotEquals } from "@std/assert";
import { canonical } from "../../scripts/bundle.ts";

/** A bundle of a machine: its chunks' hashes, and where it keeps packages. */
function bundled(hashes: { a: string; b: string; one: string; two: string }, home: string): Map<string, string> {
  const { a, b, one, two } = hashes;
  return new Map([
    ["main.js", `import "./chunk-${a}.js";\nawait import("./chunk-${b}.js");\n`],
    // Alike but for what they import, which is alike but for its text.
    [`chunk-${a}.js`, `import { x } from "./chunk-${one}.js";\n`],
    [`chunk-${b}.js`, `import { x } from "./chunk-${two}.js";\n`],
    [`chunk-${one}.js`, `// ../../${home}/npm/registry.example/zod/4.0.0/mini.js\nexport const x = 1;\n`],
    [`chunk-${two}.js`, `// lib/core/pace.ts\nexport const x = 2;\n`],
  ]);
}

Deno.test("canonical() gives the same files wherever the bundler ran", () => {
  const here = bundled({ a: "AAAAAAAA", b: "BBBBBBBB", one: "CCCCCCCC", two: "DDDDDDDD" }, "root/.cache/deno");
  const there = bundled({ a: "22222222", b: "33333333", one: "44444444", two: "55555555" }, "../Users/me/npm-cache");
  const files = canonical(here);
  assertEquals(files, canonical(there));
  assertEquals(files.size, 5);
  const text = [...files.values()].join("");
  assertEquals(text.includes("// npm/zod/4.0.0/mini.js\n"), true);
  assertEquals(text.includes("cache"), false);
  for (const [, name] of text.matchAll(/"\.\/(chunk-\w+\.js)"/g)) assertEquals(files.has(name!), true, name);
});

Deno.test("canonical() names a file after what is in it", () => {
  const hashes = { a: "AAAAAAAA", b: "BBBBBBBB", one: "CCCCCCCC", two: "DDDDDDDD" };
  const changed = bundled(hashes, "root");
  changed.set("chunk-DDDDDDDD.js", `// lib/core/pace.ts\nexport const x = 3;\n`);
  assertNotEquals([...canonical(bundled(hashes, "root")).keys()], [...canonical(changed).keys()]);
});

Deno.test("canonical() makes one of the empty files that the bundler leaves", () => {
  const files = new Map([
    ["main.js", `import "./chunk-AAAAAAAA.js";\nimport "./chunk-BBBBBBBB.js";\n`],
    ["chunk-AAAAAAAA.js", ""],
    ["chunk-BBBBBBBB.js", ""],
  ]);
  assertEquals(canonical(files).size, 2);
});
