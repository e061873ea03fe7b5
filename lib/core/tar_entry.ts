/** The one entry that an archive of a release may have, read from its tar header: nothing else is ever unpacked. */

export const TAR_BLOCK = 512;

const SIZE_DIGITS = 11;

export type TarHeader =
  | { readonly kind: "entry"; readonly name: string; readonly size: number }
  /** An all-zero block. */
  | { readonly kind: "end" };

/**
 * Reads a block of 512 bytes. Throws for what is not a plain file at the top: a directory, a link, a device, a name with a
 * path, an extension header, a sum that does not fit.
 */
export function readTarHeader(block: Uint8Array): TarHeader {
  if (block.length !== TAR_BLOCK) throw new Error("Reading the archive failed: it ends in the middle of a header");
  if (block.every((byte) => byte === 0)) return { kind: "end" };
  const text = (from: number, length: number) => {
    const field = block.subarray(from, from + length);
    const end = field.indexOf(0);
    return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
  };
  const octal = (from: number, length: number) => {
    const digits = text(from, length).trim();
    return /^[0-7]{1,12}$/.test(digits) ? parseInt(digits, 8) : NaN;
  };
  const sum = block.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0);
  if (octal(148, 8) !== sum) throw new Error("Reading the archive failed: a header is damaged");
  const kind = block[156];
  const [name, prefix] = [text(0, 100), text(345, 155)];
  if ((kind !== 0 && kind !== 48) || text(157, 100) !== "") {
    throw new Error(`Reading the archive failed: ${JSON.stringify(name)} in it is no plain file`);
  }
  if (prefix !== "" || !/^[0-9A-Za-z][0-9A-Za-z._-]*$/.test(name)) {
    throw new Error(`Reading the archive failed: ${JSON.stringify(name)} is no name for a file in it`);
  }
  const size = octal(124, SIZE_DIGITS + 1);
  if (!Number.isSafeInteger(size)) throw new Error("Reading the archive failed: a size in it is none");
  return { kind: "entry", name, size };
}

/** Where the next header begins. */
export function paddedSize(size: number): number {
  return Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
}
