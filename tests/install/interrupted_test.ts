/** install.sh killed, failing or short of room at each step, and twice at once: drover works all the while, and the next run completes. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { apartFromTurns, hasTool, Installer, installTest, whereIs } from "../support/installer.ts";
import { isLong } from "../support/length.ts";
import { whyNoMounts } from "../support/mounts.ts";
import { fakeProgram } from "../support/release_files.ts";

/** What changes a file system, and what brings a file. */
const STEPS = ["mkdir", "mv", "ln", "chmod", "gzip", "tar", "sync", "curl"];

/** How a step goes wrong: with the whole process group, or with an error as of a full disk. */
type Trouble = "kill" | "fail";

/**
 * Each takes two runs. By default it is three: the download, the release's directory, and the pointer's move (killed) or
 * the link's (failing).
 */
const TRIED: Readonly<Record<Trouble, { first: number; every: number }>> = isLong()
  ? { kill: { first: 1, every: 1 }, fail: { first: 1, every: 1 } }
  : { kill: { first: 8, every: 6 }, fail: { first: 8, every: 7 } };

/** Tools that count their calls, and make trouble in the one whose number is in the file `at`. */
async function troubledTools(
  installer: Installer,
  trouble: Trouble,
): Promise<{ path: string; at(n: number): Promise<void>; count(): Promise<number> }> {
  const directory = installer.at(trouble);
  const [calls, at] = [installer.at(`${trouble}.calls`), installer.at(`${trouble}.at`)];
  // $$ is the wrapper; 0 is its whole group, the installer with it.
  const doing = trouble === "kill" ? "kill -9 0" : "echo 'No space left on device' >&2; exit 1";
  for (const tool of STEPS.filter(hasTool)) {
    const script =
      `echo x >> '${calls}'\nif [ "$(wc -l < '${calls}')" -eq "$(cat '${at}')" ]; then ${doing}; fi\nexec ${
        whereIs(tool)
      } "$@"`;
    await installer.putTool(directory, tool, script);
  }
  return {
    path: `${directory}:${Deno.env.get("PATH") ?? ""}`,
    async at(n) {
      await Deno.writeTextFile(at, String(n));
      await Deno.writeTextFile(calls, "");
    },
    async count() {
      return (await Deno.readTextFile(calls)).length / 2;
    },
  };
}

for (const trouble of ["kill", "fail"] as const) {
  for (const start of ["fresh", "upgrade"] as const) {
    const what = trouble === "kill" ? "killed" : "failing";
    const name = `${start}: ${what} at any step, drover is what it was or what it is to be, and the next run completes`;
    const ignore = !isLong() && (trouble === "kill") !== (start === "upgrade");
    installTest({ name, ignore }, async () => {
      await using installer = await Installer.create();
      const tools = await troubledTools(installer, trouble);
      await installer.release("1.0.0");
      const before = start === "upgrade" ? "1.0.0" : undefined;
      const share = join(installer.home, ".local");
      const saved = installer.at("saved");
      if (before) assertEquals((await installer.run()).code, 0);
      else await Deno.mkdir(share);
      await new Deno.Command("cp", { args: ["-a", share, saved] }).output();
      await installer.release("1.1.0");

      let steps = 0;
      const { first, every } = TRIED[trouble];
      for (let n = first;; n += every) {
        await tools.at(n);
        const { code, stderr } = await installer.run([], { path: tools.path });
        steps = await tools.count();
        if (steps < n) {
          assertEquals(code, 0, stderr);
          break;
        }
        const version = await installer.version();
        assert(version === before || version === "1.1.0", `after trouble at step ${n} drover is ${version}: ${stderr}`);
        if (code === 0) assertEquals(version, "1.1.0", `step ${n}`);
        const next = await installer.run();
        assertEquals(
          [next.code, await installer.version()],
          [0, "1.1.0"],
          `after trouble at step ${n}: ${next.stderr}`,
        );
        const left = apartFromTurns(await installer.tree()).filter((path) => /staging|\.drover\.|broken/.test(path));
        assertEquals(left, [], `after trouble at step ${n}`);
        await Deno.remove(share, { recursive: true });
        await new Deno.Command("cp", { args: ["-a", saved, share] }).output();
      }
      assert(steps >= 15, `only ${steps} steps`);
    });
  }
}

