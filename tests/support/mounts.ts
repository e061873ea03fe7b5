/** Homes on file systems of their own, for tests: read-only ones, and small ones that can be filled. */
import { eventually, TestHome } from "./drover.ts";
import type { ProgramForm } from "./program.ts";

/** Why this machine does not let a test mount anything; `undefined` when it does. */
export function whyNoMounts(): string | undefined {
  if (Deno.build.os !== "linux") return "mounts of one's own exist only on Linux";
  try {
    const script = 'd=$(mktemp -d) && mount -t tmpfs none "$d" && umount "$d" && rmdir "$d" && nsenter --version';
    const { success, stderr } = new Deno.Command("unshare", { args: ["-rm", "sh", "-ec", script] }).outputSync();
    return success ? undefined : new TextDecoder().decode(stderr).trim();
  } catch (error) {
    return (error as Error).message;
  }
}

/** The program in a mount namespace where its home is read-only. */
export function readOnlyHome(form: ProgramForm): ProgramForm {
  const script = 'mount --bind "$DROVER_HOME" "$DROVER_HOME" && mount -o remount,bind,ro "$DROVER_HOME" && exec "$@"';
  return { ...form, argv: ["unshare", "-rm", "sh", "-ec", script, "sh", ...form.argv] };
}

/** A home on a file system that holds `bytes`. Commands of `home` see it, and so does `inside`. */
export class SmallDisk implements AsyncDisposable {
  readonly home: TestHome;
  readonly #keeper: Deno.ChildProcess;

  private constructor(home: TestHome, keeper: Deno.ChildProcess) {
    this.home = home;
    this.#keeper = keeper;
  }

  static async create(form: ProgramForm, bytes: number): Promise<SmallDisk> {
    // The keeper's namespace is entered by its pid, which stands in a file beside the home.
    const enter = 'exec nsenter --preserve-credentials -U -m -t "$(cat "$DROVER_HOME.keeper")" -- "$@"';
    const home = await TestHome.create({ ...form, argv: ["sh", "-c", enter, "sh", ...form.argv] });
    await Deno.mkdir(home.home, { mode: 0o700 });
    const mount = 'mount -t tmpfs -o mode=700,size="$1" none "$2" && echo $$ > "$2.keeper" && exec sleep 3600';
    const keeper = new Deno.Command("unshare", {
      args: ["-rm", "sh", "-ec", mount, "sh", String(bytes), home.home],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const disk = new SmallDisk(home, keeper);
    const ready = async () => (await Deno.readTextFile(`${home.home}.keeper`).catch(() => "")).trim() !== "";
    await eventually(ready, "the file system is mounted", 5_000);
    return disk;
  }

  /** A path in the home as this process reaches it. */
  inside(name: string): string {
    return `/proc/${this.#keeper.pid}/root${this.home.home}/${name}`;
  }

  /** Writes until there is no space left. */
  async fill(): Promise<void> {
    using file = await Deno.open(this.inside("fill"), { write: true, create: true });
    for (const size of [65_536, 4_096, 512, 1]) {
      try {
        for (;;) if (await file.write(new Uint8Array(size)) === 0) break;
      } catch {
        // Full for this size.
      }
    }
  }

  async free(): Promise<void> {
    await Deno.remove(this.inside("fill"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The commands first: what still runs holds the mount.
    await this.home[Symbol.asyncDispose]();
    this.#keeper.kill("SIGKILL");
    await this.#keeper.status;
  }
}
