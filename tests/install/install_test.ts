/** install.sh where nothing goes wrong: what it puts where, what it leaves alone, and its options. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { readInstallRecord } from "../../lib/core/installation.ts";
import { apartFromTurns, hasTool, Installer, installTest, NEEDED_TOOLS } from "../support/installer.ts";
import { isLong } from "../support/length.ts";
import { fakeProgram } from "../support/release_files.ts";

installTest(
  "a fresh installation has the release, the pointer, the link and a record, and nothing else; a second run downloads and changes nothing",
  async () => {
    await using installer = await Installer.create();
    const { binarySha256, sha256 } = await installer.release("1.2.3");

    const { code, stdout, stderr } = await installer.run([], { piped: true });

    assertEquals(code, 0, stderr);
    assertEquals(await installer.version(), "1.2.3");
    const name = `1.2.3-${binarySha256.slice(0, 12)}`;
    const root = ".local/share/drover";
    const tree = await installer.tree();
    assertEquals(apartFromTurns(tree), [
      ".local/",
      ".local/bin/",
      `.local/bin/drover -> ${installer.root}/current/drover`,
      ".local/share/",
      `${root}/`,
      `${root}/current -> releases/${name}`,
      `${root}/install.json`,
      `${root}/releases/`,
      `${root}/releases/${name}/`,
      `${root}/releases/${name}/drover`,
    ]);
    const mode = async (path: string) => ((await Deno.stat(join(installer.root, path))).mode ?? 0) & 0o777;
    assertEquals([await mode(`releases/${name}`), await mode(`releases/${name}/drover`)], [0o755, 0o755]);
    const text = () => Deno.readTextFile(join(installer.root, "install.json"));
    const before = await text();
    const record = readInstallRecord(before);
    assertEquals({ ...record, installed_at: "" }, {
      schema: 1,
      by: "install.sh",
      version: "1.2.3",
      digest: binarySha256,
      archive: sha256,
      installed_at: "",
      link: installer.command,
      shell_file: "",
      keys: [installer.key.id],
    });
    assertMatch(record?.installed_at ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assertStringIncludes(stdout, "drover uninstall");
    assertStringIncludes(stdout, "is not in your PATH");

    installer.server.requests.length = 0;
    const again = await installer.run();
    assertEquals(again.code, 0, again.stderr);
    assertStringIncludes(again.stdout, "installed already");
    assertEquals(installer.server.requests.some(({ path }) => path.endsWith(".tar.gz")), false);
    assertEquals(apartFromTurns(await installer.tree()), apartFromTurns(tree));
    assertEquals(await text(), before);
  },
);

installTest("an upgrade keeps the release before, and a downgrade needs to be asked for", async () => {
  await using installer = await Installer.create();
  await installer.release("1.9.0");
  await installer.run();
  await installer.release("1.10.0");
  assertEquals((await installer.run()).code, 0);
  assertEquals(await installer.version(), "1.10.0");
  const releases = (await Array.fromAsync(Deno.readDir(join(installer.root, "releases")))).map(({ name }) => name);
  assertEquals(releases.map((name) => name.replace(/-.*/, "")).sort(), ["1.10.0", "1.9.0"]);

  await installer.release("1.9.0");
  const older = await installer.run();
  assertEquals(older.code, 1);
  assertStringIncludes(older.stderr, "--version 1.9.0");
  assertEquals(await installer.version(), "1.10.0");

  await installer.release("1.10.0-rc.1");
  assertEquals((await installer.run()).code, 1);

  assertEquals((await installer.run(["--version", "v1.9.0"])).code, 0);
  assertEquals(await installer.version(), "1.9.0");
});

installTest(
  "--dir, --bin-dir and --from: another place, with any characters, and another host of releases",
  async () => {
    await using installer = await Installer.create();
    await installer.release("1.0.0");
    const [root, bin] = [installer.at(`a "quoted" \\ dir/it's`), installer.at("bin dir")];

    const { code, stderr } = await installer.run([
      "--dir",
      `${root}/`,
      "--bin-dir",
      bin,
      "--from",
      `${installer.server.url}/`,
    ]);

    assertEquals(code, 0, stderr);
    assertEquals(await installer.tree(), []);
    assertEquals(await Deno.readLink(join(bin, "drover")), join(root, "current/drover"));
    const record = readInstallRecord(await Deno.readTextFile(join(root, "install.json")));
    assertEquals(record?.link, join(bin, "drover"));
    const again = await installer.run(["--dir", root, "--bin-dir", bin]);
    assertStringIncludes(again.stdout, "installed already");
  },
);