installTest("a signal ends it and its download at once, and leaves no trace", async () => {
  await using installer = await Installer.create();
  await installer.release("1.0.0");
  for (const [signal, expected] of [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const) {
    installer.server.fault(".tar.gz", { kind: "stall", bytes: 100 });
    installer.server.requests.length = 0;
    const child = installer.start();
    await installer.server.waitFor(".tar.gz");
    child.kill(signal);
    const { code } = await child.output();
    assertEquals(code, expected);
    assertEquals((await installer.tree()).filter((path) => path.includes("drover")), []);
  }
});

installTest("two at once: one installs, the other waits and finds it done", async () => {
  await using installer = await Installer.create();
  await installer.release("1.0.0");
  const { promise: go, resolve } = Promise.withResolvers<void>();
  installer.server.fault(".tar.gz", { kind: "stall", bytes: 100, until: go });
  const first = installer.start();
  await installer.server.waitFor(".tar.gz");
  const second = installer.start();
  const waits = await firstText(second.stderr);
  assertStringIncludes(waits, `process ${first.pid} is installing`);
  installer.server.heal();
  resolve();

  const outcomes = await Promise.all([first.output(), second.status]);
  assertEquals(outcomes.map(({ code }) => code), [0, 0]);
  const said = await new Response(second.stdout).text();
  assertStringIncludes(said, "installed already");
  assertEquals(installer.server.requests.filter(({ path }) => path.endsWith(".tar.gz")).length, 1);
});

/** Until the first line, and on until the end without being looked at. */
async function firstText(stream: ReadableStream<Uint8Array>): Promise<string> {
  const [one, rest] = stream.tee();
  const reader = one.getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) break;
    text += new TextDecoder().decode(value);
  }
  reader.cancel();
  rest.pipeTo(new WritableStream());
  return text;
}

installTest({ name: "many at once end well, with one installation", ignore: !isLong() }, async () => {
  await using installer = await Installer.create();
  await installer.release("1.0.0");
  const runs = await Promise.all(Array.from({ length: 6 }, () => installer.run()));
  assertEquals(runs.map(({ code }) => code), [0, 0, 0, 0, 0, 0], runs.map(({ stderr }) => stderr).join());
  assertEquals(runs.filter(({ stdout }) => stdout.includes("installed already")).length, 5);
  assertEquals(await installer.version(), "1.0.0");
});

installTest("the turn of a process that is gone is taken over, also when its pid is somebody else's now", async () => {
  await using installer = await Installer.create();
  await installer.release("1.0.0");
  const gone = await new Deno.Command("sh", { args: ["-c", "echo $$"] }).output();
  const turns = [`${new TextDecoder().decode(gone.stdout).trim()}-1`, `${Deno.pid}-1`, "nonsense"];
  for (const turn of Deno.build.os === "linux" ? turns : [turns[0]!, turns[2]!]) {
    await Deno.mkdir(join(installer.root, "install.lock.d"), { recursive: true });
    await Deno.symlink(turn, join(installer.root, "install.lock.d/7"));
    const { code, stderr } = await installer.run();
    assertEquals(code, 0, stderr);
    const turns = await Array.fromAsync(Deno.readDir(join(installer.root, "install.lock.d")));
    assertEquals(turns.map(({ name }) => name).sort(), ["8", "8.done"]);
    await Deno.remove(installer.root, { recursive: true });
  }
});

