/** Fingerprints: one digest by both ways of reading, and a look that sees what may have changed and never throws. */
import { assert, assertEquals, assertLess, assertNotEquals, assertRejects } from "@std/assert";
import { type FileMark, HostError, type Look } from "../../lib/core/ports.ts";
import { createFingerprints, WHOLE_FILE_BYTES } from "../../lib/host/fingerprint.ts";
import { type TempDirectory, tempDirectory } from "./temp_directory.ts";

const fingerprints = createFingerprints();

/** Bytes that differ from one chunk to the next, so that a chunk read twice or left out shows. */
async function fill(path: string, size: number): Promise<void> {
  const bytes = new Uint8Array(size);
  const words = new Uint32Array(bytes.buffer, 0, size >> 2);
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 0x9e3779b1);
  await Deno.writeFile(path, bytes);
}

async function sha256sum(path: string): Promise<string> {
  const { stdout } = await new Deno.Command("sha256sum", { args: [path], stderr: "inherit" }).output();
  return new TextDecoder().decode(stdout).split(" ")[0]!;
}

function markOf(look: Look): FileMark {
  assert("mark" in look, `no mark: ${JSON.stringify(look)}`);
  return look.mark;
}

const SIZES = [0, 1, 4096, WHOLE_FILE_BYTES - 1, WHOLE_FILE_BYTES, WHOLE_FILE_BYTES + 1, 3 * WHOLE_FILE_BYTES + 17];

Deno.test("Fingerprints.hashFile() gives what sha256sum gives, on both sides of the border between its two ways", async () => {
  await using dir = await tempDirectory();
  for (const size of SIZES) {
    await fill(dir.at("file"), size);
    assertEquals(await fingerprints.hashFile(dir.at("file")), await sha256sum(dir.at("file")), `${size} bytes`);
  }
});

Deno.test({
  name: "Fingerprints.hashFile() reads a file to its end whose size says that it is empty",
  ignore: Deno.build.os !== "linux",
  fn: async () => assertEquals(await fingerprints.hashFile("/proc/version"), await sha256sum("/proc/version")),
});

Deno.test("Fingerprints.hashFile() answers each of many askers with the digest of its own file", async () => {
  await using dir = await tempDirectory();
  const names = Array.from({ length: 20 }, (_, i) => dir.at(`f${i}`));
  for (const [i, name] of names.entries()) await Deno.writeTextFile(name, `content ${i}`);
  const asked = names.map((name) => fingerprints.hashFile(name));
  const missing = assertRejects(() => fingerprints.hashFile(dir.at("none")), HostError, "Cannot read");
  for (const [i, name] of names.entries()) assertEquals(await asked[i], await sha256sum(name));
  await missing;
  assertEquals(await fingerprints.hashFile(names[0]!), await sha256sum(names[0]!));
});

Deno.test("Fingerprints.hashFile() says why it cannot, and does not wait at a FIFO", async () => {
  await using dir = await tempDirectory();
  await new Deno.Command("mkfifo", { args: [dir.at("fifo")] }).output();
  const missing = await assertRejects(() => fingerprints.hashFile(dir.at("none")), HostError);
  assertEquals(missing.code, "not-found");
  await assertRejects(() => fingerprints.hashFile(dir.path), HostError, "It is not a file");
  await assertRejects(() => fingerprints.hashFile(dir.at("fifo")), HostError, "It is not a file");
});

Deno.test("Fingerprints.hashFile() rejects with the reason of an abort, before and during the work, and can be asked again", async () => {
  await using dir = await tempDirectory();
  await fill(dir.at("large"), 6 * WHOLE_FILE_BYTES);
  const reason = new Error("enough");
  const before = await assertRejects(() =>
    fingerprints.hashFile(dir.at("large"), { signal: AbortSignal.abort(reason) })
  );
  assertEquals(before, reason);
  const controller = new AbortController();
  const running = fingerprints.hashFile(dir.at("large"), { signal: controller.signal });
  const waiting = fingerprints.hashFile(dir.at("large"), { signal: controller.signal });
  const both = Promise.allSettled([running, waiting]);
  // Some turns of the event loop, so that it reads: the first of its 96 chunks is under way.
  for (let turn = 0; turn < 5; turn++) await Deno.stat(dir.path);
  controller.abort(reason);
  for (const one of await both) assertEquals(one, { status: "rejected", reason });
  assertEquals(await fingerprints.hashFile(dir.at("large")), await sha256sum(dir.at("large")));
});

Deno.test("Fingerprints.hashFile() reads one file after the other, and lets go of whoever stops waiting", async () => {
  await using dir = await tempDirectory();
  await fill(dir.at("large"), 6 * WHOLE_FILE_BYTES);
  await Deno.writeTextFile(dir.at("small"), "small");
  const order: string[] = [];
  const controller = new AbortController();
  const large = fingerprints.hashFile(dir.at("large")).then(() => order.push("large"));
  const left = fingerprints.hashFile(dir.at("small"), { signal: controller.signal }).catch(() => order.push("left"));
  const small = fingerprints.hashFile(dir.at("small")).then(() => order.push("small"));
  controller.abort();
  await Promise.all([large, left, small]);
  assertEquals(order, ["left", "large", "small"]);
});

Deno.test("Fingerprints.hashFile() lets the event loop go on while it reads a large file", async () => {
  await using dir = await tempDirectory();
  await fill(dir.at("large"), 8 * WHOLE_FILE_BYTES);
  // In turns and not in milliseconds, which on a busy machine measure the machine.
  let turns = 0;
  let hashing = true;
  const hashed = fingerprints.hashFile(dir.at("large")).finally(() => hashing = false);
  while (hashing) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    turns++;
  }
  await hashed;
  // At 2 GB/s, faster than any machine so far, it takes 32 ms, and every 16 ms others get their turn.
  assertLess(1, turns);
});

