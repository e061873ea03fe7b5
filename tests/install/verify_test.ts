/** install.sh where a download is damaged, replaced or unsigned: nothing of it is used, and what was installed goes on. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { RELEASE_FILES } from "../../lib/core/release.ts";
import { apartFromTurns, hasTool, Installer, installTest, NEEDED_TOOLS } from "../support/installer.ts";
import { isLong } from "../support/length.ts";
import { fakeProgram, gzipOf, makeTestKey, type TarEntry, tarOf } from "../support/release_files.ts";
import type { Fault } from "../support/release_server.ts";

/** With 1.0.0 installed and 1.1.0 to be had. */
async function upgradable(): Promise<Installer> {
  const installer = await Installer.create();
  await installer.release("1.0.0");
  assertEquals((await installer.run()).code, 0);
  await installer.release("1.1.0", { program: fakeProgram("1.1.0", `# ${"x".repeat(50_000)}`) });
  return installer;
}

/** That nothing came of a run but an error, and that the next one works. */
async function assertUnchanged(installer: Installer): Promise<void> {
  assertEquals(await installer.version(), "1.0.0");
  assertEquals((await installer.tree()).filter((path) => /staging|1\.1\.0/.test(path)), []);
}

const DAMAGE: readonly { name: string; file: string; fault: Fault; said: RegExp }[] = [
  {
    name: "one flipped bit in the archive",
    file: ".tar.gz",
    fault: { kind: "flip", at: 100 },
    said: /not what its checksum says/,
  },
  {
    name: "an archive with a byte less",
    file: ".tar.gz",
    fault: { kind: "short", bytes: 150 },
    said: /not what its checksum says/,
  },
  {
    name: "one flipped bit in a checksum",
    file: RELEASE_FILES.sums,
    fault: { kind: "flip", at: 5 },
    said: /not signed|no good checksum/,
  },
  {
    name: "checksums without the archive",
    file: RELEASE_FILES.sums,
    fault: { kind: "replace", body: "" },
    said: /no good checksum/,
  },
  {
    name: "one flipped bit in the signature",
    file: RELEASE_FILES.signatures,
    fault: { kind: "flip", at: 40 },
    said: /not signed/,
  },
  { name: "no signature", file: RELEASE_FILES.signatures, fault: { kind: "replace", body: "\n" }, said: /not signed/ },
  { name: "a missing archive", file: ".tar.gz", fault: { kind: "status", status: 404 }, said: /could not download/ },
  {
    name: "a server in trouble",
    file: RELEASE_FILES.version,
    fault: { kind: "status", status: 503 },
    said: /could not learn/,
  },
  {
    name: "one flipped bit in the version",
    file: RELEASE_FILES.version,
    fault: { kind: "flip", at: 1 },
    said: /is not a version/,
  },
  {
    name: "a version that is none",
    file: RELEASE_FILES.version,
    fault: { kind: "replace", body: "<html>" },
    said: /is not a version/,
  },
];

installTest("a release that is damaged on its way is refused, and the next run works", async () => {
  await using installer = await upgradable();
  for (const { name, file, fault, said } of DAMAGE) {
    if (!isLong() && fault.kind !== "flip") continue;
    installer.server.fault(file, fault);
    const { code, stdout, stderr } = await installer.run();
    installer.server.heal();
    assertEquals([code, stdout], [1, ""], `${name}: ${stderr}`);
    assertMatch(stderr, said);
    await assertUnchanged(installer);
  }
  assertEquals((await installer.run()).code, 0);
  assertEquals(await installer.version(), "1.1.0");
});

installTest("a fresh installation that fails leaves nothing", async () => {
  await using installer = await Installer.create();
  await installer.release("1.0.0");
  installer.server.fault(".tar.gz", { kind: "flip", at: -20 });
  assertEquals((await installer.run()).code, 1);
  assertEquals((await installer.tree()).filter((path) => path.includes("drover")), []);
});

