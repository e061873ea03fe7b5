/** The format of releases: names, addresses, lists, and which signature makes a release ours. */
import { assertEquals, assertRejects } from "@std/assert";
import {
  archiveName,
  formatSums,
  isReleaseVersion,
  isTarget,
  latestVersionUrl,
  readSums,
  releaseFileUrl,
  signedText,
  TARGET_NAMES,
  targetOfTriple,
  TARGETS,
} from "../../lib/core/release.ts";
import { keyIdOf, signerOf } from "../../lib/core/release_signature.ts";

const SHA = "0123456789abcdef".repeat(4);

interface Pair {
  readonly publicKey: string;
  readonly id: string;
  sign(text: string): Promise<string>;
}

async function newPair(): Promise<Pair> {
  const pair = await crypto.subtle.generateKey("Ed25519", true, ["sign", "verify"]) as CryptoKeyPair;
  const publicKey = new Uint8Array(await crypto.subtle.exportKey("raw", pair.publicKey)).toBase64();
  return {
    publicKey,
    id: await keyIdOf(publicKey),
    sign: async (text) =>
      new Uint8Array(await crypto.subtle.sign("Ed25519", pair.privateKey, new TextEncoder().encode(text))).toBase64(),
  };
}

Deno.test("targetOfTriple() knows the triple of every target and no other", () => {
  for (const name of TARGET_NAMES) assertEquals(targetOfTriple(TARGETS[name]), name);
  for (const triple of ["", "x86_64-pc-windows-msvc", "x86_64-unknown-linux-musl", "toString"]) {
    assertEquals(targetOfTriple(triple), undefined, triple);
  }
  assertEquals([isTarget("linux-x86_64"), isTarget("toString"), isTarget("windows-x86_64")], [true, false, false]);
});

Deno.test("isReleaseVersion() takes what can stand in a file name and an address, and nothing that leads elsewhere", () => {
  for (const good of ["0.1.0", "1.2.3-rc.1", "0.1.0-dev+0123456789ab.dirty", "10.20.30"]) {
    assertEquals(isReleaseVersion(good), true, good);
  }
  const long = `1.2.3-${"a".repeat(60)}`;
  for (
    const bad of [
      "",
      "v1.2.3",
      "1.2",
      "01.2.3",
      "1.2.3/..",
      "1.2.3-..",
      "1.2.3-a/b",
      "1.2.3\n",
      "1.2.3 ",
      "../1.2.3",
      long,
    ]
  ) assertEquals(isReleaseVersion(bad), false, bad);
});

Deno.test("names and addresses of a release are those of the layout", () => {
  assertEquals(archiveName("1.2.3", "macos-aarch64"), "drover-1.2.3-macos-aarch64.tar.gz");
  for (const base of ["https://host/releases", "https://host/releases/"]) {
    assertEquals(latestVersionUrl(base), "https://host/releases/latest/download/VERSION");
    assertEquals(releaseFileUrl(base, "1.2.3", "SHA256SUMS"), "https://host/releases/download/v1.2.3/SHA256SUMS");
  }
});

Deno.test("readSums() reads what formatSums() writes, and gives up on a damaged list", () => {
  const sums = new Map([["a.tar.gz", SHA], ["manifest.json", SHA.replace("0", "f")]]);
  assertEquals(readSums(formatSums(sums)), sums);
  assertEquals(readSums(`${SHA} *a.tar.gz\r\n\n`), new Map([["a.tar.gz", SHA]]));
  const bad = [
    SHA,
    `${SHA}  `,
    `${SHA.slice(1)}  a`,
    `${SHA.toUpperCase()}  a`,
    `${SHA}  ../a`,
    `${SHA}  /etc/passwd`,
    `${SHA}  .hidden`,
    `${SHA}  a b`,
    `${SHA}  a/b`,
    `${SHA}  a\n${SHA}  a`,
    `${SHA}  a\n<html>`,
  ];
  for (const text of bad) assertEquals(readSums(text), undefined, text);
});

Deno.test("keyIdOf() is the beginning of the digest of the raw key", async () => {
  // Of 32 zero bytes, as sha256sum gives it.
  assertEquals(await keyIdOf(`${"A".repeat(43)}=`), "66687aadf862bd77");
  await assertRejects(() => keyIdOf("ssh-ed25519 AAAA"), TypeError, "not 32 bytes");
});

Deno.test("signerOf() accepts a signature of an accepted key over this version, target and digest, and no other", async () => {
  const [ours, next, other] = await Promise.all([newPair(), newPair(), newPair()]);
  const keys = [ours.publicKey, next.publicKey];
  const release = { version: "1.2.3", target: "linux-x86_64", sha256: SHA } as const;
  const text = signedText(release);
  assertEquals(text, `drover-release-v1\n1.2.3\nlinux-x86_64\n${SHA}\n`);
  const by = async (pair: Pair) => ({ key: pair.id, signature: await pair.sign(text) });

  assertEquals(await signerOf(release, [await by(ours)], keys), ours.id);
  assertEquals(await signerOf(release, [await by(other), await by(next)], keys), next.id);
  assertEquals(await signerOf(release, [await by(ours)], []), undefined);
  assertEquals(await signerOf(release, [], keys), undefined);
  assertEquals(await signerOf(release, [await by(other)], keys), undefined);
  // Under the name of a key of ours.
  assertEquals(await signerOf(release, [{ ...await by(other), key: ours.id }], keys), undefined);
  assertEquals(await signerOf(release, [{ key: ours.id, signature: "none" }], keys), undefined);

  const signature = [await by(ours)];
  assertEquals(await signerOf({ ...release, version: "1.2.4" }, signature, keys), undefined);
  assertEquals(await signerOf({ ...release, target: "linux-aarch64" }, signature, keys), undefined);
  assertEquals(await signerOf({ ...release, sha256: SHA.replace("0", "1") }, signature, keys), undefined);
});
