/** The lock: one holder at a time, whoever it is, and free as soon as that one is gone. */
import { assert, assertEquals, assertExists, assertRejects, assertStringIncludes } from "@std/assert";
import { deadline } from "@std/async";
import { type Clock, HostError, type Locks } from "../../lib/core/ports.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createLocks } from "../../lib/host/lock.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { tempDirectory } from "./temp_directory.ts";

const locks = await loaded(createClock());
const clock = new FakeClock();
const patient = await loaded(clock);

/** The library stays loaded for the life of a process: it is before any test counts what was left open. */
async function loaded(clock: Clock): Promise<Locks> {
  await using dir = await tempDirectory();
  const locks = createLocks(clock);
  (await locks.tryLock(dir.at("first.lock")))!.release();
  return locks;
}

Deno.test("tryLock() gives the lock to one of two handles of the same process", async () => {
  await using dir = await tempDirectory();
  const path = dir.at("a.lock");
  const first = await locks.tryLock(path);
  assertExists(first);
  assertEquals(await locks.tryLock(path), undefined);
  const other = await locks.tryLock(dir.at("b.lock"));
  assertExists(other);
  first.release();
  using second = await locks.tryLock(path);
  assertExists(second);
  assertEquals(second.path, path);
  other.release();
});

Deno.test("Lock.release() twice frees nothing that belongs to the next holder", async () => {
  await using dir = await tempDirectory();
  const path = dir.at("a.lock");
  const first = await locks.tryLock(path);
  first!.release();
  using second = await locks.tryLock(path);
  assertExists(second);
  first!.release();
  first![Symbol.dispose]();
  assertEquals(await locks.tryLock(path), undefined);
});

Deno.test("tryLock() creates a private file and never deletes it or what is in it", async () => {
  await using dir = await tempDirectory();
  const path = dir.at("a.lock");
  (await locks.tryLock(path))!.release();
  assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
  await Deno.writeTextFile(path, "kept");
  (await locks.tryLock(path))!.release();
  assertEquals(await Deno.readTextFile(path), "kept");
});

Deno.test("tryLock() names a file that cannot be created, and why", async () => {
  await using dir = await tempDirectory();
  const error = await assertRejects(() => locks.tryLock(dir.at("missing/a.lock")), HostError, "missing/a.lock");
  assertEquals(error.code, "not-found");
  const folder = await assertRejects(() => locks.tryLock(dir.path), HostError);
  assert(folder.message.includes(dir.path));
});

Deno.test("lock() waits for the holder to let go", async () => {
  await using dir = await tempDirectory();
  const path = dir.at("a.lock");
  const first = await patient.tryLock(path);
  const waiting = patient.lock(path, { timeoutMs: 10_000 });
  await clock.advance(5_000);
  first!.release();
  await clock.advance(100);
  using second = await waiting;
  assertExists(second);
});

Deno.test("lock() gives up after its time and not before", async () => {
  await using dir = await tempDirectory();
  const path = dir.at("a.lock");
  using _first = await patient.tryLock(path);
  let given: unknown = "waiting";
  const waiting = patient.lock(path, { timeoutMs: 1_000 }).then((lock) => given = lock);
  await clock.advance(999);
  assertEquals(given, "waiting");
  await clock.advance(1);
  await waiting;
  assertEquals([given, clock.waiting], [undefined, 0]);
});

Deno.test("lock() looks once even when it has no time", async () => {
  await using dir = await tempDirectory();
  using lock = await locks.lock(dir.at("a.lock"), { timeoutMs: 0 });
  assertExists(lock);
});

Deno.test("lock() ends with the reason of its signal and leaves nothing locked", async () => {
  await using dir = await tempDirectory();
  const path = dir.at("a.lock");
  const first = await patient.tryLock(path);
  const abort = new AbortController();
  const waiting = patient.lock(path, { timeoutMs: 60_000, signal: abort.signal });
  await clock.settle();
  abort.abort(new Error("enough"));
  await assertRejects(() => waiting, Error, "enough");
  await assertRejects(() => patient.lock(path, { timeoutMs: 1, signal: abort.signal }), Error, "enough");
  first!.release();
  (await patient.tryLock(path))!.release();
  assertEquals(clock.waiting, 0);
});

