/** When a program is believed to be replaced: every way of replacing one, as timelines, and what holds on any history. */
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import {
  confirmedChange,
  lookAgainMs,
  mayLaunch,
  RELOAD,
  startWatch,
  stepWatch,
  unsettled,
  type WatchNews,
  type WatchState,
} from "../../lib/core/reload.ts";
import { randomFrom, seedOfRun } from "./seed.ts";
import { TICK_MS, WatchedDisk } from "./watched_disk.ts";

interface Row {
  readonly what: string;
  readonly act: (disk: WatchedDisk) => void;
  readonly state: WatchState["kind"];
  /** What is registered in the end; "old" at first. */
  readonly version?: string;
  readonly news: readonly WatchNews[];
}

const ROWS: readonly Row[] = [
  {
    what: "an atomic rename",
    act: (disk) => disk.rename("new"),
    state: "unchanged",
    version: "new",
    news: ["settling", "changed"],
  },
  {
    what: "an overwrite in place",
    act: (disk) => disk.overwrite("new"),
    state: "unchanged",
    version: "new",
    news: ["settling", "changed"],
  },
  {
    what: "an overwrite of the same size with its old mtime",
    act: (disk) => disk.overwrite("nEw", { keepMtime: true }),
    state: "unchanged",
    version: "nEw",
    news: ["settling", "changed"],
  },
  {
    what: "a downgrade to what was there before the last upgrade",
    act: (disk) => {
      disk.rename("new");
      disk.ticks(3);
      disk.rename("old");
    },
    state: "unchanged",
    version: "old",
    news: ["settling", "changed", "settling", "changed"],
  },
  {
    what: "a reinstallation of the same bytes",
    act: (disk) => disk.rename("old"),
    state: "unchanged",
    version: "old",
    news: [],
  },
  { what: "a touch", act: (disk) => disk.touch(), state: "unchanged", version: "old", news: [] },
  {
    what: "a copy that takes ten seconds",
    act: (disk) => {
      for (let n = 1; n <= 10; n++) {
        disk.overwrite("new".repeat(n));
        disk.pass(1_000);
      }
      disk.overwrite("new");
    },
    state: "unchanged",
    version: "new",
    news: ["settling", "changed"],
  },
  {
    what: "an npm upgrade: nothing, then a stub, then the program",
    act: (disk) => {
      disk.answers.set("stub", { kind: "nothing" });
      disk.remove();
      disk.pass(2_800);
      disk.rename("stub");
      disk.pass(90);
      disk.rename("new");
    },
    state: "unchanged",
    version: "new",
    news: ["settling", "changed"],
  },
  {
    what: "a stub that stays",
    act: (disk) => {
      disk.answers.set("stub", { kind: "nothing" });
      disk.rename("stub");
    },
    state: "changed",
    version: "old",
    news: ["settling"],
  },
  {
    what: "a truncated file that does not start",
    act: (disk) => {
      disk.answers.set("", { kind: "refused" });
      disk.overwrite("");
      disk.ticks(10);
    },
    state: "absent",
    news: ["settling", "withdrawn"],
  },
  {
    what: "a truncated file that is put right before long",
    act: (disk) => {
      disk.answers.set("", { kind: "refused" });
      disk.overwrite("");
      disk.ticks(1);
      disk.rename("old");
    },
    state: "reverted",
    version: "old",
    news: ["settling", "settling", "reverted"],
  },
  {
    what: "a removal of forty seconds",
    act: (disk) => {
      const { file } = disk;
      disk.remove();
      disk.pass(40_000);
      disk.file = file;
    },
    state: "unchanged",
    version: "old",
    news: ["settling", "back"],
  },
  {
    what: "a removal of five minutes",
    act: (disk) => {
      disk.remove();
      disk.pass(300_000);
      disk.rename("old");
    },
    state: "unchanged",
    version: "old",
    news: ["settling", "withdrawn", "appeared"],
  },
  {
    what: "a removal for good",
    act: (disk) => {
      disk.remove();
      disk.ticks(100);
    },
    state: "absent",
    news: ["settling", "withdrawn"],
  },
  {
    what: "a permission that is dropped and given back",
    act: (disk) => {
      disk.chmod(0o644);
      disk.pass(20_000);
      disk.chmod(0o755);
    },
    state: "unchanged",
    version: "old",
    news: ["settling", "back"],
  },
  {
    what: "a permission that is dropped for good",
    act: (disk) => {
      disk.chmod(0o644);
      disk.ticks(10);
    },
    state: "absent",
    news: ["settling", "withdrawn"],
  },
  {
    what: "a directory that may not be read for hours",
    act: (disk) => {
      disk.unreadable = true;
      disk.ticks(400);
    },
    state: "unreadable",
    version: "old",
    news: [],
  },
  {
    what: "a directory that may be read again",
    act: (disk) => {
      disk.unreadable = true;
      disk.ticks(400);
      disk.unreadable = false;
    },
    state: "unchanged",
    version: "old",
    news: ["back"],
  },
  {
    what: "a cache that runs a newer version, the files as they were",
    act: (disk) => {
      disk.everyMs = 10 * 60_000;
      disk.runsInstead = "new";
      disk.pass(disk.everyMs);
    },
    state: "unchanged",
    version: "new",
    news: ["changed"],
  },
  {
    what: "a launcher with the same bytes that starts something newer",
    act: (disk) => {
      disk.runsInstead = "new";
      disk.rename("old");
    },
    state: "unchanged",
    version: "new",
    news: ["changed"],
  },
];

