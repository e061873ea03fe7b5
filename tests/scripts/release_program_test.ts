/** The release script as it is called: two builds are the same bytes, a dry run makes everything, and what must not go out is refused. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import {
  archiveName,
  releaseFileUrl,
  type Target,
  TARGET_NAMES,
  targetOfTriple,
  TARGETS,
} from "../../lib/core/release.ts";
import { readReleaseManifest } from "../../lib/wire/release_manifest.ts";
import { buildTargets, readSource } from "../../scripts/build.ts";
import { capture } from "../../scripts/command.ts";
import { ROOT, sha256OfFile } from "../../scripts/project.ts";
import { newKey, type SigningKey } from "../../scripts/release_signing.ts";
import { isLong } from "../support/length.ts";
import { placeScript } from "../support/program_file.ts";

const TARGET = targetOfTriple(Deno.build.target);
const BASE = "http://127.0.0.1:9";

/** What executables begin with, in hex. */
const HEADS: Partial<Record<Target, string>> = {
  "linux-x86_64": "7f454c46020101000000000000000000" + "03003e00",
  "linux-aarch64": "7f454c46020101000000000000000000" + "0300b700",
};

async function script(args: readonly string[], env: Record<string, string> = {}, name = "release.ts") {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", `--config=${join(ROOT, "deno.json")}`, join(ROOT, "scripts", name), ...args],
    // Another folder than the project's: nothing may depend on it.
    cwd: "/",
    env: { DROVER_RELEASE_KEY: "", DROVER_RELEASE_KEYS: "", DROVER_RELEASES_URL: "", ...env },
    stdin: "null",
  }).output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

/** A dry run over `binaries`, of which `target` is there: what it says, and that the release has its program. */
async function assertDryRun(
  { folder, target, binaries, key, version }: {
    folder: string;
    target: Target;
    binaries: string;
    key: SigningKey & { pem: string };
    version: string;
  },
): Promise<void> {
  const out = join(folder, "release");
  const args = ["--dry-run", "--out", out, "--binaries", binaries, "--base", BASE];
  const { code, stdout, stderr } = await script(args, { DROVER_RELEASE_KEY: key.pem });
  assertEquals(code, 0, stderr);
  const archive = archiveName(version, target);
  for (const text of [archive, `signed by ${key.id}`, "left out", "nothing is published", "gh release create"]) {
    assertStringIncludes(stdout, text);
  }
  const program = await sha256OfFile(join(binaries, target, "drover"));
  const made = join(out, new URL(releaseFileUrl(BASE, version, "")).pathname);
  const manifest = readReleaseManifest(JSON.parse(await Deno.readTextFile(join(made, "manifest.json"))));
  assertEquals(manifest.targets[target]?.binary_sha256, program);
  await capture(["tar", "-xzf", join(made, archive), "-C", folder]);
  assertEquals(await sha256OfFile(join(folder, "drover")), program);
  const { components } = JSON.parse(await Deno.readTextFile(join(made, "dependencies.json")));
  const names = components.map(({ name }: { name: string }) => name);
  for (const name of ["zod", "hono", "deno"]) assertEquals(names.includes(name), true, name);

  const stranger = await script(args, { DROVER_RELEASE_KEY: (await newKey()).pem });
  assertEquals(stranger.code, 1);
  assertStringIncludes(stranger.stderr, "comes from another build");
}

