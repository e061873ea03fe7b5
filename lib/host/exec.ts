/** Becoming another program in place: `execve(2)` through FFI, as the runtime has no call for it. */
import type { ReplaceRequest } from "../core/ports.ts";

const LIBRARY = Deno.build.os === "darwin" ? "libSystem.B.dylib" : "libc.so.6";

/**
 * Descriptors of the runtime are closed by the kernel on the way, so whatever is locked is free. Returns why it was
 * refused, and never returns otherwise.
 */
export function becomeProgram({ executable, argv, env }: ReplaceRequest): string {
  const texts = [executable, ...argv, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
  if (texts.some((text) => text.includes("\0"))) return "an argument holds a NUL";
  try {
    const { symbols } = Deno.dlopen(LIBRARY, {
      execve: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
    });
    const [path, ...rest] = texts.map((text) => new TextEncoder().encode(`${text}\0`));
    const args = pointers(rest.slice(0, argv.length));
    const variables = pointers(rest.slice(argv.length));
    symbols.execve(path!, args, variables);
    return `the system did not start ${executable}`;
  } catch (error) {
    return (error as Error).message;
  }
}

/** The addresses of some texts, with the closing null. The texts must outlive their use. */
function pointers(texts: readonly Uint8Array<ArrayBuffer>[]): Uint8Array<ArrayBuffer> {
  const addresses = texts.map((text) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(text)));
  return new Uint8Array(new BigUint64Array([...addresses, 0n]).buffer);
}