for (const row of ROWS) {
  Deno.test(`stepWatch() judges ${row.what}`, () => {
    const disk = new WatchedDisk("old").ticks(10).told();
    disk.pass(12_345);
    row.act(disk);
    disk.ticks(2).is(row.state, row.version).told(...row.news);
    disk.ticks(20).is(row.state, row.version).told(...row.news);
  });
}

Deno.test("stepWatch() finds by a full hash, at the latest, what left no trace in the mark", () => {
  const disk = new WatchedDisk("old").ticks(10);
  disk.file = { ...disk.file!, bytes: "nEw" };
  disk.ticks(30).is("unchanged", "old");
  disk.pass(RELOAD.fullHashMs).is("unchanged", "nEw").told("settling", "changed");
});

Deno.test("stepWatch() is not fooled by two changes within one second of the clock that files are stamped with", () => {
  const disk = new WatchedDisk("old").ticks(10);
  disk.pass(-disk.now % 1_000 + 1_000);
  disk.overwrite("neW", { keepMtime: true });
  disk.look();
  disk.now += 500;
  disk.overwrite("new", { keepMtime: true });
  disk.ticks(2).is("unchanged", "new");
  disk.rename("new");
  disk.look();
  disk.now += 400;
  disk.overwrite("nEw", { keepMtime: true });
  disk.ticks(2).is("unchanged", "nEw");
});

Deno.test("stepWatch() does not believe a digest before it was seen twice, two seconds apart", () => {
  let watch = startWatch({ digest: "a", version: "1" }, 0);
  const sight = (now: number) => {
    watch = stepWatch(watch, { kind: "sighted", sight: { kind: "seen", mark: "m", digest: "b" } }, now).watch;
    return watch.state.kind;
  };
  assertEquals([sight(100), sight(101), sight(100 + RELOAD.settleMs - 1)], ["replacing", "replacing", "replacing"]);
  assertEquals(sight(100 + RELOAD.settleMs), "changed");
  assertEquals(confirmedChange(watch), undefined);
  watch = stepWatch(watch, { kind: "probed", digest: "a", result: { kind: "version", version: "1" } }, 3_000).watch;
  assertEquals(confirmedChange(watch), undefined, "a probe of the old bytes says nothing about the new ones");
  watch = stepWatch(watch, { kind: "probed", digest: "b", result: { kind: "version", version: "2" } }, 3_000).watch;
  assertEquals(confirmedChange(watch)?.version, "2");
});

