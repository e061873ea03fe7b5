/** Lines of process tables, with the names people give to their programs. */
import { assertEquals } from "@std/assert";
import { parsePs, parsePsEnvironment, parseStat } from "../../lib/host/process_rows.ts";

Deno.test("parseStat() counts fields from behind the command name, whatever is in it", () => {
  const rest = "S 7 4242 4242 0 -1 4194560 51 0 0 0 0 0 0 0 20 0 1 0 299331 430080 0";
  assertEquals(parseStat(4242, `4242 (a) Z (b) ${rest}`), {
    pid: 4242,
    parent: 7,
    group: 4242,
    zombie: false,
    start: 299331,
  });
  assertEquals(parseStat(1, `1 (x) ${rest.replace("S", "Z")}`)?.zombie, true);
  assertEquals(parseStat(1, ""), undefined);
});

Deno.test("parsePs() reads a line of ps and knows a zombie", () => {
  assertEquals(parsePs("  501     1   77 Ss+  Sat Nov  1 05:01:31 2025    "), {
    pid: 501,
    parent: 1,
    group: 77,
    zombie: false,
    start: Date.UTC(2025, 10, 1, 5, 1, 31) / 1000,
  });
  assertEquals(parsePs("501 1 77 Z")?.zombie, true);
  assertEquals(parsePs("501 1 77 S no time")?.start, 0);
  assertEquals(parsePs(""), undefined);
});

Deno.test("parsePsEnvironment() finds a variable behind the command, and not inside another one", () => {
  const line = "/bin/sleep 600 HOME=/Users/a MARK=task-1 TERM=x";
  assertEquals(parsePsEnvironment(line, "MARK"), "task-1");
  assertEquals(parsePsEnvironment("/bin/sleep OTHER_MARK=task-1", "MARK"), undefined);
});
