/** The place where JSON breaks: known mistakes, and the engine's own opinion of random ones. */
import { assertEquals } from "@std/assert";
import { jsonFault } from "../../lib/core/json_fault.ts";
import { randomFrom } from "./seed.ts";

const SOUND = '{"a": [1, -2.5e3, true, null, {}], "b\\u00e9": {"c": "d\\n", "e": []}}';

Deno.test("jsonFault() finds nothing in JSON", () => {
  for (const text of [SOUND, JSON.stringify(JSON.parse(SOUND), null, 2), "0", '""', " [] "]) {
    assertEquals(jsonFault(text), undefined, text);
  }
});

Deno.test("jsonFault() names the line and the column of the first mistake", () => {
  const cases: readonly [string, number, number][] = [
    ["", 1, 1],
    ["{", 1, 2],
    ["[1,\n 2,]", 2, 4],
    ['{"a": 1,}', 1, 9],
    ["{'a': 1}", 1, 2],
    ['{"a" 1}', 1, 6],
    ['{\n  "a": secret\n}', 2, 8],
    ['{"a": "b\nc"}', 1, 7],
    ['{"a": 1}}', 1, 9],
    ["[1}", 1, 3],
    ["1, 2", 1, 2],
    ["[01]", 1, 3],
    ["[1 2]", 1, 4],
  ];
  for (const [text, line, column] of cases) assertEquals(jsonFault(text), { line, column }, text);
});

Deno.test("jsonFault() takes for JSON what JSON.parse() takes for it", () => {
  const random = randomFrom(1);
  const pick = (from: string) => from.charAt(Math.floor(random() * from.length));
  for (let i = 0; i < 5_000; i++) {
    const at = Math.floor(random() * SOUND.length);
    const text = SOUND.slice(0, at) + pick('{}[],:"\\01 -.eEtn\n') + SOUND.slice(at + Math.floor(random() * 3));
    assertEquals(jsonFault(text) === undefined, parses(text), text);
  }
});

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
