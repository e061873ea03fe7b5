/** What is seen of all files of a program together. */
import { assertEquals, assertNotEquals } from "@std/assert";
import type { FileMark, Look } from "../../lib/core/ports.ts";
import { type SeenFile, sightOf } from "../../lib/core/reload_sight.ts";

const MARK: FileMark = { realPath: "/a", dev: 1, ino: 2, size: 3, mtimeMs: 4, ctimeMs: 5, mode: 0o755 };
const FILE: Look = { kind: "file", mark: MARK };
const DATA: Look = { kind: "not-executable", mark: { ...MARK, mode: 0o644 } };
const MISSING: Look = { kind: "missing", dangling: true };
const UNREADABLE: Look = { kind: "unreadable", why: "no permission" };

function files(program: Look, ...code: Look[]): SeenFile[] {
  return [{ role: "program", look: program }, ...code.map((look): SeenFile => ({ role: "code", look }))];
}

Deno.test("sightOf() sees a program only when every file of it is there", () => {
  const rows: [SeenFile[], string][] = [
    [files(FILE), "seen"],
    [files(FILE, DATA, FILE), "seen"],
    [files(DATA, FILE), "not-executable"],
    [files(FILE, MISSING), "missing"],
    [files(MISSING, FILE), "missing"],
    [files(UNREADABLE, MISSING), "missing"],
    [files(FILE, UNREADABLE), "unreadable"],
    [files(DATA, UNREADABLE), "not-executable"],
    [[...files(FILE), { role: "shim", look: DATA }], "not-executable"],
    [[...files(FILE), { role: "hint", look: DATA }], "seen"],
    [[...files(FILE), { role: "hint", look: MISSING }], "seen"],
    [[...files(FILE), { role: "hint", look: UNREADABLE }], "seen"],
    [[{ role: "shim", look: MISSING }], "missing"],
    [[], "missing"],
  ];
  for (const [seen, kind] of rows) assertEquals(sightOf(seen).kind, kind, JSON.stringify(seen));
});

Deno.test("sightOf() gives another mark when a hint appears", () => {
  const [without, appeared] = [MISSING, DATA].map((look) => sightOf([...files(FILE), { role: "hint", look }]));
  assertNotEquals(without, appeared);
});

Deno.test("sightOf() gives another mark for each fact of each file, and the same for the same", () => {
  const mark = (...marks: FileMark[]) => {
    const sight = sightOf(marks.map((mark) => ({ role: "code", look: { kind: "file", mark } })));
    return sight.kind === "seen" ? sight.mark : "";
  };
  const { realPath, ...rest } = MARK;
  assertEquals(mark({ ...rest, realPath }, MARK), mark(MARK, { ...MARK }));
  const others: Partial<FileMark>[] = [
    { realPath: "/b" },
    { dev: 9 },
    { ino: 9 },
    { size: 9 },
    { mtimeMs: 9 },
    { ctimeMs: 9 },
    { mode: 0o700 },
  ];
  for (const other of others) {
    assertNotEquals(mark({ ...MARK, ...other }), mark(MARK), JSON.stringify(other));
    assertNotEquals(mark(MARK, { ...MARK, ...other }), mark(MARK, MARK), JSON.stringify(other));
  }
});
