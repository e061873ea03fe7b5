/** Cutting the runtime out of a compiled program: what is kept, and what is refused. */
import { assertEquals, assertThrows } from "@std/assert";
import { withoutProgram } from "../../scripts/denort.ts";

/** `runtime`, then a program, then how long the program and this number are together. */
function compiled(runtime: string, program: string, length: number): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(`${runtime}${program}........`);
  new DataView(bytes.buffer).setBigUint64(bytes.length - 8, BigInt(length), true);
  return bytes;
}

Deno.test("withoutProgram() keeps exactly the runtime", () => {
  const runtime = withoutProgram(compiled("the runtime", "a program", "a program".length + 8));
  assertEquals(new TextDecoder().decode(runtime), "the runtime");
});

Deno.test("withoutProgram() refuses a file whose end names no program within it", () => {
  for (const length of [0, 8, "the runtimea program".length + 8, 1e9]) {
    assertThrows(() => withoutProgram(compiled("the runtime", "a program", length)), Error, `${length} bytes`);
  }
  assertThrows(() => withoutProgram(new Uint8Array(3)), Error, "3 bytes");
});
