/** Is a release signed by a key that we accept: Ed25519 over its version, its target and its digest. */
import { type ArchiveSignature, isPublicKey, isSignature, type SignedRelease, signedText } from "./release.ts";

/** First 16 hex digits of the SHA-256 of the raw public key. Throws when `publicKey` is not 32 bytes in base64. */
export async function keyIdOf(publicKey: string): Promise<string> {
  if (!isPublicKey(publicKey)) {
    throw new TypeError(`Reading a release key failed: it is not 32 bytes in base64, "${publicKey.slice(0, 60)}"`);
  }
  const digest = await crypto.subtle.digest("SHA-256", bytesOf(publicKey));
  return new Uint8Array(digest).toHex().slice(0, 16);
}

/**
 * The id of the first of `keys` that signed `release`; `undefined` when none did, also for what is no signature at all.
 * A key that is none of ours is never asked, whatever the list calls it.
 */
export async function signerOf(
  release: SignedRelease,
  signatures: readonly Pick<ArchiveSignature, "key" | "signature">[],
  keys: readonly string[],
): Promise<string | undefined> {
  const text = new TextEncoder().encode(signedText(release));
  for (const publicKey of keys) {
    const id = await keyIdOf(publicKey);
    const verifier = await crypto.subtle.importKey("raw", bytesOf(publicKey), "Ed25519", false, ["verify"]);
    for (const { key, signature } of signatures) {
      if (key !== id || !isSignature(signature)) continue;
      if (await crypto.subtle.verify("Ed25519", verifier, bytesOf(signature), text)) return id;
    }
  }
  return undefined;
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromBase64(base64);
}
