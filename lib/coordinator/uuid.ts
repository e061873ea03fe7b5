/** Ids as peers may spell them, in the one spelling that is stored. */

const HEX = /^[0-9a-f]{32}$/;

/** The canonical lower-case UUID for any usual spelling (upper case, braces, `urn:uuid:`, no hyphens); else `undefined`. */
export function canonicalUuid(text: string): string | undefined {
  const hex = text.toLowerCase().replace(/^urn:uuid:/, "").replace(/^\{(.*)\}$/, "$1").replaceAll("-", "");
  if (!HEX.test(hex)) return undefined;
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