Deno.test("a dry run makes a release of executables that were made elsewhere, and refuses those of another build", async () => {
  const folder = await Deno.makeTempDir({ prefix: "drover-release-" });
  try {
    const key = await newKey();
    const { version } = await readSource();
    // Of another machine: what does not run here is known by its head and by the texts in it.
    const target = TARGET_NAMES.find((name) => name !== TARGET && name.startsWith("linux"))!;
    const binaries = join(folder, "binaries");
    await Deno.mkdir(join(binaries, target), { recursive: true });
    const head = Uint8Array.fromHex(HEADS[target]!);
    const texts = new TextEncoder().encode(JSON.stringify({ version, keys: [key.publicKey] }));
    await Deno.writeFile(join(binaries, target, "drover"), new Uint8Array([...head, ...texts]));
    await assertDryRun({ folder, target, binaries, key, version });
    const args = ["--dry-run", "--out", join(folder, "unsigned"), "--binaries", binaries, "--base", BASE];
    const { code, stderr } = await script(args, { DROVER_RELEASE_KEYS: key.publicKey });
    assertEquals(code, 0, stderr);
    assertStringIncludes(stderr, "thrown away");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test({
  name: "two builds of the same sources are the same bytes, and a dry run makes a release of one",
  ignore: !TARGET || !isLong(),
  async fn() {
    const folder = await Deno.makeTempDir({ prefix: "drover-release-" });
    try {
      const target = TARGET!;
      const key = await newKey();
      const options = { keys: [key.publicKey], releases: BASE };
      const [one, other] = [join(folder, "one"), join(folder, "further", "away")];
      assertEquals(await buildTargets(one, [target], options), { built: [target], leftOut: [] });
      await buildTargets(other, [target], options);
      const program = join(one, target, "drover");
      assertEquals(await sha256OfFile(program), await sha256OfFile(join(other, target, "drover")));
      const told = JSON.parse(
        await capture([program, "version", "--json"], { env: { DROVER_HOME: join(folder, "home") } }),
      );
      assertEquals([told.unsignedBuild, told.target], [false, Deno.build.target]);
      await assertDryRun({ folder, target, binaries: one, key, version: told.version });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test("release.ts refuses to publish what is not a tagged, signed, whole release", async () => {
  const folder = await Deno.makeTempDir({ prefix: "drover-release-" });
  try {
    const cases: readonly (readonly [says: string, args: readonly string[]])[] = [
      // Either the checkout has no tag, or there is no key.
      ["Cannot release", ["--binaries", folder, "--base", "https://host"]],
      ["without any executable", ["--dry-run", "--binaries", folder]],
      ['Cannot understand "--publish"', ["--publish"]],
    ];
    for (const [says, args] of cases) {
      const { code, stdout, stderr } = await script([
        ...args,
        ...(args.length > 1 ? ["--out", join(folder, "out")] : []),
      ]);
      assertEquals([code, stdout], [1, ""], says);
      assertStringIncludes(stderr, says);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("build.ts says which target it left out and why, and fails where that one was asked for by name", async () => {
  const other = TARGET_NAMES.find((name) => name !== TARGET)!;
  // A runtime of this machine, which is of no use for another; so nothing is asked of the network.
  const env = { DENORT_BIN: "/nonexistent/denort" };
  for (const name of [other, TARGETS[other]]) {
    const { code, stderr } = await script(["--target", name], env, "build.ts");
    assertEquals(code, 1);
    assertStringIncludes(stderr, `left out ${other}: Cannot compile for ${TARGETS[other]}`);
    assertStringIncludes(stderr, "DENORT_BIN names one for this machine");
  }
  const { code, stderr } = await script(["--target", "plan9-mips"], env, "build.ts");
  assertEquals(code, 1);
  assertStringIncludes(stderr, `Cannot build for "plan9-mips": the targets are linux-x86_64, `);
});

Deno.test("publish() replaces a draft, and never touches what is published", async () => {
  const folder = await Deno.makeTempDir({ prefix: "drover-release-" });
  try {
    const log = join(folder, "log");
    const gh = `#!/bin/sh\necho "$@" >>"${log}"\n[ "$2" != view ] || { [ -n "$SEEN" ] || exit 1; echo "$SEEN"; }\n`;
    await placeScript(join(folder, "gh"), gh);
    const module = JSON.stringify(new URL("../../scripts/release_publish.ts", import.meta.url).href);
    const release = { folder: "/x", files: [{ name: "VERSION", size: 6, sha256: "" }], manifest: { version: "1.2.3" } };
    const program = `import { publish } from ${module}; await publish(${JSON.stringify(release)});`;
    const create = "release create v1.2.3 --draft --verify-tag --generate-notes --title=drover v1.2.3 /x/VERSION";
    const view = "release view v1.2.3 --json isDraft --jq .isDraft";
    const edit = "release edit v1.2.3 --draft=false";
    const cases: readonly (readonly [seen: string, code: number, calls: readonly string[]])[] = [
      ["", 0, [view, create, edit]],
      ["true", 0, [view, "release delete v1.2.3 --yes", create, edit]],
      ["false", 1, [view]],
    ];
    for (const [seen, code, calls] of cases) {
      const child = await new Deno.Command(Deno.execPath(), {
        args: ["eval", `--config=${join(ROOT, "deno.json")}`, program],
        env: { PATH: `${folder}:${Deno.env.get("PATH")}`, SEEN: seen },
        stdin: "null",
      }).output();
      assertEquals(child.code, code, new TextDecoder().decode(child.stderr));
      assertEquals((await Deno.readTextFile(log)).trimEnd().split("\n"), calls);
      await Deno.remove(log);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
