/** The map of the sources is a page made from first lines, in the order of the layers. */
import { assertEquals } from "@std/assert";
import { renderMap } from "../../scripts/map.ts";

Deno.test("renderMap() lists folders in the order of the layers, unknown ones last, a row per file", () => {
  const page = renderMap([
    { path: "lib/zebra/z.ts", firstLine: "/** Stripes. */" },
    { path: "lib/cli/args.ts", firstLine: "/** Reads a | b. */" },
    { path: "lib/core/model.ts", firstLine: "/** The nouns. */" },
    { path: "lib/core/phase.ts", firstLine: "no comment" },
  ]);
  assertEquals(page.match(/^## .*/gm), ["## lib/core", "## lib/cli", "## lib/zebra"]);
  assertEquals(page.match(/^\| \[.*/gm), [
    "| [model.ts](core/model.ts) | The nouns. |",
    "| [phase.ts](core/phase.ts) |  |",
    "| [args.ts](cli/args.ts) | Reads a \\| b. |",
    "| [z.ts](zebra/z.ts) | Stripes. |",
  ]);
});
