/** An installation, a server of releases and the machine between them, for updates within the test's own process. */
import { join } from "@std/path";
import { type Installation, installationAt, releaseName } from "../../lib/core/installation.ts";
import { mergeSettings } from "../../lib/core/config.ts";
import { type Home, homeLayout } from "../../lib/core/home.ts";
import type { Host } from "../../lib/core/ports.ts";
import { type RoundOptions, type RoundOutcome, runRound } from "../../lib/app/update_round.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createInspector } from "../../lib/host/inspector.ts";
import { createLocks } from "../../lib/host/lock.ts";
import { createNetwork } from "../../lib/host/network.ts";
import {
  addRelease,
  fakeProgram,
  type MadeRelease,
  makeTestKey,
  type ReleaseOptions,
  sha256Of,
  type TestKey,
} from "../support/release_files.ts";
import { ReleaseServer } from "../support/release_server.ts";
import { testHost } from "./test_host.ts";

const clock = createClock();
const locks = await loadedLocks();

/** The library stays loaded for the life of a process: it is before any test counts what was left open. */
async function loadedLocks(): Promise<Host["locks"]> {
  const made = createLocks(clock);
  const directory = await Deno.makeTempDir({ prefix: "drover-locks-" });
  (await made.tryLock(join(directory, "lock")))?.release();
  await Deno.remove(directory, { recursive: true });
  return made;
}

export class UpdateWorld implements AsyncDisposable {
  readonly #directory: string;
  readonly host: Host;
  readonly home: Home;
  readonly installation: Installation;
  readonly server: ReleaseServer;
  readonly key: TestKey;
  /** The release that was installed first, and from which this process seems to run. */
  readonly first: string;

  private constructor(directory: string, server: ReleaseServer, key: TestKey, first: string) {
    this.#directory = directory;
    this.server = server;
    this.key = key;
    this.first = first;
    this.installation = installationAt(join(directory, "drover"));
    this.home = homeLayout(join(directory, "home"));
    const machine = testHost({ env: { PATH: "/usr/bin:/bin" } }).host;
    this.host = {
      ...machine,
      clock,
      inspector: createInspector(),
      locks,
      network: createNetwork(),
      system: {
        ...machine.system,
        os: Deno.build.os === "darwin" ? "darwin" : "linux",
        arch: Deno.build.arch,
        compiled: true,
        image: join(this.installation.releases, first, "drover"),
      },
    };
  }

  static async create(version = "1.0.0"): Promise<UpdateWorld> {
    const directory = await Deno.realPath(await Deno.makeTempDir({ prefix: "drover-update-" }));
    await Deno.mkdir(join(directory, "served"));
    await Deno.mkdir(join(directory, "home"), { mode: 0o700 });
    const program = fakeProgram(version);
    const name = releaseName(version, sha256Of(program));
    const { releases, current } = installationAt(join(directory, "drover"));
    await Deno.mkdir(join(releases, name), { recursive: true });
    await Deno.writeFile(join(releases, name, "drover"), program, { mode: 0o755 });
    await Deno.symlink(`releases/${name}`, current);
    return new UpdateWorld(directory, await ReleaseServer.start(join(directory, "served")), await makeTestKey(), name);
  }

  publish(version: string, options: Partial<ReleaseOptions> = {}): Promise<MadeRelease> {
    return addRelease(join(this.#directory, "served"), { version, keys: [this.key], ...options });
  }

  /** One round. `host`: another machine than this world's. */
  round(options: Partial<RoundOptions> & { host?: Host } = {}): Promise<RoundOutcome> {
    return runRound(options.host ?? this.host, this.home, {
      by: "person",
      settings: mergeSettings({ flags: {}, env: { DROVER_RELEASES_URL: this.server.url }, file: {} }),
      signal: new AbortController().signal,
      keys: [this.key.publicKey],
      ...options,
    });
  }

  /** What a person gets who types drover now; throws when that does not run. */
  async version(): Promise<string> {
    const program = join(this.installation.current, "drover");
    const { stdout } = await new Deno.Command(program, { args: ["version", "--json"] }).output();
    return JSON.parse(new TextDecoder().decode(stdout)).version;
  }

  /** Names in the installation that a round leaves only when it was cut off. */
  async leftovers(): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of Deno.readDir(this.installation.root)) if (name.startsWith(".")) names.push(name);
    for await (const { name } of Deno.readDir(this.installation.staging)) names.push(name);
    return names;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await Deno.remove(this.#directory, { recursive: true });
  }
}
