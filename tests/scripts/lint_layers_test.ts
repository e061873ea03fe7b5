/** The lint rules hold: each with what it refuses and the nearest thing that it must let pass. */
import { assertEquals } from "@std/assert";
import plugin from "../../scripts/lint_layers.ts";

/** Ids of the rules that object to a file of exactly this text. */
function lint(path: string, text: string): string[] {
  return Deno.lint.runPlugin(plugin, path, text).map((diagnostic) => diagnostic.id);
}

/** Like `lint`, below a good first line. */
function complaints(path: string, source: string): string[] {
  return lint(path, `/** A file for this test. */\n${source}\n`);
}

interface Example {
  readonly path: string;
  readonly source: string;
}

function each(examples: readonly Example[], expected: readonly string[]): void {
  for (const { path, source } of examples) {
    assertEquals(complaints(path, source), [...expected], `${path}: ${source}`);
  }
}

const inFolder = (path: string) => (source: string): Example => ({ path, source });
const inCore = inFolder("lib/core/x.ts");

Deno.test("layers refuses what the table does not allow, in every form of import", () => {
  each([
    inCore('import { a } from "../wire/a.ts";'),
    inCore('import type { A } from "../wire/a.ts";'),
    inCore('export { a } from "../wire/a.ts";'),
    inCore('export * from "../wire/a.ts";'),
    inCore('const a = import("../wire/a.ts");'),
    inCore('type A = import("../wire/a.ts").A;'),
    { path: "lib/daemon/x.ts", source: 'import { a } from "../coordinator/a.ts";' },
    { path: "lib/coordinator/x.ts", source: 'import { a } from "../daemon/a.ts";' },
    { path: "lib/wire/x.ts", source: 'import { a } from "../agents/a.ts";' },
    { path: "lib/host/x.ts", source: 'import { a } from "../wire/a.ts";' },
    { path: "lib/lifecycle/x.ts", source: 'import { a } from "../host/a.ts";' },
    { path: "lib/cli/commands/x.ts", source: 'import { a } from "../../daemon/a.ts";' },
    { path: "lib/cli/x.ts", source: 'const a = async () => (await import("../daemon/a.ts")).a;' },
    { path: "lib/cli/x.ts", source: 'type A = typeof import("../daemon/a.ts");' },
    { path: "lib/app/x.ts", source: 'import { a } from "../cli/a.ts";' },
    { path: "lib/app/x.ts", source: 'import { a } from "../../main.ts";' },
    { path: "lib/app/x.ts", source: 'import { a } from "../../tests/support/a.ts";' },
    { path: "main.ts", source: 'import { a } from "./lib/daemon/a.ts";' },
    { path: "lib/elsewhere/x.ts", source: 'import { a } from "./a.ts";' },
  ], ["drover/layers"]);
});

Deno.test("layers lets each folder import itself, what the table gives it, and packages by name", () => {
  each([
    inCore('import { a } from "./a.ts";'),
    inCore('import { join } from "@std/path";'),
    { path: "lib/wire/x.ts", source: 'import { a } from "../core/a.ts";' },
    { path: "lib/daemon/x.ts", source: 'import { a } from "../agents/a.ts";' },
    { path: "lib/cli/commands/x.ts", source: 'import { a } from "../args.ts"; import { b } from "../../app/b.ts";' },
    { path: "main.ts", source: 'import { a } from "./lib/cli/a.ts"; import { b } from "./lib/host/b.ts";' },
    { path: "tests/core/x_test.ts", source: 'import { a } from "../../lib/daemon/a.ts";' },
    { path: "lib/cli/x.ts", source: 'const a = async () => (await import("./commands/a.ts")).a;' },
    { path: "lib/cli/x.ts", source: 'type A = typeof import("../app/a.ts");' },
    { path: "scripts/x.ts", source: 'import { a } from "../lib/host/a.ts";' },
  ], []);
});

Deno.test("layers refuses what it cannot follow and what bypasses the pinned versions", () => {
  each([
    inCore("const a = (name: string) => import(name);"),
    inCore("const a = (name: string) => import(`./${name}.ts`);"),
    inCore('import { z } from "npm:zod@4";'),
    inCore('import { z } from "https://deno.land/x/zod/mod.ts";'),
  ], ["drover/layers"]);
});

Deno.test("layers judges a file by its place in the project, wherever the project lies", () => {
  const root = new URL("../..", import.meta.url).pathname;
  assertEquals(complaints(`${root}lib/core/x.ts`, 'import { a } from "../wire/a.ts";'), ["drover/layers"]);
  assertEquals(complaints(`${root}tests/x.ts`, 'import { a } from "../lib/wire/a.ts";'), []);
});

