/** drover as a user has it installed: a copy of the executable that a test can replace by others that differ and run as well. */
import { join } from "@std/path";
import { type CommandOptions, TestHome } from "./drover.ts";
import { programForms } from "./program.ts";
import { copyProgram, placeScript } from "./program_file.ts";

/** ELF leaves the last byte of its identification unused: another one there is another file that runs the same. */
const UNUSED_BYTE = 15;

export class Installed implements AsyncDisposable {
  /** The command. */
  readonly path: string;
  readonly home: TestHome;
  readonly #directory: string;
  #made = 0;

  private constructor(directory: string, path: string, home: TestHome) {
    this.#directory = directory;
    this.path = path;
    this.home = home;
  }

  /** `at`: where in its own directory the command is. */
  static async create({ at = "drover" }: { at?: string } = {}): Promise<Installed> {
    const directory = await Deno.realPath(await Deno.makeTempDir({ prefix: "drover-installed-" }));
    const path = join(directory, at);
    const home = await TestHome.create({ kind: "compiled", argv: [path] });
    return new Installed(directory, path, home);
  }

  at(name: string): string {
    return join(this.#directory, name);
  }

  /** Another drover at `path`, which may exist: it is replaced as an installer does, by a rename. */
  async put(path: string = this.path): Promise<void> {
    const [executable] = programForms().find(({ kind }) => kind === "compiled")!.argv;
    const fresh = this.at(`.new-${++this.#made}`);
    await copyProgram(executable, fresh, { at: UNUSED_BYTE, byte: this.#made });
    await Deno.rename(fresh, path);
  }

  /** Something else there: a shell script. */
  async putScript(body: string, { mode = 0o755 }: { mode?: number } = {}): Promise<void> {
    const fresh = this.at(`.new-${++this.#made}`);
    await placeScript(fresh, `#!/bin/sh\n${body}\n`, mode);
    await Deno.rename(fresh, this.path);
  }

  /** Runs a command of the executable as it was built, whatever is installed. */
  // deno-lint-ignore no-explicit-any
  async json(args: readonly string[], options: CommandOptions = {}): Promise<{ code: number; value: any }> {
    const [executable] = programForms().find(({ kind }) => kind === "compiled")!.argv;
    const built = { kind: "compiled", argv: [executable] } as const;
    return await this.home.json(args, { ...options, form: built });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.home[Symbol.asyncDispose]();
    await Deno.remove(this.#directory, { recursive: true });
  }
}
