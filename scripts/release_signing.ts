/** The keys of releases: the public ones that a build accepts, the private ones that sign, and where both come from. */
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { isPublicKey, type SignedRelease, signedText } from "../lib/core/release.ts";
import { RELEASE_KEYS } from "../lib/core/release_keys.ts";
import { keyIdOf } from "../lib/core/release_signature.ts";
import { runScript } from "./command.ts";

/** One to replace the other; more would only be more to lose. */
const MAX_KEYS = 2;

/** A private key with what is told of it. */
export interface SigningKey {
  /** 16 hex digits. */
  readonly id: string;
  /** 32 bytes in base64. */
  readonly publicKey: string;
  /** 64 bytes in base64. */
  sign(release: SignedRelease): string;
}

/**
 * Public keys for a build: of a file (one in base64 a line, `#` begins a comment), else of `DROVER_RELEASE_KEYS` (between
 * them spaces or commas), else those of the sources.
 */
export async function releaseKeys(file?: string): Promise<readonly string[]> {
  const variable = Deno.env.get("DROVER_RELEASE_KEYS");
  if (!file && !variable) return RELEASE_KEYS;
  const text = file ? await Deno.readTextFile(file) : variable!;
  return checkedKeys(text.replace(/#.*/g, "").split(/[\s,]+/).filter((key) => key !== ""));
}

export function checkedKeys(keys: readonly string[]): readonly string[] {
  const wrong = keys.find((key) => !isPublicKey(key));
  if (wrong !== undefined) {
    throw new Error(`Reading the release keys failed: "${wrong.slice(0, 60)}" is not 32 bytes in base64`);
  }
  if (keys.length > MAX_KEYS) {
    throw new Error(`Reading the release keys failed: there are ${keys.length}, and ${MAX_KEYS} at most are accepted`);
  }
  return [...new Set(keys)];
}

/**
 * Private keys: of the files, else of `DROVER_RELEASE_KEY` (PEM, one after the other), else none. Errors name the place and
 * never what is in it.
 */
export async function signingKeys(files: readonly string[]): Promise<readonly SigningKey[]> {
  const variable = Deno.env.get("DROVER_RELEASE_KEY") ?? "";
  const sources = files.length > 0
    ? await Promise.all(files.map(async (file) => [file, await Deno.readTextFile(file)] as const))
    : [["DROVER_RELEASE_KEY", variable] as const];
  const keys: SigningKey[] = [];
  for (const [place, text] of sources) {
    const blocks = text.match(/-----BEGIN PRIVATE KEY-----[\s\S]*?-----END PRIVATE KEY-----/g) ?? [];
    if (blocks.length === 0 && text.trim() !== "") {
      throw new Error(`Reading the private key in ${place} failed: it is not PEM (openssl genpkey -algorithm ed25519)`);
    }
    for (const block of blocks) keys.push(await keyOfPem(block, place));
  }
  if (keys.length > MAX_KEYS) throw new Error(`Cannot sign with ${keys.length} keys: ${MAX_KEYS} at most are accepted`);
  return keys;
}

/** A new pair, with its private half as PEM. */
export async function newKey(): Promise<SigningKey & { readonly pem: string }> {
  const pem = String(generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }));
  return { ...await keyOfPem(pem, "a new key"), pem };
}

async function keyOfPem(pem: string, place: string): Promise<SigningKey> {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new Error(`Reading the private key in ${place} failed: it is damaged`);
  }
  if (key.asymmetricKeyType !== "ed25519") {
    throw new Error(`Reading the private key in ${place} failed: it is of type ${key.asymmetricKeyType}, not ed25519`);
  }
  const { x } = key.export({ format: "jwk" });
  const publicKey = Uint8Array.fromBase64(String(x), { alphabet: "base64url" }).toBase64();
  return {
    id: await keyIdOf(publicKey),
    publicKey,
    sign: (release) => sign(null, new TextEncoder().encode(signedText(release)), key).toString("base64"),
  };
}

/** `release_signing.ts FILE`: makes a new private key there, or reads the one that is there, and prints its public half. */
if (import.meta.main) {
  await runScript(async () => {
    const [file] = Deno.args;
    if (!file) throw new Error("Cannot make a key without a file to put it in. Use: release_signing.ts FILE");
    const exists = await Deno.stat(file).then(() => true, () => false);
    if (!exists) await Deno.writeTextFile(file, (await newKey()).pem, { mode: 0o600, createNew: true });
    for (const { id, publicKey } of await signingKeys([file])) console.log(`${publicKey} # key ${id}`);
    return 0;
  });
}