Deno.test("effects refuses the global in every form that reaches it", () => {
  each([
    inCore("Deno.exit(1);"),
    inCore("export const pid = Deno.pid;"),
    inCore("export type C = Deno.Conn;"),
    inCore('export const r = fetch("http://127.0.0.1/");'),
    inCore("export const f = { fetch };"),
    inCore("export const f = { now: performance };"),
    inCore("setTimeout(() => {}, 1);"),
    inCore("export const a = [console];"),
    inCore("export const t = Date.now();"),
    inCore('export const t = Date["now"]();'),
    inCore("export const t = new Date();"),
    inCore("export const t = Date();"),
    inCore("export const r = Math.random();"),
    inCore("export const r = crypto.randomUUID();"),
    inCore("export const s = AbortSignal.timeout(1);"),
    inCore("export const d = globalThis;"),
    inCore('import { join } from "node:path";'),
    inCore('import type { Stats } from "node:fs";'),
    inCore('import { exists } from "@std/fs";'),
    inCore('import { delay } from "@std/async";'),
    { path: "lib/daemon/log.ts", source: 'import { getLogger } from "@logtape/logtape";' },
    { path: "lib/coordinator/queue.ts", source: 'import { DatabaseSync } from "node:sqlite";' },
    { path: "lib/coordinator/store.ts", source: 'import { DatabaseSync } from "node:sqlite";' },
    { path: "lib/coordinator/store_sqlite.ts", source: 'import { readFileSync } from "node:fs";' },
    { path: "lib/coordinator/queue.ts", source: 'import { createHash } from "node:crypto";' },
  ], ["drover/effects"]);
});

Deno.test("effects lets names pass that only look like the global", () => {
  each([
    inCore("export const t = new Date(0);"),
    inCore("export const f = (fetch: (u: string) => void) => fetch('x');"),
    inCore("export function f({ fetch }: { fetch(u: string): void }) { return () => fetch('x'); }"),
    inCore("export function f(host: any) { const { console } = host; return console.log('x'); }"),
    inCore("export interface Connection { readonly fetch: typeof fetch; Deno(performance: number): void }"),
    inCore("export const call = (c: { fetch(): void }) => c.fetch();"),
    inCore("export const o = { process: 1, console: 2 };"),
    inCore("export const s = crypto.subtle;"),
    inCore("export class Clock { performance() { return 1; } }"),
    { path: "lib/host/x.ts", source: 'import { join } from "node:path"; Deno.exit(1);' },
    { path: "main.ts", source: "Deno.exit(1);" },
    { path: "tests/x_test.ts", source: "Deno.exit(1);" },
    { path: "lib/coordinator/store_sqlite.ts", source: 'import { DatabaseSync } from "node:sqlite";' },
    { path: "lib/coordinator/tokens.ts", source: 'import { createHash } from "node:crypto";' },
    { path: "lib/daemon/outbox.ts", source: 'import type { DatabaseSync } from "node:sqlite";' },
  ], []);
});

Deno.test("effects still sees a global beside an unrelated parameter of the same name", () => {
  const source = "export const f = (fetch: () => void) => fetch();\nexport const g = () => fetch('x');";
  assertEquals(complaints("lib/core/x.ts", source), ["drover/effects"]);
});

Deno.test("first-line asks for one doc comment that ends in a period", () => {
  for (
    const line of ["// What it is.", "/** What it is */", "/**\n * What it is.\n */", "/** . */", "const a = 1;", ""]
  ) {
    assertEquals(lint("lib/core/x.ts", `${line}\nexport {};\n`), ["drover/first-line"], line);
    assertEquals(lint("tests/core/x_test.ts", `${line}\nexport {};\n`), [], line);
  }
  assertEquals(lint("lib/core/x.ts", "/** What it is. */\n"), []);
  assertEquals(lint("scripts/x.ts", "#!/usr/bin/env deno\n/** What it is. */\n"), []);
  assertEquals(lint("lib/std.d.ts", "// Types.\n"), []);
});

Deno.test("file-size refuses more than 400 lines in the program, not in tests", () => {
  const lines = (count: number) => `/** Long. */\n${"export {};\n".repeat(count - 1)}`;
  assertEquals(lint("lib/core/x.ts", lines(400)), []);
  assertEquals(lint("lib/core/x.ts", lines(401)), ["drover/file-size"]);
  assertEquals(lint("tests/core/x_test.ts", lines(401)), []);
});

Deno.test("no-vague-name refuses names that say nothing", () => {
  for (const name of ["utils", "util", "helpers", "helper", "common", "common_test"]) {
    assertEquals(complaints(`lib/core/${name}.ts`, "export {};"), ["drover/no-vague-name"], name);
  }
  assertEquals(complaints("lib/core/common_ground.ts", "export {};"), []);
});

Deno.test("error-text asks for a capital letter and no final period", () => {
  each([
    inCore('throw new Error("cannot read x");'),
    inCore("throw new TypeError(`cannot read ${x}`);"),
    inCore('throw new Error("Cannot read x.");'),
    inCore("throw new Error(`Cannot read ${x}.`);"),
    inCore('throw new Error("Cannot read x: " + "it is gone.");'),
    inCore('throw new HostError("not-found", "cannot read x");'),
    inCore('throw new DroverError("internal", "interrupted");'),
  ], ["drover/error-text"]);
  each([
    inCore('throw new Error("Cannot read x");'),
    inCore("throw new Error(`${path} is not a file`);"),
    inCore("throw new Error(`Cannot read ${path}`);"),
    inCore('throw new Error("Waiting for x …");'),
    inCore('throw new HostError("not-found", "Cannot read x");'),
    inCore('throw new HostError("other", message);'),
    inCore('throw new DroverError("internal", "Interrupted");'),
    inCore('throw failed("cannot read x.");'),
  ], []);
});
