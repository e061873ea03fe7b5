/** The marker block: the user's bytes around it stay what they are. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { briefedPrompt, briefText, hasBlock, withBlock, withoutBlock } from "../../lib/daemon/brief.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("briefText() is the same for every task, with an agent's instructions at its end", () => {
  assertEquals(briefText("  Be brief.\n").endsWith("# Your instructions\n\nBe brief."), true);
  assertEquals(briefText("x"), briefText("x"));
  assertStringIncludes(briefText(""), "DROVER_TASK_ID");
  assertEquals([briefedPrompt("", "go"), briefedPrompt("b", "go")], ["go", "b\n\n# The task\n\ngo"]);
});

Deno.test("briefText() tells a team's agent how to call its server only where it can", () => {
  const [able, unable] = [briefText("Be brief.", "with-token"), briefText("Be brief.", "without-token")];
  for (const text of [able, unable]) {
    assertStringIncludes(text, "BLOCKED:");
    assertEquals(text.endsWith("# Your instructions\n\nBe brief."), true);
  }
  assertEquals([able.includes("$DROVER_TOKEN"), unable.includes("DROVER_TOKEN")], [true, false]);
  // An argument of a program can be read by everybody on the machine.
  assertEquals(/curl[^|\n]*Bearer/.test(able), false);
  assertEquals(briefText("x").includes("server"), false);
});

Deno.test("withoutBlock() gives back every byte that was there before withBlock()", () => {
  const texts = ["", "\n", "no end", "mine\r\n\r\n", "<!-- BEGIN my own -->\nx\n<!-- END my own -->\n", "\ufeffmine\n"];
  const files = [...texts.map(bytes), new Uint8Array([0, 255, 254, 10, 128])];
  for (const file of files) {
    const placed = withBlock(file, briefText("with <!-- END drover --> inside"));
    assertEquals(withoutBlock(placed), file);
    assertEquals([hasBlock(file), hasBlock(placed)], [false, true]);
    assertEquals(withBlock(placed, briefText("new")), withBlock(file, briefText("new")));
  }
});

Deno.test("withoutBlock() keeps what was written before and after the block meanwhile", () => {
  const placed = new TextDecoder().decode(withBlock(bytes("mine\n"), "b"));
  assertEquals(withoutBlock(bytes(`before\n${placed}after\n`)), bytes("before\nmine\nafter\n"));
  const cut = bytes(placed.slice(0, 70));
  assertEquals(withoutBlock(cut), cut);
});
