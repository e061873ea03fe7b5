/** The real program, installed by install.sh and removed by itself: all of it goes, nothing else does, and not while tasks run. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { gzipSync } from "node:zlib";
import { CountingAgent } from "../support/counting_agent.ts";
import { TestHome } from "../support/drover.ts";
import { Installer } from "../support/installer.ts";
import { programForms } from "../support/program.ts";
import { tarOf } from "../support/release_files.ts";

const COMPILED = programForms().find(({ kind }) => kind === "compiled")!;

async function realRelease(installer: Installer): Promise<string> {
  const { stdout } = await new Deno.Command(COMPILED.argv[0], {
    args: ["version", "--json"],
    env: { DROVER_HOME: installer.at("nowhere"), HOME: installer.home },
  }).output();
  const { version } = JSON.parse(new TextDecoder().decode(stdout));
  const program = await Deno.readFile(COMPILED.argv[0]);
  // Not made small: that takes seconds.
  const archive = new Uint8Array(gzipSync(tarOf([{ name: "drover", body: program }]), { level: 0 }));
  await installer.release(version, { program, archive });
  return version;
}

Deno.test("what install.sh installed serves, and uninstall ends and removes it; tasks and settings go with --purge alone", async () => {
  await using installer = await Installer.create();
  const version = await realRelease(installer);
  const profile = join(installer.home, ".bashrc");
  await Deno.writeTextFile(profile, "alias mine=true\n");
  const installed = await installer.run(["--modify-path"], { env: { SHELL: "/bin/bash" } });
  assertEquals(installed.code, 0, installed.stderr);
  assertEquals(await installer.version(), version);

  await using home = await TestHome.create({ kind: "compiled", argv: [installer.command] });
  const agent = new CountingAgent(home);
  await agent.install("1.0.0");
  assertEquals((await home.json(["start"])).value.status, "started");
  assertEquals((await home.json(["--profile", "other", "start"])).value.status, "started");
  const running = home.drover(["run", "--agent", "llm", "hold task-a"]);
  await agent.noted("task-a 1.0.0 begun");

  const busy = await home.json(["uninstall", "--timeout", "1s"]);
  assertEquals([busy.code, busy.value.error.code], [8, "drain_deadline"]);
  assertEquals(await installer.version(), version);
  await home.json(["drain", "--cancel"]);

  const inTask = await home.json(["uninstall", "--purge", "--yes"], { env: { DROVER_TASK_ID: "x" } });
  assertEquals(inTask.value.error.code, "usage");
  const unasked = await home.json(["uninstall", "--purge"]);
  assertEquals(unasked.value.error.code, "usage");
  assertEquals(await installer.version(), version);

  await agent.release();
  await running;
  const { code, value } = await home.json(["uninstall"]);
  assertEquals(code, 0, JSON.stringify(value));
  assertEquals(value.status, "uninstalled");
  assertEquals(value.stopped, [home.home, join(home.home, "profiles/other")]);
  assertEquals(value.left, [home.home]);
  await home.assertNoProcessLeft();
  assertEquals(await Deno.readTextFile(profile), "alias mine=true\n");
  assertEquals((await installer.tree()).filter((path) => path.includes("drover")), []);

  assertEquals((await installer.run()).code, 0);
  const other = join(home.root, "other");
  const { value: { pid } } = await home.json(["start"], { env: { DROVER_HOME: other } });
  const purged = await home.json(["uninstall", "--purge", "--yes"]);
  assertEquals(purged.code, 0);
  // Elsewhere a system tells no program who runs from a file.
  assertEquals(purged.value.running, Deno.build.os === "linux" ? [{ pid, home: other }] : []);
  Deno.kill(pid, "SIGTERM");
  await home.assertNoProcessLeft();
  assertEquals(await Deno.stat(home.home).catch(() => "gone"), "gone");
  assertEquals((await installer.tree()).filter((path) => path.includes("drover")), []);
});

Deno.test("a drover that nobody installed does not remove itself, and says what to do", async () => {
  for (const form of programForms()) {
    await using home = await TestHome.create(form);
    const { code, value } = await home.json(["uninstall", "--purge", "--yes"]);
    assertEquals([code, value.error.code], [13, "not_installed"]);
    assertStringIncludes(value.error.hint, "yourself");
  }
});
