/** install.sh as people run it, in a home of its own, against releases on 127.0.0.1. */
import { isLong } from "./length.ts";
import { join } from "@std/path";
import { installerWith } from "../../scripts/release_texts.ts";
import { ROOT } from "../../scripts/project.ts";
import { addRelease, type MadeRelease, makeTestKey, type ReleaseOptions, type TestKey } from "./release_files.ts";
import { ReleaseServer } from "./release_server.ts";
import { placeScript } from "./program_file.ts";

export interface InstallerRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface InstallerOptions {
  /** Besides HOME and PATH, the only variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** Words before install.sh; default `dash` where there is one, else `sh`. */
  readonly shell?: readonly string[];
  /** Directories before those of the machine, or instead of them. */
  readonly path?: string;
  /** The script comes by standard input, as after `curl … |`. */
  readonly piped?: boolean;
}

/** What install.sh needs, apart from a downloader and what verifies. */
export const NEEDED_TOOLS = (
  "awk cat chmod cp date getconf grep gzip head ldd ln mkdir mv ps readlink rm rmdir sed sha256sum sleep sort sync tail tar uname " +
  "wc"
).split(" ");

export class Installer implements AsyncDisposable {
  readonly #scratch: string;
  readonly server: ReleaseServer;
  readonly key: TestKey;
  /** With `key` filled in. */
  readonly script: string;
  readonly releases: string;
  readonly home: string;

  private constructor(scratch: string, server: ReleaseServer, key: TestKey, script: string) {
    this.#scratch = scratch;
    this.server = server;
    this.key = key;
    this.script = script;
    this.releases = join(scratch, "releases");
    this.home = join(scratch, "home");
  }

  /** `keys`: those that the installer accepts; default its own `key`. */
  static async create({ keys }: { keys?: readonly string[] } = {}): Promise<Installer> {
    const scratch = await Deno.realPath(await Deno.makeTempDir({ prefix: "drover-install-" }));
    await Deno.mkdir(join(scratch, "home"));
    const server = await ReleaseServer.start(join(scratch, "releases"));
    const key = await makeTestKey();
    const text = await Deno.readTextFile(join(ROOT, "install.sh"));
    const script = join(scratch, "install.sh");
    await Deno.writeTextFile(script, installerWith(text, { keys: keys ?? [key.publicKey], base: server.url }));
    return new Installer(scratch, server, key, script);
  }

  get root(): string {
    return join(this.home, ".local/share/drover");
  }

  /** The command as people have it. */
  get command(): string {
    return join(this.home, ".local/bin/drover");
  }

  at(name: string): string {
    return join(this.#scratch, name);
  }

  async release(version: string, options: Partial<ReleaseOptions> = {}): Promise<MadeRelease> {
    return await addRelease(this.releases, { version, keys: [this.key], ...options });
  }

  /** Starts it in a process group of its own. */
  start(args: readonly string[] = [], options: InstallerOptions = {}): Deno.ChildProcess {
    const [command, ...words] = options.shell ?? [hasTool("dash") ? "dash" : "sh"];
    const script = options.piped ? ["-s", "--"] : [this.script];
    return new Deno.Command(command!, {
      args: [...words, ...script, ...args],
      env: { HOME: this.home, PATH: options.path ?? Deno.env.get("PATH") ?? "", ...options.env },
      clearEnv: true,
      cwd: this.#scratch,
      stdin: options.piped ? "piped" : "null",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
  }

  async run(args: readonly string[] = [], options: InstallerOptions = {}): Promise<InstallerRun> {
    const child = this.start(args, options);
    if (options.piped) {
      const writer = child.stdin.getWriter();
      await writer.write(await Deno.readFile(this.script));
      await writer.close();
    }
    const { code, stdout, stderr } = await child.output();
    return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
  }

  /** The version that the installed command says; `undefined` when there is none that runs. */
  async version(): Promise<string | undefined> {
    try {
      const { success, stdout } = await new Deno.Command(this.command, {
        args: ["version"],
        env: { HOME: this.home, PATH: Deno.env.get("PATH") ?? "" },
        clearEnv: true,
        stderr: "null",
      }).output();
      return success ? /^drover (\S+)/.exec(new TextDecoder().decode(stdout))?.[1] : undefined;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }

  /** A directory with links to these tools and no others, to be all of a PATH. */
  async tools(name: string, tools: readonly string[]): Promise<string> {
    const directory = this.at(name);
    await Deno.mkdir(directory);
    for (const tool of tools) await Deno.symlink(whereIs(tool), join(directory, tool));
    return directory;
  }

  /** A program of the name in a directory, to be the first of a PATH. */
  async putTool(directory: string, name: string, script: string): Promise<void> {
    await Deno.mkdir(directory, { recursive: true });
    await placeScript(join(directory, name), `#!/bin/sh\n${script}\n`);
  }

  /** Every path below the home, sorted; directories end in a slash, links say where they lead. */
  async tree(): Promise<string[]> {
    return (await treeOf(this.home, "")).sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]();
    await Deno.remove(this.#scratch, { recursive: true });
  }
}

async function treeOf(directory: string, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory, isSymlink } of Deno.readDir(directory)) {
    const path = prefix + name;
    if (isSymlink) found.push(`${path} -> ${await Deno.readLink(join(directory, name))}`);
    else if (isDirectory) found.push(`${path}/`, ...await treeOf(join(directory, name), `${path}/`));
    else found.push(path);
  }
  return found;
}

/** Of a tree; whose turn it was is not part of an installation. */
export function apartFromTurns(tree: readonly string[]): string[] {
  return tree.filter((path) => !path.includes("install.lock.d/"));
}

/** The first of that name in PATH. Throws when there is none. */
export function whereIs(tool: string): string {
  for (const directory of (Deno.env.get("PATH") ?? "").split(":")) {
    const path = join(directory, tool);
    try {
      if (Deno.statSync(path).isFile) return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(`Cannot find ${tool} in PATH`);
}

export function hasTool(tool: string): boolean {
  try {
    return whereIs(tool) !== "";
  } catch {
    return false;
  }
}

type InstallTest = { readonly name: string; readonly ignore?: boolean; readonly fn?: () => Promise<void> };

/**
 * A test of the installer. Where openssl is missing perl verifies, which takes seconds each time: then only the long run has
 * it, and without either there is nothing to see.
 */
export function installTest(what: string | InstallTest, body?: () => Promise<void>): void {
  const { name, ignore = false, fn = body } = typeof what === "string" ? { name: what } as InstallTest : what;
  const verifies = hasTool("openssl") || (isLong() && hasTool("perl"));
  const why = verifies ? "" : ` [skipped: no openssl${hasTool("perl") ? "; the long run takes perl" : ""}]`;
  Deno.test({ name: `${name}${why}`, ignore: ignore || !verifies, fn: fn! });
}
