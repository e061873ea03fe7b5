/** Files: private modes, whole writes, and errors a caller can branch on. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { HostError, type HostErrorCode } from "../../lib/core/ports.ts";
import { createFiles } from "../../lib/host/files.ts";
import { tempDirectory } from "./temp_directory.ts";

const files = createFiles();

async function modeOf(path: string): Promise<number> {
  return (await Deno.lstat(path)).mode! & 0o7777;
}

async function fails(code: HostErrorCode, words: string, fn: () => Promise<unknown>): Promise<void> {
  const error = await assertRejects(fn, HostError, words);
  assertEquals(error.code, code, error.message);
  assert(!error.message.includes("os error"), error.message);
}

Deno.test("Files.writeAtomic() makes a private file, or one with the mode it was told", async () => {
  await using dir = await tempDirectory();
  await files.writeAtomic(dir.at("a"), "äöü\n");
  await files.writeAtomic(dir.at("b"), "", { mode: 0o700 });
  assertEquals(await files.readText(dir.at("a")), "äöü\n");
  assertEquals([await modeOf(dir.at("a")), await modeOf(dir.at("b"))], [0o600, 0o700]);
});

Deno.test("Files.writeAtomic() puts a new file in the place of the old one", async () => {
  await using dir = await tempDirectory();
  await Deno.writeTextFile(dir.at("a"), "a longer text than the next", { mode: 0o644 });
  const before = (await files.stat(dir.at("a")))!.ino;
  await files.writeAtomic(dir.at("a"), "new");
  assertEquals(await files.readText(dir.at("a")), "new");
  assertEquals(await modeOf(dir.at("a")), 0o600);
  assert((await files.stat(dir.at("a")))!.ino !== before);
  assertEquals(await files.list(dir.path), ["a"]);
});

Deno.test("Files.writeAtomic() writes a text of many megabytes whole", async () => {
  await using dir = await tempDirectory();
  const text = "0123456789abcdef".repeat(500_000);
  await files.writeAtomic(dir.at("a"), text);
  assert(await files.readText(dir.at("a")) === text);
});

Deno.test("Files.writeAtomic() keeps what was there, and leaves nothing beside it, when it fails", async () => {
  await using dir = await tempDirectory();
  await Deno.mkdir(dir.at("taken/inside"), { recursive: true });
  await assertRejects(() => files.writeAtomic(dir.at("taken"), "x"), HostError, `Cannot write ${dir.at("taken")}`);
  assertEquals([await files.list(dir.path), await files.list(dir.at("taken"))], [["taken"], ["inside"]]);
  await fails("not-found", "Cannot write", () => files.writeAtomic(dir.at("missing/a"), "x"));
});

Deno.test("Files.append() makes a private file and adds to it", async () => {
  await using dir = await tempDirectory();
  await files.append(dir.at("a"), "1\n");
  await files.append(dir.at("a"), "2\n");
  assertEquals(await files.readText(dir.at("a")), "1\n2\n");
  assertEquals(await modeOf(dir.at("a")), 0o600);
});

Deno.test("Files.append() leaves the mode of a file alone that is there", async () => {
  await using dir = await tempDirectory();
  await Deno.writeTextFile(dir.at("a"), "");
  await Deno.chmod(dir.at("a"), 0o644);
  await files.append(dir.at("a"), "1\n");
  assertEquals(await modeOf(dir.at("a")), 0o644);
});

Deno.test({
  name: "Files.append() calls a full disk by its name",
  ignore: Deno.build.os !== "linux",
  fn: () =>
    fails("no-space", "Cannot append to /dev/full: No space left on device", () => files.append("/dev/full", "x")),
});

Deno.test("Files.makeDirectory() makes private directories all the way and minds none that is there", async () => {
  await using dir = await tempDirectory();
  await files.makeDirectory(dir.at("a/b/c"));
  await files.makeDirectory(dir.at("a/b/c"));
  for (const name of ["a", "a/b", "a/b/c"]) assertEquals(await modeOf(dir.at(name)), 0o700, name);
  await Deno.writeTextFile(dir.at("file"), "");
  await assertRejects(
    () => files.makeDirectory(dir.at("file")),
    HostError,
    `Cannot create directory ${dir.at("file")}`,
  );
  await fails("not-found", "Cannot create directory", () => files.makeDirectory(dir.at("file/below")));
});

Deno.test("Files.remove() takes files and whole directories, and minds nothing that is not there", async () => {
  await using dir = await tempDirectory();
  await Deno.mkdir(dir.at("a/b"), { recursive: true });
  await Deno.writeTextFile(dir.at("a/b/c"), "");
  await files.remove(dir.at("a"));
  await files.remove(dir.at("a"));
  assertEquals(await files.list(dir.path), []);
});

Deno.test("Files.remove() removes a link and not what it leads to", async () => {
  await using dir = await tempDirectory();
  await Deno.mkdir(dir.at("target"));
  await Deno.writeTextFile(dir.at("target/kept"), "");
  await Deno.symlink(dir.at("target"), dir.at("link"));
  await files.remove(dir.at("link"));
  assertEquals([await files.list(dir.path), await files.list(dir.at("target"))], [["target"], ["kept"]]);
});

Deno.test("Files.stat() follows a link unless it is asked for the link itself", async () => {
  await using dir = await tempDirectory();
  await files.writeAtomic(dir.at("file"), "12345");
  await Deno.symlink(dir.at("file"), dir.at("link"));
  await Deno.symlink(dir.at("nowhere"), dir.at("broken"));
  const [followed, link] = [await files.stat(dir.at("link")), await files.stat(dir.at("link"), { link: true })];
  assertEquals([followed!.isFile, followed!.isSymlink, followed!.size, followed!.mode], [true, false, 5, 0o600]);
  assertEquals([link!.isFile, link!.isSymlink], [false, true]);
  assertEquals(followed!.ino, (await files.stat(dir.at("file")))!.ino);
  assertEquals(followed!.uid, Deno.uid());
  assertEquals([await files.stat(dir.at("none")), await files.stat(dir.at("broken"))], [undefined, undefined]);
  assert((await files.stat(dir.path))!.isDirectory);
  assertEquals(await files.stat(dir.at("file/below")), undefined);
});

Deno.test("Files.realPath() resolves links, Files.list() sorts, Files.chmod() sets the mode", async () => {
  await using dir = await tempDirectory();
  for (const name of ["b", "a", "c"]) await files.writeAtomic(dir.at(name), "");
  await Deno.symlink(dir.at("a"), dir.at("link"));
  assertEquals(await files.realPath(dir.at("link")), await Deno.realPath(dir.at("a")));
  assertEquals(await files.list(dir.path), ["a", "b", "c", "link"]);
  await files.chmod(dir.at("a"), 0o640);
  assertEquals((await files.stat(dir.at("a")))!.mode, 0o640);
});

Deno.test("Files errors say what could not be done to which file", async () => {
  await using dir = await tempDirectory();
  const none = dir.at("none");
  await fails("not-found", `Cannot read ${none}: No such file or directory`, () => files.readText(none));
  await fails("not-found", `Cannot list ${none}`, () => files.list(none));
  await fails("not-found", `Cannot resolve ${none}`, () => files.realPath(none));
  await fails("not-found", `Cannot change the mode of ${none}`, () => files.chmod(none, 0o600));
});

Deno.test("Files overwrites the very file that is there, keeps bytes as they are, links, and sets a time", async () => {
  await using dir = await tempDirectory();
  const [path, other] = [dir.at("file"), dir.at("other")];
  const bytes = new Uint8Array([0, 255, 10]);
  await files.writeAtomic(path, bytes, { mode: 0o640 });
  await Deno.link(path, other);
  assertEquals(await files.readBytes(other), bytes);
  await files.overwrite(path, bytes.subarray(0, 1));
  assertEquals(await files.readBytes(other), bytes.subarray(0, 1));
  assertEquals((await files.stat(path))!.mode, 0o640);
  await assertRejects(() => files.overwrite(dir.at("none"), bytes), HostError, "Cannot write");
  await files.symlink("file", dir.at("link"));
  assertEquals((await files.stat(dir.at("link"), { link: true }))!.isSymlink, true);
  await files.setModified(path, 1_000_000_000_000);
  assertEquals((await files.stat(dir.at("link")))!.mtimeMs, 1_000_000_000_000);
});