Deno.test("Fingerprints.look() marks a file by what its bytes cannot change without", async () => {
  await using dir = await tempDirectory();
  const path = `${await Deno.realPath(dir.path)}/tool`;
  await Deno.writeTextFile(path, "one", { mode: 0o755 });
  const first = await fingerprints.look(path);
  assertEquals(first.kind, "file");
  const mark = markOf(first);
  assertEquals([mark.realPath, mark.size, mark.mode & 0o111], [path, 3, 0o111]);
  assertEquals(await fingerprints.look(path), first);
  assertEquals(await fingerprints.look(path, mark), first);
  await Deno.writeTextFile(dir.at("new"), "two", { mode: 0o755 });
  await Deno.utime(dir.at("new"), new Date(mark.mtimeMs), new Date(mark.mtimeMs));
  await Deno.rename(dir.at("new"), path);
  assertNotEquals(markOf(await fingerprints.look(path, mark)).ino, mark.ino);
});

Deno.test("Fingerprints.look() sees by ctime what overwrites a file in place and sets its mtime back", async () => {
  await using dir = await tempDirectory();
  const path = dir.at("tool");
  await Deno.writeTextFile(path, "one", { mode: 0o755 });
  const before = markOf(await fingerprints.look(path));
  let after = before;
  // The runtime tells it in whole seconds: until the next one.
  while (after.ctimeMs === before.ctimeMs) {
    await Deno.writeTextFile(path, "two");
    await Deno.utime(path, new Date(before.mtimeMs), new Date(before.mtimeMs));
    after = markOf(await fingerprints.look(path));
  }
  assertEquals({ ...after, ctimeMs: 0 }, { ...before, ctimeMs: 0 });
});

async function installed(dir: TempDirectory): Promise<string> {
  const root = await Deno.realPath(dir.path);
  for (const name of ["versions/1", "versions/2", "bin"]) await Deno.mkdir(`${root}/${name}`, { recursive: true });
  await Deno.writeTextFile(`${root}/versions/1/tool`, "one", { mode: 0o755 });
  await Deno.writeTextFile(`${root}/versions/2/tool`, "two", { mode: 0o755 });
  await Deno.symlink("versions/1", `${root}/current`);
  await Deno.symlink("../current/tool", `${root}/bin/tool`);
  return root;
}

async function point(link: string, target: string): Promise<void> {
  await Deno.symlink(target, `${link}.new`);
  await Deno.rename(`${link}.new`, link);
}

Deno.test("Fingerprints.look() sees that a link on the way was given another target", async () => {
  await using dir = await tempDirectory();
  const root = await installed(dir);
  const before = markOf(await fingerprints.look(`${root}/bin/tool`));
  assertEquals(before.realPath, `${root}/versions/1/tool`);
  await point(`${root}/current`, "versions/2");
  assertEquals(markOf(await fingerprints.look(`${root}/bin/tool`, before)).realPath, `${root}/versions/2/tool`);
});

Deno.test("Fingerprints.follow() names the links of files and of directories, in order", async () => {
  await using dir = await tempDirectory();
  const root = await installed(dir);
  await Deno.symlink(`${root}/bin`, `${root}/path`);
  const links = [
    { path: `${root}/path`, target: `${root}/bin` },
    { path: `${root}/bin/tool`, target: `${root}/current/tool` },
    { path: `${root}/current`, target: `${root}/versions/1` },
  ];
  assertEquals(await fingerprints.follow(`${root}/path/tool`), links);
  assertEquals(await fingerprints.follow(`${root}/versions/1/tool`), []);
  await Deno.remove(`${root}/current`);
  assertEquals(await fingerprints.follow(`${root}/path/tool`), links.slice(0, 2));
  await Deno.symlink("loop", `${root}/loop`);
  assertEquals((await fingerprints.follow(`${root}/loop`)).length, 40);
});

Deno.test("Fingerprints.readStart() gives the first bytes, all of a short file, and nothing where there are none to read", async () => {
  await using dir = await tempDirectory();
  await Deno.writeTextFile(dir.at("script"), "#!/bin/sh\nexit 0\n");
  const text = async (path: string, max: number) => {
    const bytes = await fingerprints.readStart(path, max);
    return bytes && new TextDecoder().decode(bytes);
  };
  assertEquals(await text(dir.at("script"), 9), "#!/bin/sh");
  assertEquals(await text(dir.at("script"), 900), "#!/bin/sh\nexit 0\n");
  assertEquals(await text(dir.at("none"), 9), undefined);
  assertEquals(await text(dir.path, 9), undefined);
});

Deno.test("Fingerprints.look() has a kind for everything that is no program", async () => {
  await using dir = await tempDirectory();
  const root = await installed(dir);
  const kind = async (path: string) => (await fingerprints.look(path)).kind;
  assertEquals(await fingerprints.look(`${root}/none`), { kind: "missing", dangling: false });
  assertEquals(await fingerprints.look(`${root}/versions/1/tool/none`), { kind: "missing", dangling: false });
  await Deno.remove(`${root}/versions/1/tool`);
  assertEquals(await fingerprints.look(`${root}/bin/tool`), { kind: "missing", dangling: true });
  await Deno.chmod(`${root}/versions/2/tool`, 0o644);
  assertEquals(await kind(`${root}/versions/2/tool`), "not-executable");
  assertEquals(await fingerprints.look(root), { kind: "unreadable", why: "It is a directory" });
  await Deno.symlink("loop", `${root}/loop`);
  assertEquals(await kind(`${root}/loop`), "unreadable");
  await Deno.symlink(`${"x".repeat(300)}`, `${root}/long`);
  assertEquals(await kind(`${root}/long`), "unreadable");
});