Deno.test("stepWatch() does not judge bytes by a probe before they are believed", () => {
  let watch = startWatch({ digest: "a", version: "1" }, 0);
  const sight = { kind: "seen", mark: "m", digest: "b" } as const;
  watch = stepWatch(watch, { kind: "sighted", sight }, 0).watch;
  for (const result of [{ kind: "version", version: "2" }, { kind: "refused" }] as const) {
    const next = stepWatch(watch, { kind: "probed", digest: "b", result }, 1);
    assertEquals([next.watch, next.news], [watch, []]);
  }
});

Deno.test("stepWatch() keeps a newer change when an older one is registered meanwhile", () => {
  const disk = new WatchedDisk("old").ticks(2);
  disk.registers = false;
  disk.rename("new");
  disk.ticks(2);
  disk.rename("newer");
  disk.ticks(2);
  const change = confirmedChange(disk.watch);
  disk.watch = stepWatch(disk.watch, { kind: "registered", digest: "new", version: "new" }, disk.now).watch;
  disk.is("changed", "new");
  assertEquals(confirmedChange(disk.watch), change);
});

Deno.test("stepWatch() keeps a change that only the version showed while the files come and go", () => {
  const disk = new WatchedDisk("old").ticks(2);
  disk.registers = false;
  disk.everyMs = 10 * 60_000;
  disk.runsInstead = "new";
  disk.pass(disk.everyMs).is("changed", "old");
  const change = confirmedChange(disk.watch);
  disk.remove();
  disk.pass(40_000).is("missing", "old");
  disk.rename("old");
  disk.ticks(2).is("changed", "old");
  assertEquals(confirmedChange(disk.watch), change);
  disk.runsInstead = undefined;
  disk.pass(disk.everyMs).is("reverted", "old");
});

Deno.test("stepWatch() forgets a change that is undone before anybody acted upon it", () => {
  const disk = new WatchedDisk("old").ticks(2);
  disk.registers = false;
  disk.rename("new");
  disk.ticks(2).is("changed", "old");
  assertEquals(confirmedChange(disk.watch)?.version, "new");
  disk.rename("old");
  disk.ticks(2).is("reverted", "old").told("settling", "changed", "settling", "reverted");
  assertEquals(confirmedChange(disk.watch), undefined);
});

Deno.test("stepWatch() takes the newest of two upgrades and counts the wait from the first", () => {
  const disk = new WatchedDisk("old").ticks(2);
  disk.registers = false;
  disk.rename("new");
  disk.ticks(2);
  const { since } = confirmedChange(disk.watch)!;
  disk.rename("newer");
  disk.look();
  assert(unsettled(disk.watch));
  assertEquals(confirmedChange(disk.watch), undefined, "nothing acts while it is being replaced again");
  disk.ticks(2);
  assertEquals(confirmedChange(disk.watch), { since, digest: "newer", by: "bytes", version: "newer" });
  disk.registers = true;
  disk.ticks(2).is("unchanged", "newer").told("settling", "changed", "settling", "changed");
});

Deno.test("stepWatch() registers a program that appears, and one that was rejected only when its bytes change", () => {
  const disk = new WatchedDisk(undefined).ticks(5).is("absent").told();
  disk.rename("first");
  disk.ticks(2).is("unchanged", "first").told("appeared");
  disk.watch = stepWatch(disk.watch, { kind: "rejected", digest: "first" }, disk.now).watch;
  disk.is("absent").touch();
  disk.ticks(200).is("absent").told("appeared");
  disk.rename("second");
  disk.ticks(2).is("unchanged", "second").told("appeared", "appeared");
});

