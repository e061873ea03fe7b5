/** Descendants by sampling: who belongs to a child when no mark tells, and that nobody else is ever touched. */
import { assert, assertEquals } from "@std/assert";
import { createClock } from "../../lib/host/clock.ts";
import { descendants, Lineages } from "../../lib/host/lineage.ts";
import { createProcesses } from "../../lib/host/process.ts";
import type { ProcessRow } from "../../lib/host/process_rows.ts";
import { createProcessTable, type ProcessTable } from "../../lib/host/process_table.ts";
import { FakeClock } from "../support/fake_clock.ts";

const LIMIT_MS = 20_000;
const LINUX_ONLY = { ignore: Deno.build.os !== "linux" };

function row(pid: number, parent: number, more: Partial<ProcessRow> = {}): ProcessRow {
  return { pid, parent, group: pid, zombie: false, start: pid * 10, ...more };
}

const ROOT = new Map([[100, 1000]]);

Deno.test("descendants() finds children of children, in whatever groups they are", () => {
  const rows = [row(100, 1), row(101, 100, { group: 100 }), row(102, 101), row(103, 102), row(200, 1), row(201, 200)];
  assertEquals([...descendants(rows, ROOT).keys()].sort(), [100, 101, 102, 103]);
});

Deno.test("descendants() knows an orphan again that was seen before, and what it starts afterwards", () => {
  const before = descendants([row(100, 1), row(101, 100)], ROOT);
  const after = descendants([row(101, 1), row(105, 101), row(106, 1, { group: 101 })], before);
  assertEquals([...after.keys()].sort(), [101, 105, 106]);
});

Deno.test("descendants() forgets a pid that somebody else has by now, a zombie, and one of unknown start", () => {
  const known = new Map([[100, 1000], [101, 1010], [102, 1020], [103, 0]]);
  const rows = [row(101, 1, { start: 7 }), row(102, 1, { zombie: true }), row(103, 1, { start: 0 }), row(104, 101)];
  assertEquals(descendants(rows, known).size, 0);
});

Deno.test("Lineages looks once a second for all that watch, and never when nobody does", async () => {
  const clock = new FakeClock();
  let looks = 0;
  const look = () => Promise.resolve((looks++, [row(100, 1), row(101, 100), row(200, 1), row(201, 200)]));
  const lineages = new Lineages({ look, clock, everyMs: 1_000 });
  const first = lineages.watch({ pid: 100, start: 1000 });
  const second = lineages.watch({ pid: 200, start: 2000 });
  await clock.advance(3_000);
  assertEquals(looks, 3);
  const orphans = [row(101, 1), row(201, 1), row(300, 1)];
  assertEquals(first.among(orphans).map(({ pid }) => pid), [101]);
  assertEquals(second.among(orphans).map(({ pid }) => pid), [201]);
  first[Symbol.dispose]();
  second[Symbol.dispose]();
  await clock.advance(10_000);
  assertEquals([looks, clock.waiting], [3, 0]);
});

/** As on macOS, where the environment of some processes is not shown. */
function blind(): ProcessTable {
  return { ...createProcessTable(), marksAll: false, markOf: () => undefined, marksOf: () => new Map() };
}

function alive(pid: number): boolean {
  const found = createProcessTable().find(pid);
  return found !== undefined && !found.zombie;
}

Deno.test({
  name: "stop() ends a grandchild in a session of its own whose parent has gone, where marks cannot be read",
  ...LINUX_ONLY,
  async fn() {
    const clock = createClock();
    const processes = createProcesses({ clock, table: blind() });
    const child = processes.spawn({
      executable: "/bin/sh",
      // The middle one leaves as soon as it was seen, so that nothing in the table leads to the last any more.
      args: ["-c", "setsid sh -c 'setsid sleep 300 & echo $!; sleep 2' & wait; sleep 300"],
      cwd: "/",
      env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
      stdin: "null",
      mark: `test-${crypto.randomUUID()}`,
    });
    const stranger = new Deno.Command("/bin/sleep", { args: ["300"], stdin: "null" }).spawn();
    try {
      const reader = child.stdout.getReader();
      const pid = Number(new TextDecoder().decode((await reader.read()).value));
      reader.releaseLock();
      const parent = createProcessTable().find(pid)?.parent;
      assert(alive(pid) && parent !== undefined);
      const end = clock.monotonic() + LIMIT_MS;
      while (createProcessTable().find(pid)?.parent === parent) {
        assert(clock.monotonic() < end, "it was never orphaned");
        await clock.sleep(20);
      }
      const report = await child.stop({ graceMs: 200 });
      assertEquals([report.leftovers, alive(pid), alive(stranger.pid)], [[pid], false, true]);
    } finally {
      await child.stop();
      stranger.kill("SIGKILL");
      await stranger.status;
    }
  },
});
