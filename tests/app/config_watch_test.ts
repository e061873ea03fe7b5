/** The settings of a running daemon: a change of either file counts at once, and one that cannot be used changes nothing. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { ConfigWatch, type SettingFlags } from "../../lib/app/config_watch.ts";
import { writeCredentials } from "../../lib/app/credentials.ts";
import { readSettings } from "../../lib/app/settings.ts";
import { type Home, homeLayout } from "../../lib/core/home.ts";
import { type TempDirectory, tempDirectory } from "../host/temp_directory.ts";
import { type TestHost, testHost } from "./test_host.ts";

class World implements AsyncDisposable {
  told = 0;
  private constructor(
    readonly host: TestHost,
    readonly home: Home,
    readonly watch: ConfigWatch,
    readonly directory: TempDirectory,
  ) {
    watch.onChange(() => this.told++);
  }

  static async open({ flags = {}, env = {} }: { flags?: SettingFlags; env?: Record<string, string> } = {}) {
    const directory = await tempDirectory();
    const host = testHost({ env });
    const home = homeLayout(directory.path);
    await Deno.chmod(directory.path, 0o700);
    const settings = await readSettings(host.host, home, flags);
    return new World(host, home, await ConfigWatch.open(host.host, home, { settings, flags }), directory);
  }

  /** In place of the old file, as editors do and drover itself. */
  async write(text: string): Promise<void> {
    await this.host.files.writeAtomic(this.home.config, text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.directory[Symbol.asyncDispose]();
  }
}

Deno.test("ConfigWatch takes a changed limit at once, and names what waits for a restart", async () => {
  await using w = await World.open();
  assertEquals(w.watch.settings().maxConcurrentTasks, 4);
  await w.write('{"tasks":{"max_concurrent":9},"health":{"port":4711}}');
  await w.watch.look();
  assertEquals([w.watch.settings().maxConcurrentTasks, w.watch.settings().healthPort, w.told], [9, 0, 1]);
  assertEquals(w.watch.view(), { problem: null, waiting: ["health.port"] });
  await w.watch.look();
  assertEquals(w.told, 1, "nothing new is no change");
  await w.host.files.remove(w.home.config);
  await w.watch.look();
  assertEquals([w.watch.settings().maxConcurrentTasks, w.watch.view().waiting, w.told], [4, [], 2]);
});

Deno.test("ConfigWatch goes on with what it had while the file cannot be used, and says so", async () => {
  await using w = await World.open();
  await w.write('{"tasks":{"max_concurrent":9}}');
  await w.watch.look();
  for (const text of ['{"tasks":', '{"tasks":{"max_concurrent":99}}', "[]"]) {
    await w.write(text);
    await w.watch.look();
    assertEquals([w.watch.settings().maxConcurrentTasks, w.told], [9, 1], text);
    assertStringIncludes(w.watch.view().problem ?? "", "Cannot");
  }
  await w.write('{"tasks":{"max_concurrent":3}}');
  await w.watch.look();
  assertEquals([w.watch.settings().maxConcurrentTasks, w.watch.view().problem, w.told], [3, null, 2]);
});

Deno.test("ConfigWatch leaves what the command line and the environment said", async () => {
  await using w = await World.open({ flags: { maxConcurrentTasks: "2" }, env: { DROVER_WORKSPACES: "a=ask" } });
  await w.write('{"tasks":{"max_concurrent":9},"workspaces":{"watched":"b=full"}}');
  await w.watch.look();
  assertEquals([w.watch.settings().maxConcurrentTasks, w.watch.settings().watchedWorkspaces], [2, { a: "ask" }]);
});

Deno.test("ConfigWatch takes a new login, and the end of one", async () => {
  await using w = await World.open();
  const mine = { server: "https://team.example", token: "mul_1", user: null, expiresAt: null };
  await writeCredentials(w.host.host, w.home, mine);
  await w.watch.look();
  assertEquals([w.watch.credentials(), w.told], [mine, 1]);
  await w.host.files.remove(w.home.credentials);
  await w.watch.look();
  assertEquals([w.watch.credentials(), w.told], [undefined, 2]);
});

Deno.test("ConfigWatch finds a change by hand within seconds, and ends with its signal", async () => {
  await using w = await World.open();
  const stop = new AbortController();
  const running = w.watch.run(stop.signal);
  await w.write('{"tasks":{"max_concurrent":9}}');
  for (let tries = 0; w.told === 0 && tries < 200; tries++) {
    await w.host.clock.advance(3_000);
    await w.host.clock.settle();
  }
  assertEquals(w.watch.settings().maxConcurrentTasks, 9);
  stop.abort();
  await running;
  assertEquals(w.host.clock.waiting, 0);
});
