/** Which database is meant: option, variable and default, and that a password is neither accepted in an option nor ever shown. */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { type Database, databaseName, DatabaseSettingError, readDatabase } from "../../lib/coordinator/database.ts";
import { postgresText, sqliteText } from "../../lib/coordinator/dialect.ts";

const SECRET = "postgres://me:hunter2@db.example:5433/work?sslmode=require";
const FILE = "/home/me/.drover/coordinator.db";

const READ: [string, string | undefined, Record<string, string>, Database][] = [
  ["nothing is the file of the home", undefined, {}, { kind: "sqlite", path: FILE }],
  ["an empty variable is nothing", undefined, { DROVER_DATABASE: "" }, { kind: "sqlite", path: FILE }],
  ["the variable names a server", undefined, { DROVER_DATABASE: SECRET }, { kind: "postgres", url: SECRET }],
  ["the option wins", "/tmp/x.db", { DROVER_DATABASE: SECRET }, { kind: "sqlite", path: "/tmp/x.db" }],
  ["the option names another variable", "env:PG", { PG: SECRET, DROVER_DATABASE: "y" }, {
    kind: "postgres",
    url: SECRET,
  }],
  ["the option names a server without a password", "postgresql://me@h/w", {}, {
    kind: "postgres",
    url: "postgresql://me@h/w",
  }],
];
for (const [name, option, env, want] of READ) {
  Deno.test(`readDatabase(): ${name}`, () => assertEquals(readDatabase({ option, env, file: FILE }), want));
}

const REFUSED: [string, string | undefined, Record<string, string>, string][] = [
  ["a password in the option", SECRET, {}, "--database env:DROVER_DATABASE"],
  ["a password in the option's query", "postgres://h/w?password=hunter2", {}, "--database env:DROVER_DATABASE"],
  ["a variable that is not set", "env:PG", {}, "PG is not set"],
  ["another kind of server", undefined, { DROVER_DATABASE: "mysql://me:hunter2@h/w" }, "DROVER_DATABASE"],
  ["an address that is none", undefined, { DROVER_DATABASE: "postgres://me:hunter2@h:port/w" }, "no address"],
  ["an empty option", "", {}, "--database"],
];
for (const [name, option, env, part] of REFUSED) {
  Deno.test(`readDatabase() refuses ${name}, and does not repeat it`, () => {
    const error = assertThrows(() => readDatabase({ option, env, file: FILE }), DatabaseSettingError);
    assertStringIncludes(error.message, part);
    assert(!Deno.inspect(error).includes("hunter2"), Deno.inspect(error));
  });
}

Deno.test("databaseName() shows where a database is and nothing secret", () => {
  assertEquals(databaseName({ kind: "postgres", url: SECRET }), "postgres://db.example:5433/work");
  const socket = "postgres:///work?host=/run/pg&password=hunter2";
  assertEquals(databaseName({ kind: "postgres", url: socket }), "postgres:///run/pg/work");
  assertEquals(databaseName({ kind: "sqlite", path: FILE }), FILE);
});

Deno.test("postgresText() numbers parameters, once each, and leaves casts and literals alone", () => {
  const { text, names } = postgresText("SELECT a::text FROM t INDEXED BY i WHERE b = :b AND c < :now AND d > :b");
  assertEquals(text, "SELECT a::text FROM t WHERE b = $1 AND c < $2 AND d > $1");
  assertEquals(names, ["b", "now"]);
});

Deno.test("sqliteText() leaves out the locks of rows", () => {
  const sql = "SELECT 1 FROM t AS a WHERE b = :b\nFOR NO KEY UPDATE OF a; SELECT (SELECT 1\n  FOR UPDATE SKIP LOCKED)";
  assertEquals(sqliteText(sql), "SELECT 1 FROM t AS a WHERE b = :b; SELECT (SELECT 1)");
});
