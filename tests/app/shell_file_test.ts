/** Our lines leave a shell's file, and every other byte of it stays, whatever happens on the way. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { cleanShellFile } from "../../lib/app/shell_file.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import { SHELL_LINE_MARK } from "../../lib/core/installation.ts";
import { type Files, HostError } from "../../lib/core/ports.ts";
import { createFiles } from "../../lib/host/files.ts";

const files = createFiles();
const OURS = `export PATH="/home/me/.local/bin:$PATH" ${SHELL_LINE_MARK}\n`;

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

class Shell implements AsyncDisposable {
  readonly file: string;
  readonly copy: string;
  private constructor(readonly directory: string) {
    this.file = join(directory, ".bashrc");
    this.copy = `${this.file}.drover-uninstall`;
  }

  static async create(text: string): Promise<Shell> {
    const shell = new Shell(await Deno.makeTempDir({ prefix: "drover-shell-" }));
    await Deno.writeFile(shell.file, bytesOf(text));
    await Deno.chmod(shell.file, 0o640);
    return shell;
  }

  async names(): Promise<string[]> {
    return await files.list(this.directory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}

for (
  const [what, before, after] of [
    ["bytes that are no UTF-8", `# caf\xe9 \x80\xff\n${OURS}\0\xc3\n`, "# caf\xe9 \x80\xff\n\0\xc3\n"],
    ["a byte order mark", `\xef\xbb\xbfa\n${OURS}`, "\xef\xbb\xbfa\n"],
    ["other ends of lines", `a\r\n${OURS}b\r\n`, "a\r\nb\r\n"],
    ["a last line without an end", `a\n${OURS.trimEnd()}`, "a\n"],
    ["our line twice and nothing else", OURS + OURS, ""],
  ] as const
) {
  Deno.test(`a shell's file keeps ${what}`, async () => {
    await using shell = await Shell.create(before);
    assertEquals(await cleanShellFile(files, shell.file), true);
    assertEquals(await Deno.readFile(shell.file), bytesOf(after));
    assertEquals([(await Deno.stat(shell.file)).mode! & 0o777, await shell.names()], [0o640, [".bashrc"]]);
    assertEquals(await cleanShellFile(files, shell.file), false);
  });
}

Deno.test("a shell's file that is a link stays one, and a file of fish that is ours alone goes", async () => {
  await using shell = await Shell.create(`a\n${OURS}`);
  const link = join(shell.directory, ".zshrc");
  await Deno.symlink(".bashrc", link);
  assertEquals(await cleanShellFile(files, link), true);
  assertEquals([await Deno.readLink(link), await Deno.readTextFile(shell.file)], [".bashrc", "a\n"]);

  const fish = join(shell.directory, "fish/conf.d/drover.fish");
  await Deno.mkdir(join(shell.directory, "fish/conf.d"), { recursive: true });
  await Deno.writeTextFile(fish, OURS);
  assertEquals(await cleanShellFile(files, fish), true);
  assertEquals(await files.stat(fish), undefined);
});

Deno.test("a shell's file that cannot be written comes back, or its copy stays and is named", async () => {
  const text = `# caf\xe9\n${OURS}`;
  await using shell = await Shell.create(text);
  const full = () => Promise.reject(new HostError("no-space", "Cannot write: no space left on device"));
  let writes = 0;
  const once: Files = { ...files, appendStream: (...args) => writes++ === 0 ? full() : files.appendStream(...args) };
  const restored = await assertRejects(() => cleanShellFile(once, shell.file), DroverError, "no space");
  assertEquals([await Deno.readFile(shell.file), await shell.names()], [bytesOf(text), [".bashrc"]]);
  assertStringIncludes(restored.hint ?? "", SHELL_LINE_MARK);

  const lost = await assertRejects(() => cleanShellFile({ ...files, appendStream: full }, shell.file), DroverError);
  assertEquals(await Deno.readFile(shell.copy), bytesOf(text));
  assertEquals([(await Deno.stat(shell.copy)).mode! & 0o777, lost.hint?.includes(shell.copy)], [0o640, true]);

  // What was cut off is finished by another try.
  assertEquals(await cleanShellFile(files, shell.file), true);
  assertEquals([await Deno.readFile(shell.file), await shell.names()], [bytesOf("# caf\xe9\n"), [".bashrc"]]);
});
