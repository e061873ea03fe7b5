/** A round of updating against a server that lies, breaks off or is slow: the old version works every time, and the next round completes. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { readUpdates, writeUpdates } from "../../lib/app/update_file.ts";
import { installRecord } from "../../lib/app/own_installation.ts";
import { pointTo } from "../../lib/app/update_install.ts";
import { repair, type RoundOptions } from "../../lib/app/update_round.ts";
import { formatInstallRecord } from "../../lib/core/installation.ts";
import { type Host, HostError } from "../../lib/core/ports.ts";
import { stepTrial } from "../../lib/core/update.ts";
import { UpdateError } from "../../lib/core/update_error.ts";
import {
  fakeProgram,
  gzipOf,
  makeTestKey,
  type ReleaseOptions,
  tarOf,
  type TestKey,
} from "../support/release_files.ts";
import type { Fault } from "../support/release_server.ts";
import { UpdateWorld } from "./update_world.ts";

type Signed = Parameters<TestKey["sign"]>;

const OLD = "1.0.0";
const NEW = "1.1.0";

async function fails(world: UpdateWorld, fault: string, options: Partial<RoundOptions> & { host?: Host } = {}) {
  const error = await assertRejects(() => world.round(options), UpdateError);
  assertEquals(error.fault, fault, error.message);
  const { rounds } = await readUpdates(world.host.files, world.installation);
  assertEquals(rounds.at(-1)?.code, fault);
  assertEquals(await world.version(), OLD);
}

Deno.test("a newer release is verified, put in place and on trial; the same again is nothing", async () => {
  await using world = await UpdateWorld.create(OLD);
  const { archive, binarySha256 } = await world.publish(NEW);
  const progress: number[] = [];
  const outcome = await world.round({ onProgress: (done, total) => progress.push(done / total) });
  assertEquals([outcome.kind, outcome.version], ["switched", NEW]);
  assertEquals([await world.version(), progress.at(-1)], [NEW, 1]);
  const { trial, lastGood } = await readUpdates(world.host.files, world.installation);
  assertEquals([trial?.before, lastGood, trial?.name], [
    world.first,
    world.first,
    `${NEW}-${binarySha256.slice(0, 12)}`,
  ]);
  const placed = join(world.installation.releases, trial!.name);
  assertEquals([(await Deno.stat(placed)).mode! & 0o777, (await Deno.stat(`${placed}/drover`)).mode! & 0o777], [
    0o755,
    0o755,
  ]);
  assertEquals(JSON.parse(await Deno.readTextFile(world.installation.record)).version, NEW);
  assertEquals(await world.leftovers(), []);
  assertEquals((await world.round()).kind, "current");
  assertEquals(world.server.requests.filter(({ path }) => path.endsWith(archive)).length, 1);
  assert(await Deno.stat(join(world.installation.releases, world.first)), "the one to go back to is kept");
});

// Each breaks one thing; healed, the next round completes.
const BROKEN: readonly (readonly [what: string, end: (archive: string) => string, fault: Fault, code: string])[] = [
  ["one flipped bit in the archive", (archive) => archive, { kind: "flip", at: 40 }, "integrity"],
  ["one flipped bit in the sums", () => "SHA256SUMS", { kind: "flip", at: 3 }, "integrity"],
  ["an empty manifest", () => "manifest.json", { kind: "replace", body: "" }, "bad-release"],
  ["no manifest", () => "manifest.json", { kind: "status", status: 404 }, "network"],
  ["a version that is none", () => "VERSION", { kind: "replace", body: "../../1.1.0" }, "bad-release"],
  ["a version file without end", () => "VERSION", { kind: "replace", body: "1".repeat(10_000) }, "too-large"],
  ["an archive that breaks off every time", (archive) => archive, { kind: "truncate", bytes: 9 }, "network"],
  ["an archive that ends too early", (archive) => archive, { kind: "short", bytes: 9 }, "network"],
];

for (const [what, end, fault, code] of BROKEN) {
  Deno.test(`${what} changes nothing, and the next round completes`, async () => {
    await using world = await UpdateWorld.create(OLD);
    // Larger than one packet of what is cut off.
    const { archive } = await world.publish(NEW);
    world.server.fault(end(archive), fault, { times: 40 });
    await fails(world, code);
    world.server.heal();
    assertEquals((await world.round()).kind, "switched");
    assertEquals(await world.version(), NEW);
  });
}

Deno.test("a download that broke off goes on where it ended", async () => {
  await using world = await UpdateWorld.create(OLD);
  const { archive } = await world.publish(NEW);
  world.server.fault(archive, { kind: "truncate", bytes: 50 }, { times: 1 });
  assertEquals((await world.round()).kind, "switched");
  const ranges = world.server.requests.filter(({ path }) => path.endsWith(archive)).map(({ range }) => range);
  assertEquals(ranges, ["", "bytes=50-"]);
});

Deno.test("a download that stalls is given up, and can be told to end", async () => {
  await using world = await UpdateWorld.create(OLD);
  const { archive } = await world.publish(NEW);
  world.server.fault(archive, { kind: "stall", bytes: 10 });
  const ending = new AbortController();
  const round = assertRejects(() => world.round({ signal: ending.signal }), Error, "Enough");
  await world.server.waitFor(archive);
  ending.abort(new Error("Enough"));
  await round;
  world.server.heal();
  assertEquals((await world.round()).kind, "switched", "the lock is free again");
});

Deno.test("signatures: another key, another version's, none at all", async () => {
  await using world = await UpdateWorld.create(OLD);
  await world.publish(NEW, { keys: [await makeTestKey()] });
  await fails(world, "signature");
  await world.publish(NEW, { keys: [] });
  await fails(world, "signature");
  await fails(world, "signature", { checksumOnly: true });
  await fails(world, "no-keys", { keys: [] });
  const other = {
    ...world.key,
    sign: (...[release]: Signed) => world.key.sign({ ...release, version: "9.0.0" }),
  };
  await world.publish(NEW, { keys: [other] });
  await fails(world, "signature");
  const flip = (text: string) => (text.startsWith("A") ? "B" : "A") + text.slice(1);
  const flipped = { ...world.key, sign: async (...release: Signed) => flip(await world.key.sign(...release)) };
  await world.publish(NEW, { keys: [flipped] });
  await fails(world, "signature");
  await world.publish(NEW, { keys: [await makeTestKey(), world.key] });
  assertEquals((await world.round()).kind, "switched", "one of two is enough");
});

Deno.test("a build without keys goes by the sums where a person says so", async () => {
  await using world = await UpdateWorld.create(OLD);
  await world.publish(NEW, { keys: [] });
  assertEquals((await world.round({ keys: [], checksumOnly: true })).kind, "switched");
});

const program = fakeProgram(NEW);
const HOSTILE: Readonly<Record<string, () => Promise<Partial<ReleaseOptions>>>> = {
  "a path upwards": async () => ({ archive: await gzipOf(tarOf([{ name: "../../evil", body: program }])) }),
  "a link": async () => ({ archive: await gzipOf(tarOf([{ name: "drover", type: "2", target: "/etc/passwd" }])) }),
  "two files": async () => ({
    archive: await gzipOf(tarOf([{ name: "drover", body: program }, { name: "more", body: program }])),
  }),
  "a bomb": async () => ({ archive: await gzipOf(tarOf([{ name: "drover", body: new Uint8Array(20_000_000) }])) }),
  "a bomb behind the program": async () => {
    const [tar, zeros] = [tarOf([{ name: "drover", body: program }]), new Uint8Array(20_000_000)];
    return { archive: await gzipOf(new Uint8Array(await new Blob([tar, zeros]).arrayBuffer())) };
  },
  "no archive at all": () => Promise.resolve({ archive: new TextEncoder().encode("hello") }),
  "another program than promised": async () => {
    const other = fakeProgram("1.2.0");
    return { archive: await gzipOf(tarOf([{ name: "drover", body: other }])) };
  },
};

for (const [what, make] of Object.entries(HOSTILE)) {
  Deno.test(`a signed archive that holds ${what} is unpacked no further`, async () => {
    await using world = await UpdateWorld.create(OLD);
    await world.publish(NEW, await make());
    await fails(world, "integrity");
    const [names, size] = [[] as string[], { bytes: 0 }];
    for await (const { name } of Deno.readDir(world.installation.releases)) names.push(name);
    assertEquals(names, [world.first]);
    for await (const { name } of Deno.readDir(world.installation.staging)) {
      const info = await Deno.stat(join(world.installation.staging, name, "drover")).catch(() => undefined);
      size.bytes += info?.size ?? 0;
    }
    assert(size.bytes <= program.length, `${size.bytes} bytes were unpacked`);
  });
}

for (
  const [what, body, why] of [
    ["ends with 1", "exit 1", "code 1"],
    ["says another version", `echo '{"version":"0.0.1"}'`, "0.0.1"],
    ["says nothing", "exit 0", "unknown"],
  ] as const
) {
  Deno.test(`a program that ${what} when it is tried never comes into place`, async () => {
    await using world = await UpdateWorld.create(OLD);
    await world.publish(NEW, { program: new TextEncoder().encode(`#!/bin/sh\n${body}\n`) });
    await fails(world, "preflight");
    const { rounds } = await readUpdates(world.host.files, world.installation);
    assert(rounds.at(-1)?.detail.includes(why), rounds.at(-1)?.detail);
  });
}

Deno.test("an older release is refused, then forced; one that cannot read our state is not", async () => {
  await using world = await UpdateWorld.create(OLD);
  await world.publish("0.9.0");
  assertEquals((await world.round()).kind, "current", "the newest is older: nothing to do");
  await fails(world, "older", { version: "0.9.0" });
  await world.publish("0.0.9");
  await fails(world, "unreadable", { version: "0.0.9", force: true });
  assertEquals((await world.round({ version: "0.9.0", force: true })).kind, "switched");
  assertEquals(await world.version(), "0.9.0");
});

Deno.test("a full disk at each write changes nothing, and the next round completes", async () => {
  await using world = await UpdateWorld.create(OLD);
  await world.publish(NEW);
  const { files } = world.host;
  const full = () => Promise.reject(new HostError("no-space", "Cannot write: no space left on device"));
  const without: readonly Partial<Host["files"]>[] = [
    { appendStream: full },
    { makeDirectory: (path) => path.includes("/update-") ? full() : files.makeDirectory(path) },
    { appendStream: (path, ...rest) => path.endsWith(".d/drover") ? full() : files.appendStream(path, ...rest) },
    { symlink: (target, path) => path.includes(".current-") ? full() : files.symlink(target, path) },
    { rename: (from, to) => to === world.installation.current ? full() : files.rename(from, to) },
  ];
  for (const fault of without) await fails(world, "disk", { host: { ...world.host, files: { ...files, ...fault } } });
  const tight = { diskSpace: () => Promise.resolve({ freeBytes: 1e6, totalBytes: 1e9, freeFiles: null }) };
  const inspector = { ...world.host.inspector, ...tight };
  await world.publish("1.2.0");
  await fails(world, "disk", { host: { ...world.host, inspector } });
  assertEquals((await world.round()).kind, "switched");
  assertEquals([await world.version(), await world.leftovers()], ["1.2.0", []]);
});

Deno.test("the machine's policy pins a version: it is taken in place of the newest, and no other on demand", async () => {
  await using world = await UpdateWorld.create(OLD);
  await world.publish(NEW);
  await world.publish("1.2.0");
  const { files } = world.host;
  const policy = "/etc/drover/policy.json";
  const { dev, ino } = await Deno.stat("/");
  const roots = { isFile: true, isDirectory: false, isSymlink: false, size: 1, mode: 0o644, uid: 0, mtimeMs: 0, dev };
  const host: Host = {
    ...world.host,
    files: {
      ...files,
      realPath: (path) => path === policy ? Promise.resolve(policy) : files.realPath(path),
      readText: (path) => path === policy ? Promise.resolve(`{"update_pin":"${NEW}"}`) : files.readText(path),
      stat: (path, ...rest) =>
        policy.startsWith(path) ? Promise.resolve({ ...roots, ino: ino ?? 0 }) : files.stat(path, ...rest),
    },
  };
  await fails(world, "pinned", { host, version: "1.2.0", force: true });
  assertEquals((await world.round({ host })).kind, "switched");
  assertEquals(await world.version(), NEW);
});

Deno.test("two rounds at once: one does it, the other says that somebody is at it or finds it done", async () => {
  await using world = await UpdateWorld.create(OLD);
  await world.publish(NEW);
  const [one, other] = await Promise.allSettled([world.round(), world.round()]);
  const kinds = [one, other].map((result) => result.status === "fulfilled" ? result.value.kind : result.reason.fault);
  assert(kinds.includes("switched"), String(kinds));
  assertEquals(await world.version(), NEW);
});

Deno.test("who chooses a release by hand in the middle of a round gets that one", async () => {
  await using world = await UpdateWorld.create(OLD);
  const { archive } = await world.publish(NEW);
  const gate = Promise.withResolvers<void>();
  world.server.fault(archive, { kind: "stall", bytes: 0, until: gate.promise });
  const round = assertRejects(() => world.round(), UpdateError, "somebody changed");
  await world.server.waitFor(archive);
  const chosen = "1.0.5-abcdefabcdef";
  await Deno.rename(join(world.installation.releases, world.first), join(world.installation.releases, chosen));
  await Deno.remove(world.installation.current);
  await Deno.symlink(`releases/${chosen}`, world.installation.current);
  gate.resolve();
  await round;
  assertEquals(await Deno.readLink(world.installation.current), `releases/${chosen}`);
});

Deno.test("what drover does not own is refused with the command to type, and nothing is asked of the network", async () => {
  await using world = await UpdateWorld.create(OLD);
  const places = {
    "brew upgrade drover": "/opt/homebrew/Cellar/drover/1.0.0/bin/drover",
    "git pull": "/home/me/drover/dist/drover",
  };
  for (const [hint, image] of Object.entries(places)) {
    const files = { ...world.host.files, realPath: () => Promise.resolve(image) };
    const error = await assertRejects(() => world.round({ host: { ...world.host, files } }), UpdateError);
    assertEquals(error.fault, "not-ours");
    if (hint.startsWith("brew")) assert(error.hint?.includes(hint), error.hint);
  }
  const system = { ...world.host.system, compiled: false };
  const error = await assertRejects(() => world.round({ host: { ...world.host, system } }), UpdateError);
  assertEquals([error.fault, error.hint, world.server.requests.length], ["not-ours", "type: git pull", 0]);
});

Deno.test("a round of the loop leaves its record and the time of the next one, also where nobody answers", async () => {
  await using world = await UpdateWorld.create(OLD);
  await world.publish(NEW);
  world.server.fault("VERSION", { kind: "status", status: 503 });
  await fails(world, "network", { by: "loop" });
  const { rounds, nextAt } = await readUpdates(world.host.files, world.installation);
  const [round] = rounds;
  assertEquals([rounds.length, round?.by, round?.result], [1, "loop", "failed"]);
  const minutes = (nextAt! - round!.at) / 60_000;
  assert(minutes >= 54 && minutes <= 66, String(minutes));
});

Deno.test("a release that was taken back with the pointer still on it is left by the next round", async () => {
  await using world = await UpdateWorld.create(OLD);
  await world.publish(NEW);
  await world.round();
  const { files } = world.host;
  let state = await readUpdates(files, world.installation);
  for (let i = 0; i < 2; i++) state = stepTrial(state, { kind: "failed", why: "it crashed" }, 0).state;
  // Killed before the pointer went back.
  await writeUpdates(files, world.installation, state);
  assertEquals(await world.version(), NEW);
  await fails(world, "quarantined");
  assertEquals(JSON.parse(await files.readText(world.installation.record)).version, OLD);
  assertEquals((await world.round({ force: true })).kind, "switched", "unless a person insists");
});

Deno.test("a release that was taken back and then installed by a person stays; cut off before its record it goes back", async () => {
  await using world = await UpdateWorld.create(OLD);
  await world.publish(NEW);
  await world.round();
  const { files } = world.host;
  const { installation } = world;
  const taken = await readUpdates(files, installation);
  const { name } = taken.trial!;
  let state = taken;
  for (let i = 0; i < 2; i++) state = stepTrial(state, { kind: "failed", why: "it crashed" }, 0).state;
  await writeUpdates(files, installation, state);
  await repair(world.host, installation);
  assertEquals(await world.version(), OLD);
  // What install.sh does: the pointer, then the record.
  await pointTo(world.host, installation, name);
  await repair(world.host, installation);
  assertEquals(await world.version(), OLD);
  await pointTo(world.host, installation, name);
  const record = (await installRecord(files, installation))!;
  const digest = await world.host.fingerprints.hashFile(join(installation.current, "drover"));
  const written = { ...record, by: "install.sh", version: NEW, digest };
  await files.writeAtomic(installation.record, formatInstallRecord(written));
  await repair(world.host, installation);
  assertEquals(await world.version(), NEW);
  assertEquals((await readUpdates(files, installation)).quarantined, []);
  assertEquals((await installRecord(files, installation))?.by, "install.sh");
});

Deno.test({
  name: "an old release goes, but not one that some process has in use",
  // Elsewhere a system tells no program who has a file open.
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using world = await UpdateWorld.create(OLD);
    await world.publish(NEW);
    const { releases } = world.installation;
    const [used, unused, empty] = ["0.8.0-aaaaaaaaaaaa", "0.9.0-bbbbbbbbbbbb", "0.9.1-cccccccccccc"];
    for (const name of [used, unused, empty]) await Deno.mkdir(join(releases, name));
    for (const name of [used, unused]) await Deno.writeTextFile(join(releases, name, "drover"), name);
    const script = 'exec 3<"$1"; echo open; exec sleep 60';
    const user = new Deno.Command("sh", { args: ["-c", script, "sh", join(releases, used, "drover")], stdout: "piped" })
      .spawn();
    try {
      const reader = user.stdout.getReader();
      await reader.read();
      await reader.cancel();
      assertEquals((await world.round()).kind, "switched");
    } finally {
      user.kill("SIGKILL");
      await user.status;
    }
    const left = (await world.host.files.list(releases)).filter((name) => name.startsWith("0."));
    assertEquals(left, [used]);
  },
});

Deno.test("an installation whose pointer leads nowhere is refused with what mends it", async () => {
  await using world = await UpdateWorld.create(OLD);
  await world.publish(NEW);
  await Deno.remove(world.installation.current);
  await Deno.symlink("/usr/bin", world.installation.current);
  const error = await assertRejects(() => world.round(), UpdateError);
  assertEquals([error.fault, error.hint], ["not-ours", "run the installer again, which mends it"]);
});
