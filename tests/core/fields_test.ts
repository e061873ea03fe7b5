/** Objects checked field by field: what is taken, what is left out, and which field is named as wrong. */
import { assertEquals } from "@std/assert";
import {
  type Checks,
  isInteger,
  isListOf,
  isMapOf,
  isName,
  isObject,
  isOneOf,
  isPositive,
  isText,
  pick,
} from "../../lib/core/fields.ts";

interface Example {
  readonly name: string;
  readonly count: number;
  readonly words: readonly string[];
}

const CHECKS: Checks<Example> = { name: isName, count: isPositive, words: isListOf(isText) };

Deno.test("pick() takes the fields it knows and leaves out the others", () => {
  const value = { name: "a", count: 1, words: ["x"], more: true };
  assertEquals(pick(value, CHECKS), { value: { name: "a", count: 1, words: ["x"] } });
});

Deno.test("pick() names the first field that is missing, of another kind, or only inherited", () => {
  const good = { name: "a", count: 1, words: [] };
  const rows: [value: unknown, wrong: string][] = [
    [{ ...good, name: "" }, "name"],
    [{ ...good, count: 0, words: 1 }, "count"],
    [{ ...good, words: ["x", 1] }, "words"],
    [{ name: "a", count: 1 }, "words"],
    [Object.create(good), "name"],
    [JSON.parse('{ "__proto__": { "name": "a", "count": 1, "words": [] } }'), "name"],
    [null, ""],
    [[good], ""],
    ["name", ""],
    [undefined, ""],
  ];
  for (const [value, wrong] of rows) assertEquals(pick(value, CHECKS), { wrong }, JSON.stringify(value));
});

Deno.test("the checks tell JSON's kinds of values apart", () => {
  const values = ["", "a", 0, 1, -1, 1.5, 2 ** 60, NaN, true, null, undefined, [], ["a"], [1], {}, { a: "b" }, {
    a: 1,
  }];
  const taken = (check: (value: unknown) => boolean) => values.filter((value) => check(value));
  assertEquals(taken(isText), ["", "a"]);
  assertEquals(taken(isName), ["a"]);
  assertEquals(taken(isInteger), [0, 1, -1]);
  assertEquals(taken(isPositive), [1]);
  assertEquals(taken(isOneOf<unknown>("a", 1)), ["a", 1]);
  assertEquals(taken(isListOf(isText)), [[], ["a"]]);
  assertEquals(taken(isMapOf(isText)), [{}, { a: "b" }]);
  assertEquals(taken(isObject), [{}, { a: "b" }, { a: 1 }]);
});
