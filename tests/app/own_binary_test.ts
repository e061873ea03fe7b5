/** drover's own file under watch, with real files and a clock of the test's: what is a change of what runs, and what is none. */
import { assertEquals, assertStringIncludes, fail } from "@std/assert";
import { watchOwnBinary } from "../../lib/app/own_binary.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";
import { placeScript } from "../support/program_file.ts";

const GOOD = `#!/bin/sh\necho '{"version":"2.0.0"}'\n`;

class World implements AsyncDisposable {
  looks = 0;
  /** Whether an updater is at work. */
  updater = false;
  /** How often that was looked up. */
  asked = 0;
  readonly at: (name: string) => string;
  readonly own;
  readonly #clock;
  readonly #ending = new AbortController();
  readonly #running: Promise<void>;
  readonly #directory: AsyncDisposable;

  private constructor(directory: AsyncDisposable & { at(name: string): string }) {
    this.#directory = directory;
    this.at = directory.at.bind(directory);
    const { host, clock } = testHost({ env: { PATH: "/usr/bin:/bin" }, selfCommand: [this.at("drover")] });
    this.#clock = clock;
    const ports = { ...host, system: { ...host.system, image: this.at("image") } };
    const log = host.logs.getLogger("reload");
    const leftToOthers = () => {
      this.asked++;
      return Promise.resolve(this.updater);
    };
    this.own = watchOwnBinary(ports, { mode: "restart", version: "1.0.0", intervalMs: 30_000, log, leftToOthers });
    this.#running = this.own.run(this.#ending.signal, () => this.looks++);
  }

  static async create(): Promise<World> {
    const directory = await tempDirectory();
    for (const name of ["image", "drover"]) {
      await placeScript(directory.at(name), "#!/bin/sh\nexit 0\n");
    }
    return new World(directory);
  }

  async put(text: string, mode = 0o755): Promise<void> {
    await placeScript(this.at("next"), text, mode);
    await Deno.rename(this.at("next"), this.at("drover"));
  }

  /** Lets time pass until so many more looks are over. */
  async look(times = 1): Promise<void> {
    const until = this.looks + times;
    for (const end = Date.now() + 60_000; this.looks < until;) {
      if (Date.now() > end) fail(`Not within a minute: ${times} looks`);
      await this.#clock.advance(2_000);
      // For the files.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  async sees(change: boolean, what: string, looks = 6): Promise<void> {
    await this.look(looks);
    assertEquals([this.own.changes().length === 1, this.own.settling()], [change, false], what);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#running;
    await this.#directory[Symbol.asyncDispose]();
  }
}

Deno.test("an own binary that is left alone never changes, nor one that is written anew with the same bytes", async () => {
  await using world = await World.create();
  await world.sees(false, "left alone", 100);
  assertEquals(world.asked, 0, "there is nothing to leave to an updater");
  await world.put("#!/bin/sh\nexit 0\n");
  await world.sees(false, "the same bytes in another file");
  assertEquals(world.own.waits(), undefined);
});

Deno.test("an own binary counts as changed when it lies still and says its version, and no more when it is put back", async () => {
  await using world = await World.create();
  await world.look();
  await world.put(GOOD);
  await world.sees(true, "replaced");
  const [change] = world.own.changes();
  assertEquals([change!.program, change!.own, change!.oldDigest.length], ["drover", true, 64]);
  assertEquals(world.own.waits()?.newDigest, change!.newDigest);
  await world.put(GOOD + "# newer\n");
  await world.sees(true, "replaced once more");
  assertEquals(world.own.changes()[0]!.since, change!.since, "it waits since the first");
  await world.put("#!/bin/sh\nexit 0\n");
  await world.sees(false, "put back");
});

Deno.test("an own binary that was replaced before the first look is noticed: it is compared with what runs", async () => {
  await using world = await World.create();
  await world.put(GOOD);
  await world.sees(true, "replaced at once");
});

Deno.test("an own binary that does not say its version is shown with the reason, and is no change", async () => {
  await using world = await World.create();
  await world.put("#!/bin/sh\nexit 5\n");
  await world.sees(false, "unfit");
  assertStringIncludes(world.own.waits()?.why ?? "", "it ended with code 5");
  await world.put(GOOD);
  await world.sees(true, "mended");
});

Deno.test("an own binary that is gone or without its mode is being replaced, for however long, and is no change when it is back", async () => {
  for (const gone of [(path: string) => Deno.remove(path), (path: string) => Deno.chmod(path, 0o644)]) {
    await using world = await World.create();
    await world.look();
    await gone(world.at("drover"));
    await world.look(70);
    assertEquals([world.own.changes(), world.own.settling()], [[], true]);
    await world.put("#!/bin/sh\nexit 0\n");
    await world.sees(false, "back");
    await gone(world.at("drover"));
    await world.look(70);
    await world.put(GOOD);
    await world.sees(true, "another in its place");
  }
});

Deno.test("an own binary that an updater has replaced is shown, and is no change until that updater is gone", async () => {
  await using world = await World.create();
  world.updater = true;
  await world.put(GOOD);
  await world.sees(false, "left to the updater");
  assertStringIncludes(world.own.waits()?.why ?? "", "the updater");
  world.updater = false;
  await world.sees(true, "nobody else would do it", 2);
});
