/** The settings of a home: its file, read with errors that name it. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { readSettings } from "../../lib/app/settings.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import { homeLayout } from "../../lib/core/home.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";

Deno.test("readSettings() merges file, environment and flags, and does without a file", async () => {
  await using dir = await tempDirectory();
  const home = homeLayout(dir.path);
  const { host } = testHost({ env: { DROVER_LOG_LEVEL: "debug" } });
  assertEquals((await readSettings(host, home)).maxConcurrentTasks, 4);
  await Deno.writeTextFile(home.config, '{"tasks":{"max_concurrent":2,"time_limit":"1h"},"log":{"level":"error"}}');
  const settings = await readSettings(host, home, { timeLimitMs: "5m" });
  assertEquals([settings.maxConcurrentTasks, settings.timeLimitMs, settings.logLevel], [2, 300_000, "debug"]);
});

Deno.test("readSettings() names what is wrong with the file", async () => {
  await using dir = await tempDirectory();
  const home = homeLayout(dir.path);
  const { host } = testHost();
  const wrong: [text: string, words: string][] = [
    ["{", home.config],
    ["", home.config],
    ["[]", "no JSON object"],
    ["null", "no JSON object"],
    ['"x"', "no JSON object"],
    ['{"tasks":{"max_concurrent":0}}', "tasks.max_concurrent = 0 from config.json"],
  ];
  for (const [text, words] of wrong) {
    await Deno.writeTextFile(home.config, text);
    const error = await assertRejects(() => readSettings(host, home), DroverError);
    assertEquals(error.code, "config_invalid", text);
    assertStringIncludes(error.message, words);
  }
});

Deno.test("readSettings() does not take a file it cannot read for none", async () => {
  await using dir = await tempDirectory();
  await Deno.mkdir(dir.at("config.json"));
  await assertRejects(() => readSettings(testHost().host, homeLayout(dir.path)), Error, dir.at("config.json"));
});
