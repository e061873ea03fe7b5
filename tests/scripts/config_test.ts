/** The two configurations describe the same program: one over the standard library on npm, one over that on JSR. */
import { assert, assertEquals } from "@std/assert";
import npm from "../../deno.json" with { type: "json" };
import jsr from "../../deno.jsr.json" with { type: "json" };

Deno.test("deno.jsr.json has the imports of deno.json, the standard library from JSR and everything in an exact version", () => {
  assertEquals(Object.keys(jsr.imports).sort(), Object.keys(npm.imports).sort());
  for (const [name, specifier] of Object.entries(jsr.imports)) {
    if (!name.startsWith("@std/")) assertEquals(specifier, npm.imports[name as keyof typeof npm.imports], name);
    assert(/^(jsr:@std|npm:(@[a-z]+\/)?[a-z]+)(\/[a-z]+)?@\d+\.\d+\.\d+(\/[a-z0-9./-]+)?$/.test(specifier), specifier);
    assertEquals(specifier.startsWith("jsr:"), name.startsWith("@std/"), name);
  }
});

Deno.test("deno.jsr.json has the version and the strictness of deno.json, without the stand-in types", () => {
  const { types, ...strictness } = npm.compilerOptions;
  assertEquals(jsr.compilerOptions, strictness);
  assertEquals(types, ["./lib/std.d.ts"]);
  assertEquals([jsr.name, jsr.version, jsr.exports], [npm.name, npm.version, npm.exports]);
});
