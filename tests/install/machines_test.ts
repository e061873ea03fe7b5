/** install.sh on machines of all kinds: which release it takes, which machines it refuses, and with how little it works. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { dirname, join } from "@std/path";
import type { Target } from "../../lib/core/release.ts";
import { hasTool, Installer, installTest, NEEDED_TOOLS, whereIs } from "../support/installer.ts";
import { isLong } from "../support/length.ts";
import { whyNoMounts } from "../support/mounts.ts";

/** What such a machine's tools say; bodies of shell scripts. */
type Machine = Readonly<Record<string, string>>;

const uname = (system: string, machine: string) => `[ "$1" = -s ] && echo ${system} || echo ${machine}`;
const glibc = (version: string) => `[ "$1" = LONG_BIT ] && echo 64 || echo "glibc ${version}"`;

async function runOn(installer: Installer, name: string, machine: Machine): Promise<{ code: number; stderr: string }> {
  const directory = installer.at(name.replaceAll(/\W/g, "-"));
  for (const [tool, script] of Object.entries(machine)) await installer.putTool(directory, tool, script);
  return await installer.run([], { path: `${directory}:${Deno.env.get("PATH") ?? ""}` });
}

installTest("each machine gets its own release", async () => {
  const machines: Readonly<Record<string, readonly [target: Target, machine: Machine]>> = {
    "Linux on x86_64": ["linux-x86_64", { uname: uname("Linux", "x86_64"), getconf: glibc("2.27") }],
    "Linux on ARM": ["linux-aarch64", { uname: uname("Linux", "aarch64"), getconf: glibc("2.41") }],
    "Linux without getconf": ["linux-x86_64", {
      uname: uname("Linux", "x86_64"),
      getconf: "exit 1",
      ldd: "echo 'ldd (Debian GLIBC 2.36-9+deb12u10) 2.36'",
    }],
    "macOS on ARM": ["macos-aarch64", { uname: uname("Darwin", "arm64"), sysctl: "echo 0" }],
    "macOS on Intel": ["macos-x86_64", { uname: uname("Darwin", "x86_64"), sysctl: "exit 1" }],
    "macOS on ARM, in a translated shell": ["macos-aarch64", { uname: uname("Darwin", "x86_64"), sysctl: "echo 1" }],
  };
  await using installer = await Installer.create();
  for (const [i, [name, [target, machine]]] of Object.entries(machines).entries()) {
    await installer.release(`1.${i}.0`, { target });
    const { code, stderr } = await runOn(installer, name, machine);
    assertEquals(code, 0, `${name}: ${stderr}`);
    assertEquals(await installer.version(), `1.${i}.0`);
  }
});

installTest("a machine that drover cannot run on is refused with the reason, and nothing is downloaded", async () => {
  await using installer = await Installer.create();
  await installer.release("1.0.0");
  const linux = uname("Linux", "x86_64");
  const machines: Readonly<Record<string, readonly [said: RegExp, machine: Machine]>> = {
    "musl": [/musl/, { uname: linux, getconf: "exit 1", ldd: "echo 'musl libc (x86_64)' >&2; exit 1" }],
    "old glibc": [/has glibc 2\.17, and drover needs 2\.27/, { uname: linux, getconf: glibc("2.17") }],
    "old glibc by ldd": [/has glibc 2\.26/, {
      uname: linux,
      getconf: "exit 1",
      ldd: "echo 'ldd (GNU libc) 2.26'",
    }],
    "no libc to be seen": [/cannot tell/, { uname: linux, getconf: "exit 1", ldd: "exit 127" }],
    "32 bits": [/32-bit/, { uname: linux, getconf: "echo 32" }],
    "another processor": [/processor riscv64/, { uname: uname("Linux", "riscv64") }],
    "another system": [/does not run on FreeBSD/, { uname: uname("FreeBSD", "amd64") }],
    "Windows": [/WSL/, { uname: uname("MINGW64_NT-10.0", "x86_64") }],
  };
  for (const [name, [said, machine]] of Object.entries(machines)) {
    const { code, stderr } = await runOn(installer, name, machine);
    assertEquals(code, 1, name);
    assertMatch(stderr, said);
  }
  assertEquals(installer.server.requests, []);
  assertEquals(await installer.tree(), []);
});

installTest("a release without this machine's target is named", async () => {
  await using installer = await Installer.create();
  await installer.release("1.0.0", { target: "linux-x86_64" });
  const { code, stderr } = await runOn(installer, "arm", { uname: uname("Linux", "aarch64"), getconf: glibc("2.36") });
  assertEquals(code, 1);
  assertStringIncludes(stderr, "no good checksum of drover-1.0.0-linux-aarch64.tar.gz");
});

installTest("what is missing on a bare machine is named", async () => {
  await using installer = await Installer.create();
  await installer.release("1.0.0");
  const shell = [whereIs(hasTool("dash") ? "dash" : "sh")];
  const bare = await installer.tools("bare", NEEDED_TOOLS.filter((tool) => tool !== "tar"));
  assertStringIncludes((await installer.run([], { path: bare, shell })).stderr, "tar is not installed");
  const offline = await installer.tools("offline", NEEDED_TOOLS);
  assertStringIncludes((await installer.run([], { path: offline, shell })).stderr, "neither curl nor wget");
});

installTest({
  name: "it runs in a root of its own with dash and few tools: no bash, no /proc",
  ignore: !isLong() || whyNoMounts() !== undefined || !hasTool("dash") || !hasTool("wget") || !hasTool("chroot"),
  async fn() {
    await using installer = await Installer.create();
    await installer.release("1.0.0");
    const root = installer.at("root");
    for (const directory of ["bin", "dev", "home", "tmp"]) await Deno.mkdir(join(root, directory), { recursive: true });
    await Deno.writeTextFile(join(root, "dev/null"), "");
    const tools = NEEDED_TOOLS.filter((tool) => !["ldd", "ps"].includes(tool));
    for (const tool of [...tools, "wget", "openssl", "dash"]) {
      const name = tool === "dash" ? "sh" : tool;
      await Deno.copyFile(await Deno.realPath(whereIs(tool)), join(root, "bin", name));
      for (const library of await librariesOf(whereIs(tool))) {
        await Deno.mkdir(join(root, dirname(library)), { recursive: true });
        await Deno.copyFile(library, join(root, library));
      }
    }
    await Deno.copyFile(installer.script, join(root, "install.sh"));
    const steps = [
      'mount --bind /dev/null "$1/dev/null"',
      'chroot "$1" /bin/sh /install.sh',
      'chroot "$1" /home/.local/bin/drover version',
      'chroot "$1" /bin/sh /install.sh',
    ];
    const { code, stdout, stderr } = await new Deno.Command(whereIs("unshare"), {
      args: ["-rm", whereIs("sh"), "-c", steps.join(" && "), "sh", root],
      env: { HOME: "/home", PATH: `/bin:${Deno.env.get("PATH") ?? ""}` },
      clearEnv: true,
    }).output();
    const said = new TextDecoder().decode(stdout);
    assertEquals(code, 0, said + new TextDecoder().decode(stderr));
    assertStringIncludes(said, "\ndrover 1.0.0 (fake)\n");
    assertStringIncludes(said, "installed already");
  },
});

/** Of an executable, with the loader. */
async function librariesOf(path: string): Promise<string[]> {
  const { stdout } = await new Deno.Command("ldd", { args: [path] }).output();
  return [...new TextDecoder().decode(stdout).matchAll(/(\/\S+) \(0x/g)].map((found) => found[1]!);
}
