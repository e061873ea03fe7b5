/** drover as the installer leaves it, and releases of it: the compiled program with another version and, where a test wants it, faults. */
import { join } from "@std/path";
import { formatInstallRecord, releaseName } from "../../lib/core/installation.ts";
import { type CommandOptions, TestHome } from "./drover.ts";
import { programForms } from "./program.ts";
import { placeProgram } from "./program_file.ts";
import { addRelease, archiveOfWhole, type MadeRelease, makeTestKey, sha256Of, type TestKey } from "./release_files.ts";
import { ReleaseServer } from "./release_server.ts";

/**
 * The program is bundled, not minified, and nothing in the executable is a sum over it; so a text in it can be replaced by
 * one that is not longer.
 */
export interface Patch {
  readonly find: RegExp;
  readonly put: string;
}

/** What a daemon of a broken release does. */
export const FAULTS = {
  "exits 1": { find: /const point = [^;]+;\s+await point\?\.\("successor\.begun"\);/, put: "Deno.exit(1);" },
  "hangs before ready": {
    find: /const point = [^;]+;\s+await point\?\.\("successor\.begun"\);/,
    put: "var point; await host.clock.sleep(1e9);",
  },
  "crashes after a while": {
    find: /serving\.onReady\?\.\(holder\);\s+announce\(context, \{\s+holder,\s+settings\s+\}\);/,
    put: "setTimeout(()=>Deno.exit(9),Deno.env.get('CRASH_MS')??1e4);",
  },
  "speaks another protocol": { find: /GET \/v1\/hello/, put: "GET /v9/hello" },
} as const satisfies Record<string, Patch>;

/** The bundle is the end of the executable, and less than this; what is before it is the runtime. */
const BUNDLE_BYTES = 8 * 1024 * 1024;

let original: { bytes: Uint8Array<ArrayBuffer>; bundle: string; at: number } | undefined;

/** The compiled program, made another. Throws when there is no such text, or the new one is longer. */
export async function patched(patches: readonly Patch[]): Promise<Uint8Array<ArrayBuffer>> {
  if (!original) {
    const bytes = await Deno.readFile(programForms().find(({ kind }) => kind === "compiled")!.argv[0]);
    const at = Math.max(0, bytes.length - BUNDLE_BYTES);
    original = { bytes, at, bundle: new TextDecoder("latin1").decode(bytes.subarray(at)) };
  }
  const copy = original.bytes.slice();
  for (const { find, put } of patches) {
    const found = find.exec(original.bundle);
    if (!found || found[0].length < put.length) throw new Error(`Cannot put ${put} into the program at ${find}`);
    copy.set(new TextEncoder().encode(put.padEnd(found[0].length)), original.at + found.index);
  }
  return copy;
}

export class Released implements AsyncDisposable {
  readonly home: TestHome;
  readonly server: ReleaseServer;
  readonly root: string;
  readonly #directory: string;
  readonly #key: TestKey;

  private constructor(directory: string, home: TestHome, server: ReleaseServer, key: TestKey) {
    this.#directory = directory;
    this.root = join(directory, "drover");
    this.home = home;
    this.server = server;
    this.#key = key;
  }

  /** `version` is installed, with what is wrong with it. */
  static async create(version: string, patches: readonly Patch[] = []): Promise<Released> {
    const directory = await Deno.realPath(await Deno.makeTempDir({ prefix: "drover-released-" }));
    await Deno.mkdir(join(directory, "served"));
    const server = await ReleaseServer.start(join(directory, "served"));
    const home = await TestHome.create({ kind: "compiled", argv: [join(directory, "drover", "current", "drover")] });
    const released = new Released(directory, home, server, await makeTestKey());
    await released.#install(version, patches);
    return released;
  }

  /** For a good release: its trial is short, and its daemon has as long to start as a busy machine may take. */
  get env(): Record<string, string> {
    return {
      DROVER_RELEASES_URL: this.server.url,
      DROVER_TEST_UPDATE_STABLE_MS: "1500",
      DROVER_TEST_UPDATE_READY_MS: "60000",
      CRASH_MS: "1000",
    };
  }

  /** For a broken one: its trial is too long for it to prove itself before it crashes, and a start that hangs is short. */
  envFor(fault: keyof typeof FAULTS): Record<string, string> {
    const hangs = fault === "hangs before ready" || fault === "speaks another protocol";
    return {
      ...this.env,
      DROVER_TEST_UPDATE_STABLE_MS: "30000",
      ...(hangs ? { DROVER_TEST_UPDATE_READY_MS: "4000" } : {}),
    };
  }

  // deno-lint-ignore no-explicit-any
  async json(args: readonly string[], options: CommandOptions = {}): Promise<{ code: number; value: any }> {
    return await this.home.json(args, { deadlineMs: 120_000, ...options, env: { ...this.env, ...options.env } });
  }

  /** A release on the server: whole, signed, and as broken as `fault` says. */
  async publish(version: string, { fault }: { fault?: keyof typeof FAULTS } = {}): Promise<MadeRelease> {
    const program = await this.#program(version, fault ? [FAULTS[fault]] : []);
    const directory = join(this.#directory, "served");
    return await addRelease(directory, { version, program, archive: archiveOfWhole(program), keys: [this.#key] });
  }

  /** The name of the release that is current. */
  async current(): Promise<string> {
    return (await Deno.readLink(join(this.root, "current"))).replace("releases/", "");
  }

  /** The version that is current. */
  async version(): Promise<string> {
    return (await this.current()).replace(/-[0-9a-f]{12}$/, "");
  }

  // deno-lint-ignore no-explicit-any
  async updates(): Promise<any> {
    return JSON.parse(await Deno.readTextFile(join(this.root, "update.json")));
  }

  async #install(version: string, patches: readonly Patch[]): Promise<void> {
    const program = await this.#program(version, patches);
    const digest = sha256Of(program);
    const name = releaseName(version, digest);
    await Deno.mkdir(join(this.root, "releases", name), { recursive: true });
    await Deno.mkdir(join(this.root, "staging"), { mode: 0o700 });
    await placeProgram(join(this.root, "releases", name, "drover"), program);
    await Deno.symlink(`releases/${name}`, join(this.root, "current"));
    const record = { schema: 1, by: "install.sh", version, digest, archive: "", installed_at: "2026-01-01T00:00:00Z" };
    await Deno.writeTextFile(
      join(this.root, "install.json"),
      formatInstallRecord({ ...record, link: "", shell_file: "", keys: [] }),
    );
  }

  #program(version: string, patches: readonly Patch[]): Promise<Uint8Array<ArrayBuffer>> {
    return patched([
      { find: /"version": "[^"]+"(?=,\s+"commit")/, put: `"version": "${version}"` },
      {
        find: /\/\/ lib\/core\/release_keys\.ts\s+var RELEASE_KEYS = \[\];\s+export \{\s+RELEASE_KEYS\s+\};/,
        put: `export var RELEASE_KEYS=["${this.#key.publicKey}"]`,
      },
      ...patches,
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.home[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
    await Deno.remove(this.#directory, { recursive: true });
  }
}
