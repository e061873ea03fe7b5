/** For which target an executable is, by the first bytes of the file. */
import type { Target } from "../lib/core/release.ts";

const ELF = 0x7f454c46;
const ELF_MACHINES: ReadonlyMap<number, Target> = new Map([[0x3e, "linux-x86_64"], [0xb7, "linux-aarch64"]]);
const MACH_O = 0xcffaedfe;
const MACH_O_CPUS: ReadonlyMap<number, Target> = new Map([[0x01000007, "macos-x86_64"], [0x0100000c, "macos-aarch64"]]);

/** `undefined` for a file that is no executable of a target, such as a script. */
export async function targetOfExecutable(path: string): Promise<Target | undefined> {
  using file = await Deno.open(path);
  const head = new DataView(new ArrayBuffer(20));
  const bytes = new Uint8Array(head.buffer);
  for (let at = 0; at < bytes.length;) {
    const count = await file.read(bytes.subarray(at));
    if (count === null) return undefined;
    at += count;
  }
  const magic = head.getUint32(0);
  if (magic === ELF) return ELF_MACHINES.get(head.getUint16(18, true));
  if (magic === MACH_O) return MACH_O_CPUS.get(head.getUint32(4, true));
  return undefined;
}
