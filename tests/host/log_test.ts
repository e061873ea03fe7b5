/** The log: JSON lines in a private, bounded file, no secrets, and never the reason why anything else fails. */
import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import type { LogSetup, Terminal } from "../../lib/core/ports.ts";
import { createLogs } from "../../lib/host/log.ts";
import { tempDirectory } from "./temp_directory.ts";

/** Tests of one file run one after the other, so that the one logger of the process is theirs in turn. */
function logsOver(written: string[] = []) {
  const terminal: Terminal = {
    isTerminal: false,
    color: false,
    inputIsTerminal: false,
    stdin: new ReadableStream(),
    out: (text) => void written.push(text),
    err: (text) => void written.push(text),
    readAllInput: () => Promise.resolve(""),
    readLine: () => Promise.resolve(undefined),
    readSecret: () => Promise.resolve(undefined),
    write: () => Promise.resolve(),
  };
  return createLogs(terminal);
}

async function linesOf(path: string): Promise<Record<string, unknown>[]> {
  const text = await Deno.readTextFile(path);
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

const FILE = (path: string, level: LogSetup["level"] = "debug"): LogSetup => ({ file: path, level });

Deno.test("Logs writes one JSON object per line, with level, name, sentence and fields", async () => {
  await using dir = await tempDirectory();
  const logs = logsOver();
  {
    await using _log = await logs.setup(FILE(dir.at("a.log")));
    logs.getLogger("daemon.poller").info("claimed", { task: "t1", slots: 2, nested: { a: [1] } });
    logs.getLogger("app").critical("all is lost");
  }
  const [first, second] = await linesOf(dir.at("a.log"));
  assertEquals([first!.level, first!.message, first!.task, first!.slots], ["INFO", "claimed", "t1", 2]);
  assertStringIncludes(String(first!.logger), "poller");
  assertEquals(first!.nested, { a: [1] });
  assert(!Number.isNaN(Date.parse(String(first!["@timestamp"]))));
  assertEquals([second!.level, second!.message], ["FATAL", "all is lost"]);
});

Deno.test("Logs keeps a sentence as it is, whatever is in it", async () => {
  await using dir = await tempDirectory();
  const logs = logsOver();
  {
    await using _log = await logs.setup(FILE(dir.at("a.log")));
    logs.getLogger("x").info("100 % of it", { brace: "{task}", line: "a\nb", quote: '"' });
  }
  const [record] = await linesOf(dir.at("a.log"));
  assertEquals([record!.message, record!.brace, record!.line, record!.quote], ["100 % of it", "{task}", "a\nb", '"']);
});

Deno.test("Logs leaves out what is below its level", async () => {
  await using dir = await tempDirectory();
  const logs = logsOver();
  {
    await using _log = await logs.setup(FILE(dir.at("a.log"), "warning"));
    const log = logs.getLogger("x");
    for (const level of ["debug", "info", "warn", "error", "critical"] as const) log[level](level);
  }
  assertEquals((await linesOf(dir.at("a.log"))).map((record) => record.message), ["warn", "error", "critical"]);
});

Deno.test("Logs drops records before it is set up and after it was disposed of", async () => {
  await using dir = await tempDirectory();
  const logs = logsOver();
  const log = logs.getLogger("x");
  log.error("before");
  {
    await using _log = await logs.setup(FILE(dir.at("a.log")));
    log.error("during");
  }
  log.error("after");
  assertEquals((await linesOf(dir.at("a.log"))).map((record) => record.message), ["during"]);
});

Deno.test("Logs blots out secrets in sentences and fields and leaves the line readable", async () => {
  await using dir = await tempDirectory();
  const token = "ghp" + "_abcdefghijklmnopqrstuvwxyz0123456789";
  const written: string[] = [];
  const logs = logsOver(written);
  {
    await using _log = await logs.setup({ ...FILE(dir.at("a.log")), stderr: true });
    logs.getLogger("x").warn("call failed", {
      why: `401 for Bearer ${token}`,
      url: "http://me:hunter22@example.test/",
      mail: "me@example.test",
      env: ["API_KEY=abcdefgh", token],
      error: new Error(`bad token ${token}`),
      key: "-----BEGIN PRIVATE KEY-----\nMIIB",
    });
  }
  const text = await Deno.readTextFile(dir.at("a.log")) + written.join("");
  for (const secret of [token, "hunter22", "abcdefgh", "MIIB"]) assert(!text.includes(secret), `${secret} in ${text}`);
  const [record] = await linesOf(dir.at("a.log"));
  assertEquals(record!.url, "http://me:[redacted]@example.test/");
  assertEquals(record!.mail, "me@example.test");
  assertEquals(written.length, 1);
});

Deno.test("Logs writes for people to stderr: one line with sentence and fields", async () => {
  const written: string[] = [];
  const logs = logsOver(written);
  {
    await using _log = await logs.setup({ stderr: true, level: "info" });
    logs.getLogger("poller").info("claimed", { task: "t1", agent: "my bot", n: 2, list: [1], none: undefined });
  }
  assertEquals(written.length, 1);
  assert(
    /^\d\d:\d\d:\d\d\S* INF poller: claimed task=t1 agent="my bot" n=2 list=\[1\] none=undefined\n$/.test(
      written[0]!,
    ),
    written[0],
  );
});

Deno.test("Logs appends to the file of the last run", async () => {
  await using dir = await tempDirectory();
  const logs = logsOver();
  for (const name of ["one", "two"]) {
    await using _log = await logs.setup(FILE(dir.at("a.log")));
    logs.getLogger("x").info(name);
  }
  assertEquals((await linesOf(dir.at("a.log"))).map((record) => record.message), ["one", "two"]);
});

Deno.test("Logs keeps the file and its predecessors within a bound", async () => {
  await using dir = await tempDirectory();
  const logs = logsOver();
  const MB = 1024 * 1024;
  {
    await using _log = await logs.setup(FILE(dir.at("a.log")));
    const log = logs.getLogger("x");
    for (let n = 0; n < 48; n++) log.info("big", { n, text: "x".repeat(MB / 2) });
  }
  const names = [...Deno.readDirSync(dir.path)].map((entry) => entry.name).sort();
  const sizes = names.map((name) => Deno.statSync(dir.at(name)).size);
  assertLess(sizes.reduce((sum, size) => sum + size, 0), 20 * MB + MB);
  assert(names.includes("a.log") && names.length >= 3 && names.length <= 4, names.join(" "));
  const last = (await linesOf(dir.at("a.log"))).at(-1);
  assertEquals(last!.n, 47);
});

Deno.test({
  name: "Logs goes on without a file when the disk is full",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using dir = await tempDirectory();
    await Deno.symlink("/dev/full", dir.at("a.log"));
    const written: string[] = [];
    const logs = logsOver(written);
    {
      await using _log = await logs.setup({ file: dir.at("a.log"), stderr: true, level: "info" });
      for (let n = 0; n < 3; n++) logs.getLogger("x").info("still here");
    }
    assertEquals(written.length, 3);
  },
});