Deno.test("stepWatch() does not bring a program back for an answer that came late", () => {
  const disk = new WatchedDisk("old").ticks(2);
  disk.remove();
  disk.ticks(10).is("absent");
  disk.watch = stepWatch(disk.watch, { kind: "registered", digest: "old", version: "old" }, disk.now).watch;
  disk.is("absent");
});

Deno.test("stepWatch() takes the first bytes that lie still for the registered ones, if their version is the same", () => {
  const disk = new WatchedDisk("old", "old");
  assertEquals(mayLaunch(disk.watch), "go");
  disk.ticks(1).is("unchanged", "old").told();
  assertEquals([disk.watch.registered, disk.probes, disk.hashes], [{ digest: "old", version: "old" }, 1, 2]);
  disk.ticks(1_000).is("unchanged", "old").told();
  assertEquals(disk.probes, 1);
  disk.rename("new");
  disk.ticks(2).is("unchanged", "new").told("settling", "changed");
});

Deno.test("stepWatch() registers what was replaced between its registration and the first look", () => {
  const disk = new WatchedDisk("new", "old").ticks(1).is("unchanged", "new").told("changed");
  assertEquals(disk.watch.registered, { digest: "new", version: "new" });
  const moving = new WatchedDisk("old", "old");
  moving.look();
  moving.rename("new");
  moving.look();
  assertEquals(mayLaunch(moving.watch), "wait");
  moving.ticks(1).is("unchanged", "new").told("settling", "changed");
  const going = new WatchedDisk("old", "old");
  going.remove();
  going.look();
  assertEquals(mayLaunch(going.watch), "wait");
  going.rename("old");
  going.ticks(1).is("unchanged", "old").told("settling");
  const dumb = new WatchedDisk("old", "old");
  dumb.answers.set("old", { kind: "nothing" });
  dumb.ticks(100).is("unchanged", "old").told();
  assertEquals([mayLaunch(dumb.watch), dumb.probes < 10], ["go", true]);
});

Deno.test("needsProbe() asks less and less while the answer stays the same or there is none", () => {
  const churning = new WatchedDisk("old");
  const dumb = new WatchedDisk("old").ticks(2);
  dumb.answers.set("stub", { kind: "nothing" });
  dumb.rename("stub");
  for (let hour = 0; hour < 10; hour++) {
    for (let tick = 0; tick < 120; tick++) {
      churning.rename("old");
      churning.ticks(1);
      dumb.ticks(1);
    }
  }
  churning.is("unchanged", "old").told();
  const touched = new WatchedDisk("old").ticks(2);
  touched.touch();
  assertEquals(touched.ticks(1_000).probes, 1);
  dumb.is("changed", "old").told("settling");
  // Seven while the gap doubles to half an hour, then two an hour.
  assertLessOrEqual(churning.probes, 7 + 20);
  assertLessOrEqual(dumb.probes, 7 + 20);
  assert(dumb.probes >= 20 && churning.probes >= 20, `${dumb.probes} and ${churning.probes} probes`);
});

Deno.test("stepWatch() says nothing and reads next to nothing over 10,000 idle ticks", () => {
  const disk = new WatchedDisk("old").ticks(10_000).is("unchanged", "old").told();
  assertEquals(disk.probes, 0);
  assertLessOrEqual(disk.hashes, 3 + 10_000 * TICK_MS / RELOAD.fullHashMs);
});

Deno.test("mayLaunch() holds a start while the program is being replaced and as long as its bytes are unproven", () => {
  const disk = new WatchedDisk("old").ticks(2);
  assertEquals(mayLaunch(disk.watch), "go");
  disk.remove();
  disk.look();
  assertEquals(mayLaunch(disk.watch), "wait");
  assertEquals(lookAgainMs(disk.watch, TICK_MS), RELOAD.settleMs);
  disk.answers.set("stub", { kind: "nothing" });
  disk.rename("stub");
  disk.ticks(2).is("changed", "old");
  assertEquals(mayLaunch(disk.watch), "wait");
  disk.remove();
  disk.ticks(10).is("absent");
  assertEquals(mayLaunch(disk.watch), "no");
  assertEquals(lookAgainMs(disk.watch, TICK_MS), TICK_MS);
  disk.rename("new");
  disk.look();
  assertEquals(mayLaunch(disk.watch), "wait", "it is there again");
  disk.ticks(2).is("unchanged", "new");
  disk.unreadable = true;
  disk.ticks(2);
  assertEquals(mayLaunch(disk.watch), "go", "what cannot be read can perhaps be started");
});

