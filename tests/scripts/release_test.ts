/** What the release script makes: archives, lists, signatures and texts that the tools of others read as well. */
import { assert, assertEquals, assertNotEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { readSums, type Target, TARGET_NAMES, targetOfTriple } from "../../lib/core/release.ts";
import { signerOf } from "../../lib/core/release_signature.ts";
import { readReleaseManifest } from "../../lib/wire/release_manifest.ts";
import { capture } from "../../scripts/command.ts";
import { targetOfExecutable } from "../../scripts/executable.ts";
import { ROOT } from "../../scripts/project.ts";
import { archiveOf } from "../../scripts/release_archive.ts";
import { makeRelease, type ReleaseParts } from "../../scripts/release_files.ts";
import { publishCommands } from "../../scripts/release_publish.ts";
import { checkedKeys, newKey, releaseKeys, signingKeys } from "../../scripts/release_signing.ts";
import { formulaOf, installerWith } from "../../scripts/release_texts.ts";

const TIME = 1_767_225_600;
const INSTALLER = "#!/bin/sh\n# release: begin\nRELEASE_KEYS=''\n# release: end\necho done\n";

interface Folder extends AsyncDisposable {
  readonly path: string;
}

async function temporary(): Promise<Folder> {
  const path = await Deno.makeTempDir({ prefix: "drover-release-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** Of two small programs. */
async function partsIn(folder: string, change: Partial<ReleaseParts> = {}): Promise<ReleaseParts> {
  const programs = new Map<Target, string>();
  for (const target of ["linux-x86_64", "macos-aarch64"] as const) {
    const path = join(folder, target);
    await Deno.writeTextFile(path, `program for ${target}\n`);
    programs.set(target, path);
  }
  const key = await newKey();
  return {
    version: "1.2.3",
    commit: "0123456789ab",
    time: TIME,
    programs,
    leftOut: new Map([["macos-x86_64", "no runtime"]]),
    signers: [key],
    keys: [key.publicKey],
    base: "https://host/releases",
    installer: INSTALLER,
    formula: await Deno.readTextFile(join(ROOT, "packaging", "drover.rb.template")),
    dependencies: "{}\n",
    ...change,
  };
}

async function contents(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for await (const { name } of Deno.readDir(folder)) found[name] = (await Deno.readFile(join(folder, name))).toHex();
  return found;
}

Deno.test("archiveOf() is the same for the same program and time, and tar unpacks it as an executable", async () => {
  await using folder = await temporary();
  for (const size of [0, 1, 511, 512, 513, 100_000]) {
    const program = new Uint8Array(size).map((_, i) => i * 7);
    const archive = archiveOf(program, TIME);
    assertEquals(archive, archiveOf(program, TIME));
    assertNotEquals(archive, archiveOf(program, TIME + 1));
    // No flags, so no name; no time; no system.
    assertEquals([...archive.subarray(0, 8), archive[9]], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 255]);
    const path = join(folder.path, "a.tar.gz");
    await Deno.writeFile(path, archive);
    assertEquals(await capture(["tar", "-tzf", path]), "drover");
    await capture(["tar", "-xzf", path, "-C", folder.path]);
    const unpacked = join(folder.path, "drover");
    assertEquals(await Deno.readFile(unpacked), program);
    const { mode, mtime } = await Deno.stat(unpacked);
    assertEquals([mode! & 0o777, mtime?.getTime()], [0o755, TIME * 1_000]);
    await Deno.remove(unpacked);
  }
});

Deno.test("makeRelease() makes the same files again, in any folder", async () => {
  await using folder = await temporary();
  const parts = await partsIn(folder.path);
  const one = await makeRelease(join(folder.path, "one"), parts);
  const other = await makeRelease(join(folder.path, "far", "off"), parts);
  assertEquals(await contents(one.folder), await contents(other.folder));
  // What an earlier try left there is not part of it.
  await Deno.writeTextFile(join(one.folder, "drover-1.2.3-linux-aarch64.tar.gz"), "old");
  await makeRelease(join(folder.path, "one"), parts);
  assertEquals(await contents(one.folder), await contents(other.folder));
});

Deno.test("makeRelease() lays out a release whose lists fit, as a server would have it", async () => {
  await using folder = await temporary();
  const parts = await partsIn(folder.path);
  const { folder: files, manifest } = await makeRelease(folder.path, parts);
  const text = (name: string) => Deno.readTextFile(join(files, name));
  assertEquals(files, join(folder.path, "download", "v1.2.3"));
  assertEquals(await text("VERSION"), "1.2.3\n");
  assertEquals(await Deno.readTextFile(join(folder.path, "latest", "download", "VERSION")), "1.2.3\n");
  assertEquals(readReleaseManifest(JSON.parse(await text("manifest.json"))), manifest);
  assertEquals(manifest.left_out, { "macos-x86_64": "no runtime" });
  assertEquals(manifest.published_at, "2026-01-01T00:00:00.000Z");

  const sums = readSums(await text("SHA256SUMS"));
  const archives = Object.values(manifest.targets).map(({ archive }) => archive);
  assertEquals([...sums!.keys()], [...archives, "manifest.json", "install.sh"]);
  const tool = Deno.build.os === "darwin" ? ["shasum", "-a", "256"] as const : ["sha256sum"] as const;
  await capture([...tool, "-c", "SHA256SUMS"], { cwd: files });

  // A line each, as install.sh reads them.
  const signatures = (await text("SIGNATURES")).trim().split("\n").map((line) => {
    const [key = "", signature = "", archive, ...more] = line.split(/ +/);
    assertEquals(more, []);
    return { key, signature, archive };
  });
  assertEquals(signatures.map(({ archive }) => archive), archives);
  for (const target of ["linux-x86_64", "macos-aarch64"] as const) {
    const build = manifest.targets[target]!;
    const release = { version: "1.2.3", target, sha256: sums!.get(build.archive)! };
    assertEquals(build.sha256, release.sha256);
    assertEquals(await signerOf(release, signatures, parts.keys), parts.signers[0]!.id);
    assertEquals(await signerOf({ ...release, target: "linux-aarch64" }, signatures, parts.keys), undefined);
  }
  assertStringIncludes(await text("install.sh"), `RELEASE_KEYS='${parts.keys[0]}'\nRELEASE_URL='${parts.base}'\n`);
  const formula = await text("drover.rb");
  for (const { archive, sha256 } of Object.values(manifest.targets)) {
    assertStringIncludes(formula, `url "https://host/releases/download/v1.2.3/${archive}"\n      sha256 "${sha256}"`);
  }
  assertEquals(formula.split('url "').length, 3);
});

Deno.test("makeRelease() signs with both keys while one replaces the other, and with none that would not be accepted", async () => {
  await using folder = await temporary();
  const [old, next] = [await newKey(), await newKey()];
  const keys = [old.publicKey, next.publicKey];
  const both = await partsIn(folder.path, { signers: [old, next], keys });
  const { manifest } = await makeRelease(join(folder.path, "both"), both);
  assertEquals(manifest.targets["linux-x86_64"]?.signatures.map(({ key }) => key), [old.id, next.id]);

  const foreign = await partsIn(folder.path, { signers: [old, await newKey()], keys });
  const error = await assertRejects(() => makeRelease(join(folder.path, "foreign"), foreign), Error);
  assertStringIncludes(error.message, "not among the keys that the program accepts");
  await assertRejects(() => Deno.stat(join(folder.path, "foreign")), Deno.errors.NotFound);
  const wrong = await partsIn(folder.path, { version: "1.2.3/x" });
  await assertRejects(() => makeRelease(folder.path, wrong), Error, "it is no version");
});

Deno.test("openssl agrees about key id and signature", async () => {
  await using folder = await temporary();
  const { pem, ...key } = await newKey();
  const at = (name: string) => join(folder.path, name);
  await Deno.writeTextFile(at("key.pem"), pem, { mode: 0o600 });
  const release = { version: "1.2.3", target: "linux-x86_64", sha256: "ab".repeat(32) } as const;
  await Deno.writeTextFile(at("signed"), `drover-release-v1\n1.2.3\nlinux-x86_64\n${release.sha256}\n`);
  await Deno.writeFile(at("signature"), Uint8Array.fromBase64(key.sign(release)));
  await capture(["openssl", "pkey", "-in", at("key.pem"), "-pubout", "-out", at("public.pem")]);
  const verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", at("public.pem"), "-rawin"] as const;
  const said = await capture([...verify, "-in", at("signed"), "-sigfile", at("signature")]).catch(String);
  // LibreSSL, which macOS has under this name, knows no such signatures.
  if (said.includes("-rawin") || said.includes("Operation not supported")) return;
  assertStringIncludes(said, "Successfully");
});

Deno.test("installerWith() fills in the installer of these sources, and refuses what could end its quotes", async () => {
  const installer = await Deno.readTextFile(join(ROOT, "install.sh"));
  const key = await newKey();
  const base = "https://host/releases";
  const filled = installerWith(installer, { keys: [key.publicKey, key.publicKey], base });
  assertStringIncludes(
    filled,
    `RELEASE_KEYS='${key.publicKey} ${key.publicKey}'\nRELEASE_URL='${base}'\n# release: end\n`,
  );
  assertEquals(installerWith(filled, { keys: [], base: "" }), installer);
  for (const bad of ["https://host/'; id; '", "file:///etc", "https://host/$(id)"]) {
    assertThrows(() => installerWith(installer, { keys: [], base: bad }), Error, "no address");
  }
  for (const text of ["echo\n", INSTALLER + INSTALLER]) {
    assertThrows(() => installerWith(text, { keys: [], base }), Error, "once");
  }
});

Deno.test("formulaOf() has every target of the release, and no place that was not filled in", async () => {
  const template = await Deno.readTextFile(join(ROOT, "packaging", "drover.rb.template"));
  await using folder = await temporary();
  const programs = new Map(TARGET_NAMES.map((target) => [target, join(folder.path, target)]));
  for (const [target, path] of programs) await Deno.writeTextFile(path, target);
  const { manifest } = await makeRelease(folder.path, await partsIn(folder.path, { programs, leftOut: new Map() }));
  const formula = formulaOf(template, { manifest, base: "https://host/me/releases" });
  assertEquals([...formula.matchAll(/^ +url "(.*)"$/gm)].length, TARGET_NAMES.length);
  assertEquals(/@|# target|# end/.exec(formula), null);
  assertStringIncludes(formula, 'homepage "https://host/me"\n  version "1.2.3"\n');
  const unknown = template.replace("@HOMEPAGE@", "@OTHER@");
  assertThrows(() => formulaOf(unknown, { manifest, base: "https://host" }), Error, "@OTHER@");
});

Deno.test("releaseKeys() reads a file of keys, two at most", async () => {
  await using folder = await temporary();
  const file = join(folder.path, "keys");
  const [a, b, c] = [await newKey(), await newKey(), await newKey()].map(({ publicKey }) => publicKey);
  await Deno.writeTextFile(file, `# accepted\n${a} # the first\n\n${b}\n`);
  assertEquals(await releaseKeys(file), [a!, b!]);
  assertEquals(checkedKeys([a!, a!]), [a!]);
  assertThrows(() => checkedKeys([a!, b!, c!]), Error, "there are 3");
  assertThrows(() => checkedKeys(["ssh-ed25519"]), Error, "not 32 bytes");
});

Deno.test("signingKeys() never shows what is in a file that it cannot use", async () => {
  await using folder = await temporary();
  const file = join(folder.path, "key.pem");
  const { pem, id } = await newKey();
  await Deno.writeTextFile(file, `comment\n${pem}${(await newKey()).pem}`);
  const keys = await signingKeys([file]);
  assertEquals([keys.length, keys[0]?.id], [2, id]);
  const secret = pem.split("\n")[1]!;
  for (const text of [secret, pem.replace(secret, secret.slice(8)), `${pem}${pem}${pem}`]) {
    await Deno.writeTextFile(file, text);
    const error = await assertRejects(() => signingKeys([file]), Error);
    assert(!error.message.includes(secret.slice(8)), error.message);
  }
});

Deno.test("targetOfExecutable() tells by the file's head for which target it is", async () => {
  assertEquals(await targetOfExecutable(Deno.execPath()), targetOfTriple(Deno.build.target));
  await using folder = await temporary();
  const path = join(folder.path, "file");
  const heads: readonly (readonly [hex: string, target: Target | undefined])[] = [
    ["7f454c46020101000000000000000000" + "03003e00", "linux-x86_64"],
    ["7f454c46020101000000000000000000" + "0300b700", "linux-aarch64"],
    ["7f454c46020101000000000000000000" + "0300f300", undefined],
    ["cffaedfe07000001" + "00".repeat(12), "macos-x86_64"],
    ["cffaedfe0c000001" + "00".repeat(12), "macos-aarch64"],
    ["cffaedfe", undefined],
    ["", undefined],
  ];
  for (const [hex, target] of heads) {
    await Deno.writeFile(path, Uint8Array.fromHex(hex));
    assertEquals(await targetOfExecutable(path), target, hex);
  }
});

Deno.test("publishCommands() uploads every file to a draft before anybody sees it, and keeps a pre-release from being the newest", async () => {
  await using folder = await temporary();
  const release = await makeRelease(folder.path, await partsIn(folder.path));
  const [create, show, ...more] = publishCommands(release);
  assertEquals(more, []);
  for (const { name } of release.files) assert(create?.includes(join(release.folder, name)), name);
  assertEquals([create?.includes("--draft"), create?.includes("--prerelease")], [true, false]);
  assertEquals(show, ["gh", "release", "edit", "v1.2.3", "--draft=false"]);
  const trial = await makeRelease(folder.path, await partsIn(folder.path, { version: "1.2.3-rc.1" }));
  assertEquals(publishCommands(trial)[0]?.includes("--prerelease"), true);
});