for (const downloader of ["curl", "wget", "busybox"]) {
  installTest({
    name: `${downloader}: a download that stands still is tried again, and one that breaks off three times is given up`,
    // For each it waits until a download has stood still long enough.
    ignore: !hasTool(downloader) || (!isLong() && downloader !== "curl"),
    async fn() {
      await using installer = await upgradable();
      const path = await installer.tools("tools", [...NEEDED_TOOLS, "openssl", downloader]);
      if (downloader === "busybox") await Deno.symlink(join(path, "busybox"), join(path, "wget"));
      const env = { DROVER_INSTALL_STALL: "2" };
      const shell = [hasTool("dash") ? "/bin/dash" : "/bin/sh"];
      const archives = () => installer.server.requests.filter((one) => one.path.includes("v1.1.0/drover-")).length;

      installer.server.fault(".tar.gz", { kind: "truncate", bytes: 100 });
      const broken = await installer.run([], { env, path, shell });
      assertEquals(broken.code, 1, broken.stderr);
      assertStringIncludes(broken.stderr, "could not download");
      assertEquals(archives(), 3);
      await assertUnchanged(installer);

      installer.server.heal();
      installer.server.fault(".tar.gz", { kind: "stall", bytes: 100 }, { times: 1 });
      const mended = await installer.run([], { env, path, shell });
      assertEquals(mended.code, 0, mended.stderr);
      assertEquals(archives(), 5);
      assertEquals(await installer.version(), "1.1.0");
    },
  });
}

installTest(
  "a signature is good for its version, its target and its archive alone, and only of an accepted key",
  async () => {
    await using installer = await upgradable();
    const other = await makeTestKey();
    const { archive, sha256, target } = await installer.release("1.1.0");
    const file = join(installer.releases, "download/v1.1.0/SIGNATURES");
    const lines: Readonly<Record<string, string>> = {
      "another version": await installer.key.sign({ version: "1.0.0", target, sha256 }),
      "another target": await installer.key.sign({ version: "1.1.0", target: "macos-x86_64", sha256 }),
      "another archive": await installer.key.sign({ version: "1.1.0", target, sha256: "0".repeat(64) }),
      "another key that names itself as ours": await other.sign({ version: "1.1.0", target, sha256 }),
    };
    for (const [what, signature] of Object.entries(lines)) {
      await Deno.writeTextFile(file, `${installer.key.id}  ${signature}  ${archive}\n`);
      const { code, stderr } = await installer.run();
      assertEquals(code, 1, what);
      assertStringIncludes(stderr, "not signed by drover's release key");
    }
    const right = await installer.key.sign({ version: "1.1.0", target, sha256 });
    await Deno.writeTextFile(file, `${installer.key.id}  ${right}  other-${archive}\n`);
    assertEquals((await installer.run()).code, 1);
    // Nor does --checksum-only take a signature that is wrong.
    assertEquals((await installer.run(["--checksum-only"])).code, 1);
    await assertUnchanged(installer);
  },
);

installTest("either of two keys is accepted, so that one can replace the other", async () => {
  const [old, next] = [await makeTestKey(), await makeTestKey()];
  await using installer = await Installer.create({ keys: [old.publicKey, next.publicKey] });
  for (const [version, keys] of [["1.0.0", [old]], ["1.1.0", [old, next]], ["1.2.0", [next]]] as const) {
    await installer.release(version, { keys });
    const { code, stderr } = await installer.run();
    assertEquals(code, 0, stderr);
  }
  await installer.release("1.3.0", { keys: [] });
  assertEquals((await installer.run()).code, 1);
  assertEquals(await installer.version(), "1.2.0");
});

installTest({
  name: "where openssl cannot verify perl does, and tells right from wrong",
  // It takes perl seconds.
  ignore: !isLong() || !hasTool("perl"),
  async fn() {
    await using installer = await upgradable();
    // As that of macOS: it is there and does not know how.
    const tools = installer.at("first");
    await installer.putTool(tools, "openssl", "exit 1");
    const path = `${tools}:${Deno.env.get("PATH") ?? ""}`;
    installer.server.fault(RELEASE_FILES.signatures, { kind: "flip", at: 40 });
    assertStringIncludes((await installer.run([], { path })).stderr, "not signed");
    installer.server.heal();
    const { code, stderr } = await installer.run([], { path });
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, "verified");
  },
});

installTest("where no tool verifies it goes on only when told to, and says what that means", async () => {
  await using installer = await upgradable();
  const path = await installer.tools("tools", [...NEEDED_TOOLS, "curl"]);
  // A tool that takes everything is none either.
  const agreeable = installer.at("agreeable");
  await installer.putTool(agreeable, "openssl", "exit 0");
  const shell = [hasTool("dash") ? "/bin/dash" : "/bin/sh"];
  for (const tools of [path, `${agreeable}:${path}`]) {
    const refused = await installer.run([], { path: tools, shell });
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.stderr, "--checksum-only");
    await assertUnchanged(installer);
  }
  installer.server.fault(".tar.gz", { kind: "flip", at: 100 });
  assertEquals((await installer.run(["--checksum-only"], { path, shell })).code, 1);
  installer.server.heal();
  const { code, stderr } = await installer.run(["--checksum-only"], { path, shell });
  assertEquals(code, 0, stderr);
  assertStringIncludes(stderr, "not verified who made this release");
  assertEquals(await installer.version(), "1.1.0");
});

