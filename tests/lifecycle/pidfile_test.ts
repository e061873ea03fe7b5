/** The pidfile: written whole, read only when it is one, and removed by its owner alone. */
import { assertEquals } from "@std/assert";
import { createFiles } from "../../lib/host/files.ts";
import { createIdentity } from "../../lib/host/identity.ts";
import {
  lookAtPidfile,
  type Pidfile,
  readPidfile,
  removePidfile,
  sameProcess,
  writePidfile,
} from "../../lib/lifecycle/pidfile.ts";
import { tempDirectory } from "../host/temp_directory.ts";

const files = createFiles();

const RECORD: Pidfile = {
  schemaVersion: 1,
  pid: 4711,
  startTicks: "123",
  bootId: "b",
  instance: "i",
  version: "1.2.3",
  protocol: 1,
  mode: "daemon",
  binary: "/usr/bin/drover",
  controlSocket: "/h/run/c.sock",
  launch: { args: ["daemon"], cwd: "/", env: {}, supervisor: "none" },
  digest: "",
  startedAt: "2026-01-15T12:00:00.000Z",
  startReason: "user",
};

Deno.test("readPidfile() gives back what was written, in a private file", async () => {
  await using dir = await tempDirectory();
  await writePidfile(files, dir.at("p"), RECORD);
  assertEquals(await readPidfile(files, dir.at("p")), RECORD);
  assertEquals((await files.stat(dir.at("p")))!.mode, 0o600);
});

Deno.test("readPidfile() takes no file, half a file and another's file for none", async () => {
  await using dir = await tempDirectory();
  assertEquals(await readPidfile(files, dir.at("none")), undefined);
  const whole = JSON.stringify(RECORD);
  const changed = [{ schemaVersion: 2 }, { pid: 0 }, { pid: "4711" }, { instance: "" }, { mode: "other" }, {
    launch: null,
  }];
  const texts = [
    "",
    whole.slice(0, 40),
    "[]",
    "null",
    ...changed.map((change) => JSON.stringify({ ...RECORD, ...change })),
  ];
  for (const text of texts) {
    await Deno.writeTextFile(dir.at("p"), text);
    assertEquals(await readPidfile(files, dir.at("p")), undefined, text);
  }
});

Deno.test("readPidfile() completes the record of an older program and takes unknown words of a newer one for the plain ones", async () => {
  await using dir = await tempDirectory();
  const { digest: _digest, startReason: _reason, launch: { env: _env, supervisor: _supervisor, ...launch }, ...older } =
    RECORD;
  const newer = { ...RECORD, startReason: "of tomorrow", launch: { ...RECORD.launch, supervisor: "of tomorrow" } };
  for (const record of [{ ...older, launch }, newer]) {
    await Deno.writeTextFile(dir.at("p"), JSON.stringify(record));
    assertEquals(await readPidfile(files, dir.at("p")), RECORD);
  }
});

Deno.test("lookAtPidfile() names the field that is not as it must be", async () => {
  await using dir = await tempDirectory();
  const rows = [
    [{ ...RECORD, pid: 0 }, "pid"],
    [{ ...RECORD, launch: { ...RECORD.launch, env: { A: 1 } } }, "launch.env"],
    [[], "not an object"],
  ] as const;
  for (const [record, field] of rows) {
    await Deno.writeTextFile(dir.at("p"), JSON.stringify(record));
    assertEquals(await lookAtPidfile(files, dir.at("p")), { kind: "corrupt", why: `it is no record: ${field}` });
  }
});

Deno.test("readPidfile() leaves out what a newer program added", async () => {
  await using dir = await tempDirectory();
  await Deno.writeTextFile(dir.at("p"), JSON.stringify({ ...RECORD, added: 1 }));
  assertEquals(await readPidfile(files, dir.at("p")), RECORD);
});

Deno.test("removePidfile() leaves the record of a successor alone", async () => {
  await using dir = await tempDirectory();
  await writePidfile(files, dir.at("p"), RECORD);
  await removePidfile(files, dir.at("p"), "another");
  assertEquals((await readPidfile(files, dir.at("p")))?.instance, "i");
  await removePidfile(files, dir.at("p"), "i");
  assertEquals(await files.stat(dir.at("p")), undefined);
  await removePidfile(files, dir.at("p"), "i");
});

Deno.test("sameProcess() wants pid, start and boot to match", () => {
  const identity = { pid: 4711, startTicks: "123", bootId: "b" };
  assertEquals(sameProcess(RECORD, identity), true);
  assertEquals(sameProcess(RECORD, undefined), false);
  for (const change of [{ pid: 1 }, { startTicks: "124" }, { bootId: "c" }]) {
    assertEquals(sameProcess(RECORD, { ...identity, ...change }), false);
  }
  const self = createIdentity().self();
  assertEquals(sameProcess({ ...RECORD, ...self }, createIdentity().identityOf(self.pid)), true);
});