installTest("only --modify-path edits a shell's file, once, and --uninstall takes its line out", async () => {
  await using installer = await Installer.create();
  await installer.release("1.0.0", { program: fakeProgram("1.0.0", "exit 1") });
  const files: Readonly<Record<string, string>> = {
    "/bin/bash": Deno.build.os === "darwin" ? ".bash_profile" : ".bashrc",
    "/usr/bin/zsh": ".zshrc",
    "/usr/bin/fish": ".config/fish/conf.d/drover.fish",
    "/bin/ksh": ".profile",
  };
  await installer.run();
  for (const [shell, name] of Object.entries(files)) {
    if (!isLong() && shell !== "/bin/bash") continue;
    const file = join(installer.home, name);
    // Not in UTF-8, and without an end.
    const before = name.endsWith(".fish") ? undefined : Uint8Array.from(
      "# caf\xe9 \xff\nalias a=b # mine \xc3",
      (char) => char.charCodeAt(0),
    );
    if (before !== undefined) await Deno.writeFile(file, before, { mode: 0o640 });
    for (let run = 0; run < 2; run++) {
      const { code, stderr } = await installer.run(["--modify-path"], { env: { SHELL: shell } });
      assertEquals(code, 0, stderr);
    }
    const line = (await Deno.readTextFile(file)).split("\n").filter((one) => one.includes("drover installer"));
    assertEquals(line.length, 1, name);
    if (name === ".profile") {
      const shown = new Deno.Command("sh", {
        args: ["-c", `. "${file}"; command -v drover`],
        env: { PATH: "/usr/bin" },
      });
      assertEquals(new TextDecoder().decode((await shown.output()).stdout).trim(), installer.command);
    }
    // A program that does not work any more is no hindrance.
    await Deno.writeTextFile(join(installer.root, "current/drover"), "#!/bin/sh\nexit 1\n");
    const removed = await installer.run(["--uninstall"], { env: { LC_ALL: "C.UTF-8" } });
    assertEquals(removed.code, 0, removed.stderr);
    if (before === undefined) assertEquals(await Deno.stat(file).catch(() => "gone"), "gone");
    else assertEquals(await Deno.readFile(file), new Uint8Array([...before, 10]));
    assertEquals(await Deno.stat(`${file}.drover-uninstall`).catch(() => "gone"), "gone");
    if (before !== undefined) assertEquals(((await Deno.stat(file)).mode ?? 0) & 0o777, 0o640);
    assertEquals((await installer.tree()).filter((path) => path.includes("share/drover") || path.includes("bin/")), [
      ".local/bin/",
    ]);
  }
});

installTest(
  "--uninstall lets a drover that works do it, leaves what is not drover's, and may be repeated",
  async () => {
    await using installer = await Installer.create();
    await installer.release("1.0.0", {
      program: fakeProgram(
        "1.0.0",
        `[ "$1" = uninstall ] && rm "$HOME/.local/share/drover/install.json" && echo asked`,
      ),
    });
    await installer.run();
    assertEquals(await installer.run(["--uninstall"]), { code: 0, stdout: "asked\n", stderr: "" });

    await Deno.writeTextFile(join(installer.root, "current/drover"), "#!/bin/sh\nexit 1\n");
    await Deno.writeTextFile(join(installer.root, "notes"), "mine");
    const removed = await installer.run(["--uninstall"]);
    assertEquals(removed.code, 0, removed.stderr);
    assertEquals((await installer.tree()).filter((path) => path.includes("drover")), [
      ".local/share/drover/",
      ".local/share/drover/notes",
    ]);

    assertStringIncludes((await installer.run(["--uninstall"])).stderr, "no drover is installed");
  },
);

