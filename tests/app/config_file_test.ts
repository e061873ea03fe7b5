/** Changing the config file of a home: what else is in it stays, and two changes at a time both count. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { readConfigFile, setInConfigFile, unsetInConfigFile } from "../../lib/app/config_file.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import { homeLayout } from "../../lib/core/home.ts";
import type { Host, Locks } from "../../lib/core/ports.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";
import { loadedLocks } from "../support/loaded_locks.ts";

const locks = await loadedLocks();

async function world() {
  const directory = await tempDirectory();
  const home = homeLayout(directory.at("home"));
  await Deno.mkdir(home.root, { mode: 0o700 });
  const host: Host = { ...testHost().host, locks };
  return {
    directory,
    host,
    home,
    set: (key: string, value: unknown) => setInConfigFile(host, home, { key, value, same: (held) => held === value }),
    text: () => Deno.readTextFile(home.config),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

Deno.test("setInConfigFile() keeps every other key, whoever put it there, and makes the file private", async () => {
  await using box = await world();
  const { home, set, text } = box;
  await Deno.writeTextFile(home.config, '{"b":[1,{"c":null}],"log":{"x":1},"__proto__":{"y":2}}', { mode: 0o644 });
  assertEquals(await set("log.level", "debug"), "set");
  assertEquals(
    JSON.stringify(JSON.parse(await text())),
    '{"b":[1,{"c":null}],"log":{"x":1,"level":"debug"},"__proto__":{"y":2}}',
  );
  assertEquals((await Deno.stat(home.config)).mode! & 0o777, 0o600);
  assertEquals([...Deno.readDirSync(home.root)].filter(({ name }) => name.startsWith(".tmp-")), []);
});

Deno.test("setInConfigFile() loses no change of ten at the same time", async () => {
  await using box = await world();
  const { host, home, set } = box;
  await Promise.all(Array.from({ length: 10 }, (_, i) => set(`k.n${i}`, i)));
  assertEquals(Object.keys((await readConfigFile(host, home)).k as object).length, 10);
});

Deno.test("setInConfigFile() gives up where another change does not end, and changes nothing", async () => {
  await using box = await world();
  const { home } = box;
  const held: Locks = { tryLock: () => Promise.resolve(undefined), lock: () => Promise.resolve(undefined) };
  const error = await assertRejects(
    () => setInConfigFile({ ...box.host, locks: held }, home, { key: "a.b", value: 1, same: () => false }),
    DroverError,
  );
  assertEquals(error.code, "busy");
  assertEquals(await Deno.stat(home.config).then(() => true, () => false), false);
});

Deno.test("setInConfigFile() does not write what is there already", async () => {
  await using box = await world();
  const { home, set, text } = box;
  await Deno.writeTextFile(home.config, '{"a":   {"b":1}}');
  assertEquals(await set("a.b", 1), "unchanged");
  assertEquals(await text(), '{"a":   {"b":1}}');
});

Deno.test("setInConfigFile() writes through a link, as people keep such files elsewhere", async () => {
  await using box = await world();
  const { directory, home, set } = box;
  await Deno.writeTextFile(directory.at("mine.json"), "{}");
  await Deno.symlink(directory.at("mine.json"), home.config);
  await set("a.b", 1);
  assertEquals((await Deno.lstat(home.config)).isSymlink, true);
  assertEquals(JSON.parse(await Deno.readTextFile(directory.at("mine.json"))), { a: { b: 1 } });
});

Deno.test("setInConfigFile() does not replace what stands where an object should", async () => {
  await using box = await world();
  const { home, set, text } = box;
  await Deno.writeTextFile(home.config, '{"log":"loud"}');
  const error = await assertRejects(() => set("log.level", "debug"), DroverError);
  assertEquals(error.code, "config_invalid");
  assertStringIncludes(error.message, '"log" is "loud" there');
  assertEquals(await text(), '{"log":"loud"}');
});

Deno.test("unsetInConfigFile() takes one key out, and its object when nothing else is in it", async () => {
  await using box = await world();
  const { host, home, text } = box;
  await Deno.writeTextFile(home.config, '{"log":{"level":"info"},"tasks":{"a":1,"b":2}}');
  assertEquals(await unsetInConfigFile(host, home, "log.level"), "unset");
  assertEquals(await unsetInConfigFile(host, home, "tasks.a"), "unset");
  assertEquals(await unsetInConfigFile(host, home, "tasks.a"), "notSet");
  assertEquals(JSON.parse(await text()), { tasks: { b: 2 } });
});

Deno.test("readConfigFile() says where a file stops being JSON, and nothing of what stands there", async () => {
  await using w = await world();
  await Deno.writeTextFile(w.home.config, '{\n  "agents": { "env": { "KEY": sk-secret } }\n}');
  const error = await assertRejects(() => readConfigFile(w.host, w.home), DroverError);
  assertStringIncludes(error.message, "line 2, column 31");
  assertEquals(`${error.message} ${Deno.inspect(error)}`.includes("sk-"), false);
});