/** Holds the lock in a process of its own until it is killed; says so on its stdout. */
const HOLDER = `
  import { createClock } from "${new URL("../../lib/host/clock.ts", import.meta.url)}";
  import { createLocks } from "${new URL("../../lib/host/lock.ts", import.meta.url)}";
  const lock = await createLocks(createClock()).tryLock(Deno.args[0]);
  console.log(lock ? "held" : "busy");
  setInterval(() => {}, 1000);
`;

Deno.test("tryLock() is refused while another process holds the lock, and free when that one is killed", async () => {
  await using dir = await tempDirectory();
  const path = dir.at("a.lock");
  await Deno.writeTextFile(dir.at("holder.ts"), HOLDER);
  const holder = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-lock",
      "-A",
      "--config",
      new URL("../../deno.json", import.meta.url).pathname,
      dir.at("holder.ts"),
      path,
    ],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = holder.stdout.getReader();
  const said = new TextDecoder().decode((await deadline(reader.read(), 30_000)).value);
  const during = await locks.tryLock(path);
  holder.kill("SIGKILL");
  await holder.status;
  await reader.cancel();
  using after = await locks.tryLock(path);
  assertEquals([said, during], ["held\n", undefined]);
  assertExists(after);
});

const hasFlock = await has("flock");

Deno.test({
  name: "tryLock() and util-linux flock exclude each other",
  ignore: !hasFlock,
  async fn() {
    await using dir = await tempDirectory();
    const path = dir.at("a.lock");
    const flock = () => new Deno.Command("flock", { args: ["-n", path, "true"] }).output();
    const lock = await locks.tryLock(path);
    assertEquals((await flock()).code, 1);
    lock!.release();
    assertEquals((await flock()).code, 0);

    const other = new Deno.Command("flock", {
      args: ["-n", path, "sh", "-c", "echo held; read x"],
      stdin: "piped",
      stdout: "piped",
    })
      .spawn();
    const reader = other.stdout.getReader();
    await deadline(reader.read(), 10_000);
    assertEquals(await locks.tryLock(path), undefined);
    await other.stdin.close();
    await other.status;
    await reader.cancel();
    using after = await locks.tryLock(path);
    assertExists(after);
  },
});

Deno.test("tryLock() says so when the file system has no locks, and leaves nothing behind", async () => {
  await using dir = await tempDirectory();
  const lockless = createLocks(clock, { flock: () => -1, open: () => 7, close: () => 0 });
  const error = await assertRejects(() => lockless.tryLock(dir.at("a.lock")), HostError);
  assertStringIncludes(error.message, "has no locks");
  assertEquals([...Deno.readDirSync(dir.path)].map(({ name }) => name), ["a.lock"]);
});

Deno.test({
  name: "Lock.release() frees the lock although a fork in progress still has a copy of the descriptor",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using dir = await tempDirectory();
    const path = dir.at("a.lock");
    const lock = await locks.tryLock(path);
    // What a fork leaves until its exec: one more descriptor of the same open file.
    const libc = Deno.dlopen("libc.so.6", {
      dup: { parameters: ["i32"], result: "i32" },
      close: { parameters: ["i32"], result: "i32" },
    });
    const copy = libc.symbols.dup(descriptorOf(path));
    try {
      lock!.release();
      using next = await locks.tryLock(path);
      assertExists(next, "a copy of the descriptor kept the lock");
    } finally {
      libc.symbols.close(copy);
      libc.close();
    }
  },
});

Deno.test("Lock is not inherited by a child that outlives its release", async () => {
  await using dir = await tempDirectory();
  const path = dir.at("a.lock");
  const lock = await locks.tryLock(path);
  const child = new Deno.Command("sh", { args: ["-c", "echo up; read x"], stdin: "piped", stdout: "piped" }).spawn();
  const reader = child.stdout.getReader();
  await deadline(reader.read(), 10_000);
  lock!.release();
  const next = await locks.tryLock(path);
  await child.stdin.close();
  await child.status;
  await reader.cancel();
  assertExists(next, "the child kept the lock");
  next.release();
});

function descriptorOf(path: string): number {
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      if (Deno.readLinkSync(`/proc/self/fd/${name}`) === path) return Number(name);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(`No descriptor of ${path}`);
}

async function has(command: string): Promise<boolean> {
  return (await new Deno.Command("sh", { args: ["-c", `command -v ${command}`], stdout: "null" }).output()).success;
}