installTest("a broken installation is mended by another run, whatever is wrong with it", async () => {
  await using installer = await Installer.create();
  const { binarySha256 } = await installer.release("1.0.0");
  const at = (name: string) => join(installer.root, name);
  const release = `releases/1.0.0-${binarySha256.slice(0, 12)}`;
  const damages: Readonly<Record<string, () => Promise<void>>> = {
    "no pointer": () => Deno.remove(at("current")),
    "a pointer to nothing": () => relink("releases/9.9.9-000000000000", at("current")),
    "a directory in place of the pointer": async () => {
      await Deno.remove(at("current"));
      await Deno.mkdir(at("current"));
    },
    "a pointer elsewhere": () => relink("/bin", at("current")),
    "no program": () => Deno.remove(at(`${release}/drover`)),
    "another program": () => Deno.writeTextFile(at(`${release}/drover`), "#!/bin/sh\nexit 1\n"),
    "an empty program": () => Deno.writeTextFile(at(`${release}/drover`), ""),
    "a program that may not be run": () => Deno.chmod(at(`${release}/drover`), 0o644),
    "a file in place of the release": async () => {
      await Deno.remove(at(release), { recursive: true });
      await Deno.writeTextFile(at(release), "");
    },
    "no record": () => Deno.remove(at("install.json")),
    "an empty record": () => Deno.writeTextFile(at("install.json"), ""),
    "a damaged record": () => Deno.writeTextFile(at("install.json"), '{\n  "version": "1.0.0",\n  "digest": "zz'),
    "no link": () => Deno.remove(installer.command),
    "left-over staging": async () => {
      await Deno.mkdir(at("staging/install.1/home"), { recursive: true });
      await Deno.writeTextFile(at("staging/install.1/drover"), "half");
    },
  };
  await installer.run();
  const whole = apartFromTurns(await installer.tree());
  // Of the pointer, the program, the record and what lies around, one each.
  const some = ["a directory in place of the pointer", "another program", "a damaged record", "left-over staging"];
  for (const [what, damage] of Object.entries(damages)) {
    if (!isLong() && !some.includes(what)) continue;
    await damage();
    const { code, stderr } = await installer.run();
    assertEquals(code, 0, `${what}: ${stderr}`);
    assertEquals(await installer.version(), "1.0.0", what);
    assertEquals(apartFromTurns(await installer.tree()), whole, what);
  }
});

async function relink(target: string, path: string): Promise<void> {
  await Deno.remove(path);
  await Deno.symlink(target, path);
}

installTest({
  name: "a full disk: the upgrade fails at whatever step room runs out, drover works, and with room again it succeeds",
  ignore: !isLong() || whyNoMounts() !== undefined,
  async fn() {
    await using installer = await Installer.create();
    const noise = crypto.getRandomValues(new Uint8Array(40_000)).toBase64();
    await installer.release("1.0.0");
    await installer.release("1.1.0", { program: fakeProgram("1.1.0", `# ${noise.repeat(20)}\n# ${noise}`) });
    const script = installer.at("full.sh");
    await Deno.writeTextFile(
      script,
      `set -u
mount -t tmpfs -o size=16m none "$ROOT"
run() { dash "$INSTALLER" --dir "$ROOT/drover" "$@" 2>"$OUT/said"; }
run --version 1.0.0 >/dev/null || { cat "$OUT/said"; exit 9; }
for free in 0 4 40 200 1000 1700; do
  used=$(df -k "$ROOT" | awk 'NR == 2 { print $3 }')
  mount -o remount,size=$((used + free))k none "$ROOT"
  run >/dev/null
  code=$?
  echo "$free $code $("$HOME/.local/bin/drover" version) $(ls "$ROOT/drover/releases" | wc -l) $(ls -d "$ROOT/drover/staging" 2>/dev/null)"
  [ "$code" = 0 ] || sed 's/^/said /' "$OUT/said"
  mount -o remount,size=16m none "$ROOT"
done
run >/dev/null && "$HOME/.local/bin/drover" version
`,
    );
    await Deno.mkdir(installer.at("disk"));
    const { code, stdout, stderr } = await new Deno.Command("unshare", {
      args: ["-rm", "dash", script],
      env: {
        HOME: installer.home,
        PATH: Deno.env.get("PATH") ?? "",
        ROOT: installer.at("disk"),
        INSTALLER: installer.script,
        OUT: installer.at("."),
      },
      clearEnv: true,
    }).output();
    const said = new TextDecoder().decode(stdout);
    assertEquals(code, 0, said + new TextDecoder().decode(stderr));
    const rounds = said.split("\n").filter((line) => /^\d/.test(line));
    assertEquals(rounds.length, 6, said);
    for (const round of rounds) assertMatch(round, /^\d+ 1 drover 1\.0\.0 \(fake\) 1 $/, said);
    assertStringIncludes(said, "No space left on device");
    assertMatch(said, /\ndrover 1\.1\.0 \(fake\)\n$/);
  },
});
