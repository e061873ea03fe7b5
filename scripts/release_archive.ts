/** The archive of a release: one executable in a tar, gzipped, the same bytes whenever and by whomever it is made. */
import { gzipSync } from "node:zlib";
import { ARCHIVE_ENTRY } from "../lib/core/release.ts";
import { paddedSize, TAR_BLOCK } from "../lib/core/tar_entry.ts";

/** Byte of the gzip header that names the system it was made on, and the value for none. */
const GZIP_SYSTEM = 9;
const UNKNOWN_SYSTEM = 255;

/** `time`: seconds since 1970, for the entry; the gzip header has no time and no name. */
export function archiveOf(program: Uint8Array, time: number): Uint8Array<ArrayBuffer> {
  // Two empty blocks are the end.
  const tar = new Uint8Array(TAR_BLOCK + paddedSize(program.length) + 2 * TAR_BLOCK);
  tar.set(headerOf(program.length, time));
  tar.set(program, TAR_BLOCK);
  const zipped = new Uint8Array(gzipSync(tar, { level: 9 }));
  zipped[GZIP_SYSTEM] = UNKNOWN_SYSTEM;
  return zipped;
}

/** POSIX ustar. Owned by root without a name: what unpacks as another user ignores it. */
function headerOf(size: number, time: number): Uint8Array {
  const header = new Uint8Array(TAR_BLOCK);
  const put = (at: number, text: string) => header.set(new TextEncoder().encode(text), at);
  const octal = (value: number, digits: number) => value.toString(8).padStart(digits, "0");
  put(0, ARCHIVE_ENTRY);
  put(100, octal(0o755, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(size, 11));
  put(136, octal(time, 11));
  // The sum is over the header with spaces in its own place.
  put(148, " ".repeat(8));
  put(156, "0");
  put(257, "ustar\0" + "00");
  put(148, `${octal(header.reduce((sum, byte) => sum + byte, 0), 6)}\0 `);
  return header;
}