type Deed = (disk: WatchedDisk, bytes: string) => void;

const DEEDS: readonly Deed[] = [
  (disk, bytes) => disk.rename(bytes),
  (disk, bytes) => disk.overwrite(bytes),
  (disk, bytes) => disk.overwrite(bytes, { keepMtime: true }),
  (disk) => disk.remove(),
  (disk) => disk.touch(),
  (disk) => disk.chmod(0o644),
  (disk) => disk.chmod(0o755),
  (disk) => disk.unreadable = !disk.unreadable,
  (disk) => disk.registers = !disk.registers,
];

Deno.test("stepWatch() on any history believes only what lay still, and ends where the disk ends", () => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const upTo = (limit: number) => Math.floor(random() * limit);
  const ends = new Map<string, number>();
  for (let history = 0; history < 2_000; history++) {
    const where = `seed ${seed}, history ${history}`;
    const disk = new WatchedDisk(random() < 0.9 ? "a" : undefined, random() < 0.3 ? "a" : undefined);
    disk.answers.set("stub", { kind: "nothing" });
    disk.answers.set("broken", { kind: "refused" });
    for (let n = 0; n < 12; n++) {
      DEEDS[upTo(DEEDS.length)]!(disk, ["a", "b", "c", "stub", "broken"][upTo(5)]!);
      disk.pass(random() < 0.5 ? upTo(4_000) : upTo(200_000));
      assert(confirmedChange(disk.watch) === undefined || !unsettled(disk.watch), where);
    }
    disk.registers = true;
    disk.unreadable = false;
    disk.pass(2 * RELOAD.maxProbeGapMs + RELOAD.fullHashMs);
    const { file, watch } = disk;
    const usable = file !== undefined && (file.mode & 0o111) !== 0;
    ends.set(watch.state.kind, (ends.get(watch.state.kind) ?? 0) + 1);
    const good = usable && file.bytes !== "stub" && file.bytes !== "broken";
    if (good) {
      assertEquals(watch.registered, { digest: file.bytes, version: file.bytes }, `${where}: ${JSON.stringify(watch)}`);
    }
    if (!usable) assertEquals([watch.state.kind, watch.registered], ["absent", undefined], where);
    if (usable && file.bytes === "broken") assertEquals(watch.state.kind, "absent", where);
    for (const { at, what } of disk.news) {
      if (what === "changed" || what === "appeared") {
        const saw = disk.looks.findLast((look) => look.at <= at)!.saw;
        assert(["a", "b", "c"].includes(saw), `${where}: ${what} at ${at} for ${saw}`);
        assertLessOrEqual(disk.sawOnly(at, saw), at - RELOAD.settleMs, `${where}: ${what} at ${at}`);
      }
      if (what === "withdrawn") {
        const since = Math.min(disk.sawOnly(at, "(missing)", "(not-executable)"), disk.sawOnly(at, "broken"));
        assertLessOrEqual(since, at - RELOAD.goneMs, `${where}: withdrawn at ${at}`);
      }
    }
    const quietFrom = disk.news.length;
    disk.ticks(200);
    assertEquals(disk.news.slice(quietFrom), [], `${where}: news of a disk that lies still`);
  }
  for (const kind of ["unchanged", "absent", "changed", "reverted"]) {
    assert(ends.has(kind), `seed ${seed}: never ${kind}`);
  }
});