installTest(
  "a file or link of somebody else at the command's place is not replaced, and nothing is downloaded",
  async () => {
    await using installer = await Installer.create();
    await installer.release("1.0.0");
    await Deno.mkdir(join(installer.home, ".local/bin"), { recursive: true });
    const makers: readonly (() => Promise<void>)[] = [
      () => Deno.writeTextFile(installer.command, "mine"),
      () => Deno.symlink("/opt/other/drover", installer.command),
    ];
    for (const make of makers) {
      await make();
      const { code, stderr } = await installer.run();
      assertEquals(code, 1);
      assertStringIncludes(stderr, "--bin-dir");
      assertEquals(installer.server.requests, []);
      await Deno.remove(installer.command);
    }
    // A link of an installation that is gone is replaced.
    await Deno.symlink("/nowhere/current/drover", installer.command);
    assertEquals((await installer.run()).code, 0);
    assertEquals(await installer.version(), "1.0.0");
  },
);

for (const downloader of ["curl", "wget", "busybox"]) {
  installTest({
    name: `it needs few tools, and of those that download only ${downloader}`,
    ignore: !hasTool(downloader) || (!isLong() && downloader !== "wget"),
    async fn() {
      await using installer = await Installer.create();
      await installer.release("1.0.0");
      const tools = await installer.tools("tools", [...NEEDED_TOOLS, "openssl", "dash", downloader]);
      if (downloader === "busybox") await Deno.symlink(join(tools, "busybox"), join(tools, "wget"));

      const { code, stderr } = await installer.run([], { path: tools });

      assertEquals(code, 0, stderr);
      assertEquals(await installer.version(), "1.0.0");
      assertMatch(installer.server.requests.at(-1)?.client ?? "", downloader === "curl" ? /curl/i : /wget/i);
    },
  });
}

installTest({
  name: "BusyBox's shell and tools are enough",
  ignore: !isLong() || !hasTool("busybox") || !hasTool("openssl"),
  async fn() {
    await using installer = await Installer.create();
    await installer.release("1.0.0");
    const tools = await installer.tools("tools", ["busybox", "openssl", "getconf"]);
    for (const tool of [...NEEDED_TOOLS, "wget", "sh"]) {
      if (tool === "getconf" || tool === "ldd") continue;
      await Deno.symlink(join(tools, "busybox"), join(tools, tool));
    }
    for (const version of ["1.0.0", "1.1.0"]) {
      await installer.release(version);
      const { code, stderr } = await installer.run([], { path: tools, shell: [join(tools, "sh")] });
      assertEquals(code, 0, stderr);
      assertEquals(await installer.version(), version);
    }
  },
});

installTest({
  name: "it passes shellcheck",
  ignore: !hasTool("shellcheck"),
  async fn() {
    await using installer = await Installer.create();
    const { stdout, success } = await new Deno.Command("shellcheck", { args: ["-s", "sh", installer.script] }).output();
    assertEquals([success, new TextDecoder().decode(stdout)], [true, ""]);
  },
});

installTest("a script that was cut off anywhere does nothing", async () => {
  await using installer = await Installer.create();
  await installer.release("1.0.0");
  const whole = await Deno.readTextFile(installer.script);
  for (const part of [0.1, 0.5, 0.9, 0.999]) {
    await Deno.writeTextFile(installer.script, whole.slice(0, Math.floor(whole.trimEnd().length * part)));
    await installer.run([], { piped: true });
    assertEquals(await installer.tree(), []);
    assertEquals(installer.server.requests, []);
  }
});

installTest("what cannot be used is refused before anything is written", async () => {
  await using installer = await Installer.create();
  await installer.release("1.0.0");
  const refused: readonly (readonly [args: readonly string[], code: number, said: string])[] = [
    [["--fast"], 2, "no option --fast"],
    [["--version"], 2, "needs a value"],
    [["--version", "../1.0.0"], 1, "is not a version"],
    [["--version", "1.0.0/../../x"], 1, "is not a version"],
    [["--dir", "here"], 1, "not an absolute path"],
    [["--dir", installer.home], 1, "of its own"],
    [["--from", "http://releases.example"], 1, "https"],
    [["--from", "http://127.0.0.1@releases.example"], 1, "cannot use the address"],
    [["--from", "file:///tmp"], 1, "https"],
  ];
  for (const [args, code, said] of refused) {
    const result = await installer.run(args);
    assertEquals(result.code, code, args.join(" "));
    assertStringIncludes(result.stderr, said);
  }
  assertEquals((await installer.run([], { env: { HOME: "" } })).code, 1);
  assertEquals(await installer.tree(), []);
});