installTest("an installer without keys says so and refuses", async () => {
  await using installer = await Installer.create({ keys: [] });
  await installer.release("1.0.0");
  const { code, stderr } = await installer.run();
  assertEquals(code, 1);
  assertStringIncludes(stderr, "no release key built in");
  assertEquals((await installer.run(["--checksum-only"])).code, 0);
});

const file = (name: string, body = "#!/bin/sh\n"): TarEntry => ({ name, body: new TextEncoder().encode(body) });

// Signed by the right key, so that it is unpacking that must refuse them.
const HOSTILE: Readonly<Record<string, readonly TarEntry[]>> = {
  "a file above the directory": [file("../evil")],
  "a file above the directory besides": [file("drover"), file("../../../evil")],
  "an absolute path": [file("drover"), file("/tmp/drover-evil")],
  "a symbolic link": [{ name: "drover", type: "2", target: "/bin/sh" }],
  "a hard link": [{ name: "drover", type: "1", target: "/bin/sh" }],
  "a directory": [{ name: "drover", type: "5" }],
  "a link and a file through it": [{ name: "drover", type: "2", target: ".." }, file("drover/evil")],
  "the same file twice": [file("drover"), file("drover")],
  "another file": [file("dr0ver")],
  "a name with a line break": [file("drover\nevil")],
  "no file": [],
};

installTest("an archive with anything but one plain file is refused, and nothing comes out of it", async () => {
  await using installer = await upgradable();
  const before = apartFromTurns(await installer.tree());
  for (const [name, entries] of Object.entries(HOSTILE)) {
    await installer.release("1.1.0", { archive: await gzipOf(tarOf(entries)) });
    const { code, stderr } = await installer.run();
    assertEquals(code, 1, name);
    assertMatch(stderr, /does not hold exactly one file|is no plain file|is no tar archive/);
    assertEquals(apartFromTurns(await installer.tree()), before, name);
    assertEquals(await installer.version(), "1.0.0");
    assertEquals(await Deno.lstat("/tmp/drover-evil").catch(() => "none"), "none");
  }
});

installTest("what is no archive, and one that grows beyond all measure, is refused", async () => {
  await using installer = await upgradable();
  // The real limit would take half a gigabyte of the disk here.
  const script = await Deno.readTextFile(installer.script);
  assert(script.includes("MAX_PROGRAM_MB=512\n"));
  await Deno.writeTextFile(installer.script, script.replace("MAX_PROGRAM_MB=512\n", "MAX_PROGRAM_MB=1\n"));
  const archives = [
    new TextEncoder().encode("<html>not found</html>"),
    await gzipOf(new TextEncoder().encode("no tar")),
    await gzipOf(tarOf([{ name: "drover", body: new Uint8Array(8 * 1024 * 1024) }])),
  ];
  for (const archive of archives) {
    await installer.release("1.1.0", { archive });
    const { code, stderr } = await installer.run();
    assertEquals(code, 1);
    assertMatch(stderr, /cannot be unpacked|is no tar archive|does not hold/);
    await assertUnchanged(installer);
  }
});

installTest(
  "a program that does not run here, hangs, or is of another version does not replace the one that does",
  async () => {
    await using installer = await upgradable();
    const script = await Deno.readTextFile(installer.script);
    assert(script.includes("PREFLIGHT_SECONDS=20\n"));
    const impatient = script.replace("PREFLIGHT_SECONDS=20\n", "PREFLIGHT_SECONDS=1\n");
    const text = (body: string) => new TextEncoder().encode(body);
    const programs: readonly (readonly [program: Uint8Array<ArrayBuffer>, said: RegExp])[] = [
      [text("#!/nowhere/sh\n"), /does not run on this system/],
      [text("#!/bin/sh\nexit 3\n"), /does not run on this system \(code 3\)/],
      [fakeProgram("1.0.9"), /is not drover 1\.1\.0/],
      // The last: on a busy machine none of the others could be judged in so short a time.
      [text("#!/bin/sh\nexec sleep 60\n"), /does not run on this system/],
    ];
    for (const [i, [program, said]] of programs.entries()) {
      if (i === programs.length - 1) await Deno.writeTextFile(installer.script, impatient);
      await installer.release("1.1.0", { program });
      const { code, stderr } = await installer.run();
      assertEquals(code, 1);
      assertMatch(stderr, said);
      await assertUnchanged(installer);
    }
  },
);
