/**
 * Programs that a test puts somewhere to be run are written by a process of its own: a fork elsewhere in this one would hold
 * the file open for writing until its exec, and the system starts no such file.
 */

const COPY = 'cp -p "$1" "$2"';
const COPY_CHANGED = `${COPY} && printf "$4" | dd of="$2" bs=1 seek="$3" conv=notrunc`;
const WRITE = 'printf %s "$2" >"$1" && chmod "$3" "$1"';

/** A script with its first line; what is there already is overwritten in place. */
export async function placeScript(path: string, text: string, mode = 0o755): Promise<void> {
  done(path, await writing(path, text, mode).output());
}

export function placeScriptSync(path: string, text: string, mode = 0o755): void {
  done(path, writing(path, text, mode).outputSync());
}

export async function placeProgram(path: string, program: Uint8Array<ArrayBuffer>): Promise<void> {
  const written = `${path}.written`;
  Deno.writeFileSync(written, program, { mode: 0o755 });
  await copyProgram(written, path);
  await Deno.remove(written);
}

/** With `change`, one of its bytes is another in the copy. */
export async function copyProgram(from: string, to: string, change?: { at: number; byte: number }): Promise<void> {
  const octal = change ? [String(change.at), `\\${change.byte.toString(8).padStart(3, "0")}`] : [];
  const args = ["-c", change ? COPY_CHANGED : COPY, "sh", from, to, ...octal];
  done(to, await new Deno.Command("/bin/sh", { args, stdin: "null" }).output());
}

function writing(path: string, text: string, mode: number): Deno.Command {
  return new Deno.Command("/bin/sh", { args: ["-c", WRITE, "sh", path, text, mode.toString(8)], stdin: "null" });
}

function done(path: string, { success, stderr }: Deno.CommandOutput): void {
  if (!success) throw new Error(`Cannot place ${path}: ${new TextDecoder().decode(stderr)}`);
}
