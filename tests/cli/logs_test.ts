/** `drover logs --follow`: every line once, whenever it is written, and nothing of the file read twice. */
import { assert, assertEquals } from "@std/assert";
import type { CommandContext } from "../../lib/cli/command.ts";
import { logs } from "../../lib/cli/commands/logs.ts";
import { homeLayout } from "../../lib/core/home.ts";
import type { Files, SignalName } from "../../lib/core/ports.ts";
import { createFiles } from "../../lib/host/files.ts";
import { testHost } from "../app/test_host.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { eventually } from "../support/drover.ts";

async function world(dir: { at(name: string): string }, { onRead = () => {} }: { onRead?: () => void } = {}) {
  const base = testHost();
  const home = homeLayout(dir.at("home"));
  await Deno.mkdir(dir.at("home/logs"), { recursive: true });
  const shown: string[] = [];
  let read = 0;
  let end = () => {};
  const real = createFiles();
  const counted = async <T extends string | Uint8Array>(bytes: Promise<T>): Promise<T> => {
    const got = await bytes;
    read += got.length;
    onRead();
    return got;
  };
  const files: Files = {
    ...real,
    readText: (path) => counted(real.readText(path)),
    readBytes: (path) => counted(real.readBytes(path)),
    readRange: (path, range) => counted(real.readRange(path, range)),
  };
  const signals = {
    on(_: readonly SignalName[], heard: () => void) {
      end = heard;
      return { [Symbol.dispose]: () => {} };
    },
  };
  const line = (text: string) => shown.push(...text.split("\n"));
  const context = {
    host: { ...base.host, files, signals },
    home: () => home,
    output: { json: false, line, result: (_: unknown, human: () => void) => human() },
    args: { positional: [], values: { lines: "2" }, switches: new Set(["follow"]), lists: {} },
  } as unknown as CommandContext;
  return {
    path: home.logFile,
    shown,
    bytesRead: () => read,
    append: (text: string) => Deno.writeTextFileSync(home.logFile, text, { append: true }),
    /** Lets time pass until these are the lines on the screen. */
    async shows(...lines: string[]) {
      await eventually(async () => {
        await base.clock.advance(200);
        return JSON.stringify(shown) === JSON.stringify(lines);
      }, `these lines: ${lines}`);
    },
    async following<T>(play: () => Promise<T>) {
      const done = logs.run(context);
      try {
        await play();
      } finally {
        end();
        await done;
      }
    },
  };
}

Deno.test("logs --follow shows what was written right after the first look", async () => {
  await using dir = await tempDirectory();
  let late = 1;
  const w: Awaited<ReturnType<typeof world>> = await world(dir, {
    onRead: () => void (late-- > 0 && w.append("late\n")),
  });
  w.append("one\ntwo\nthree\n");
  await w.following(() => w.shows("two", "three", "late"));
});

Deno.test("logs --follow shows whole lines, each once, also of a file that begins anew, and reads nothing twice", async () => {
  await using dir = await tempDirectory();
  const w = await world(dir);
  const old = "x".repeat(100_000) + "\n";
  w.append(old + "two\nthr");
  await w.following(async () => {
    await w.shows(old.trim(), "two");
    const euro = new TextEncoder().encode("ee €\n");
    Deno.writeFileSync(w.path, euro.subarray(0, 4), { append: true });
    await w.shows(old.trim(), "two");
    Deno.writeFileSync(w.path, euro.subarray(4), { append: true });
    await w.shows(old.trim(), "two", "three €");
    w.append("four\n");
    await w.shows(old.trim(), "two", "three €", "four");
    assert(w.bytesRead() < 2 * old.length, `${w.bytesRead()} bytes were read`);
    await Deno.rename(w.path, `${w.path}.1`);
    // Longer than what was there before, so that its length says nothing.
    w.append("y".repeat(200_000) + "\nanew\n");
    await w.shows(old.trim(), "two", "three €", "four", "y".repeat(200_000), "anew");
    await Deno.truncate(w.path);
    await w.shows(old.trim(), "two", "three €", "four", "y".repeat(200_000), "anew");
    w.append("again\n");
    await w.shows(old.trim(), "two", "three €", "four", "y".repeat(200_000), "anew", "again");
  });
  assertEquals(w.shown.length, 7);
});
