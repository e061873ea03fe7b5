/** What a task brings for its agent: placed where the CLI looks, hidden from git, and taken out again. Real files, real git. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type Files, HostError } from "../../lib/core/ports.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createFiles } from "../../lib/host/files.ts";
import { createProcesses } from "../../lib/host/process.ts";
import { PROVIDERS } from "../../lib/agents/registry.ts";
import type { TeamServer } from "../../lib/daemon/brief.ts";
import { WorkdirError } from "../../lib/daemon/git.ts";
import { restoreAllPlaced, restorePlaced } from "../../lib/daemon/placed_files.ts";
import { prepareTaskFiles, type Surface, type TaskFiles } from "../../lib/daemon/task_files.ts";
import { type TempDirectory, tempDirectory } from "../host/temp_directory.ts";
import { GIT_ENV } from "../support/git_env.ts";
import { claimed } from "./fake_connection.ts";
import { keptLog } from "./kept_log.ts";

const files = createFiles();
const processes = createProcesses({ clock: createClock() });
const log = keptLog();

const SURFACE: Surface = { title: "Bot", brief: "BOT.md", skills: ".bot/skills", mcp: { file: ".bot/settings.json" } };
const SKILL = { name: "review", description: "d", content: "look", files: [{ path: "lib/x.sh", content: "echo" }] };
const MCP = { mcpServers: { tools: { command: "tools" } } };

interface Wish {
  readonly agent?: Record<string, unknown>;
  readonly claim?: Record<string, unknown>;
  readonly surface?: Surface | null;
  readonly team?: TeamServer;
  readonly files?: Files;
}

/** A directory of the user's, in place. */
class Place {
  readonly directory: string;
  readonly record: string;
  constructor(readonly dir: TempDirectory) {
    this.directory = dir.at("work");
    this.record = dir.at("placed/task");
  }

  static async make(dir: TempDirectory): Promise<Place> {
    const place = new Place(dir);
    await Deno.mkdir(place.directory);
    return place;
  }

  prepare({ agent, claim, team, surface = SURFACE, files: theirs = files }: Wish = {}): Promise<TaskFiles> {
    const task = claimed("t", {
      directory: { mode: "in-place", path: this.directory },
      agent: { id: "a", name: "bot", instructions: "Be brief.", ...agent },
      ...claim,
    });
    return prepareTaskFiles(task, {
      files: theirs,
      processes,
      env: GIT_ENV,
      signal: new AbortController().signal,
      ...(surface ? { surface } : {}),
      ...(team ? { team } : {}),
      directory: this.directory,
      record: this.record,
    });
  }

  restore(): Promise<void> {
    return restorePlaced(this.record, { files, log });
  }

  at(name: string): string {
    return `${this.directory}/${name}`;
  }

  read(name: string): Promise<string> {
    return Deno.readTextFile(this.at(name));
  }

  /** Every path below, with its content; links as what they say. */
  async tree(path = this.directory): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    for (const name of await files.list(path)) {
      const at = `${path}/${name}`;
      const info = (await files.stat(at, { link: true }))!;
      if (name === ".git") continue;
      if (info.isSymlink) found[at] = `-> ${await Deno.readLink(at)}`;
      else if (info.isDirectory) Object.assign(found, { [at]: "/" }, await this.tree(at));
      else found[at] = `${info.mode.toString(8)} ${info.ino} ${await files.readBytes(at)}`;
    }
    return found;
  }

  async git(args: string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
    const command = new Deno.Command("git", { args, cwd: this.directory, env: { ...GIT_ENV, ...env }, clearEnv: true });
    const { success, stdout, stderr } = await command.output();
    assert(success, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout).trim();
  }
}

Deno.test("prepareTaskFiles() puts brief, skills and servers where the CLI looks, and restorePlaced() leaves the tree as it was", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  await Deno.mkdir(place.at(".bot"));
  await Deno.writeFile(place.at("BOT.md"), new Uint8Array([77, 13, 10, 255, 0]));
  await Deno.chmod(place.at("BOT.md"), 0o640);
  await Deno.writeTextFile(place.at(".bot/settings.json"), '{"theme":  "dark"}');
  const before = await place.tree();
  const placed = await place.prepare({ agent: { skills: [SKILL], mcp_config: MCP } });
  assertEquals([placed.brief, placed.remarks, placed.placed], ["", [], true]);
  assertEquals(placed.mcpServers, [{ name: "tools", kind: "stdio", command: "tools", args: [], env: {} }]);
  assertStringIncludes(await place.read("BOT.md"), "Be brief.");
  assertStringIncludes(await place.read(".bot/skills/review/SKILL.md"), "look");
  assertEquals(await place.read(".bot/skills/review/lib/x.sh"), "echo");
  assertEquals(JSON.parse(await place.read(".bot/settings.json")), { theme: "dark", ...MCP });
  await place.restore();
  assertEquals(await place.tree(), before);
  assertEquals(await files.stat(place.record), undefined);
  await place.restore();
});

Deno.test("restorePlaced() leaves an empty directory empty, whatever had to be made in it", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  await place.prepare({ agent: { skills: [SKILL], mcp_config: MCP } });
  assertEquals((await files.stat(place.at(".bot/settings.json")))!.mode, 0o600);
  await place.restore();
  assertEquals(await place.tree(), {});
});

Deno.test("restorePlaced() keeps what the agent wrote, and takes only ours out of it", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  await Deno.writeTextFile(place.at("BOT.md"), "mine\n");
  await place.prepare({ agent: { skills: [SKILL], mcp_config: MCP } });
  await Deno.writeTextFile(place.at("BOT.md"), await place.read("BOT.md") + "the agent's\n");
  const settings = JSON.parse(await place.read(".bot/settings.json"));
  await Deno.writeTextFile(place.at(".bot/settings.json"), JSON.stringify({ ...settings, learned: 1 }));
  await Deno.writeTextFile(place.at(".bot/skills/own"), "");
  await place.restore();
  assertEquals(await place.read("BOT.md"), "mine\nthe agent's\n");
  assertEquals(JSON.parse(await place.read(".bot/settings.json")), { learned: 1 });
  assertEquals(await files.list(place.at(".bot/skills")), ["own"]);
});

Deno.test("restorePlaced() writes through no link that the agent made, and brings nothing back that it deleted", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  await Deno.writeTextFile(place.at("BOT.md"), "mine\n");
  await Deno.writeTextFile(dir.at("outside"), "precious");
  await place.prepare({ agent: { mcp_config: MCP } });
  await Deno.remove(place.at("BOT.md"));
  await Deno.symlink(dir.at("outside"), place.at("BOT.md"));
  await Deno.remove(place.at(".bot"), { recursive: true });
  await place.restore();
  assertEquals(await Deno.readTextFile(dir.at("outside")), "precious");
  assertEquals(await files.list(place.directory), ["BOT.md"]);
});

Deno.test("restoreAllPlaced() takes out what a daemon that was killed had placed, also when it was cut off in the middle", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  await Deno.writeTextFile(place.at("BOT.md"), "mine\n");
  const before = await place.tree();
  await place.prepare({ agent: { skills: [SKILL], mcp_config: MCP } });
  // As if it had come no further than this.
  await Deno.remove(place.at(".bot"), { recursive: true });
  await Deno.mkdir(dir.at("placed/cut-off-before-its-record"));
  await restoreAllPlaced(dir.at("placed"), { files, log });
  assertEquals(await place.tree(), before);
  assertEquals(await files.list(dir.at("placed")), []);
  await restoreAllPlaced(dir.at("none"), { files, log });
});

Deno.test("restorePlaced() gives the user's file back where a write was cut off, and takes no edit for that", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  const mine = "one\ntwo\nthree\n";
  const full = {
    ...files,
    async overwrite(path: string, bytes: Uint8Array) {
      await Deno.writeFile(path, bytes.subarray(0, 5));
      throw new HostError("no-space", "Writing failed: no space is left");
    },
  };
  const begun = async () => {
    await Deno.writeTextFile(place.at("BOT.md"), mine);
    await place.prepare();
  };
  // While it was placed, and before a word of it was there.
  for (const length of [5, 0]) {
    await Deno.writeTextFile(place.at("BOT.md"), mine);
    await assertRejects(
      () =>
        place.prepare({
          files: {
            ...full,
            overwrite: (path, bytes) => full.overwrite(path, bytes.subarray(0, length)),
          },
        }),
      HostError,
    );
    await restorePlaced(place.record, { files: full, log });
    assert(await files.stat(place.record), "without it nobody knows what was there");
    await place.restore();
    assertEquals([await place.read("BOT.md"), await files.stat(place.record)], [mine, undefined]);
  }
  // While it was taken out, also of a file with an edit.
  for (const edit of ["", "the agent's\n"]) {
    await begun();
    await Deno.writeTextFile(place.at("BOT.md"), await place.read("BOT.md") + edit);
    await restorePlaced(place.record, { files: full, log });
    await place.restore();
    assertEquals([await place.read("BOT.md"), await files.stat(place.record)], [mine + edit, undefined]);
  }
  // A shorter text is what somebody wanted; none at all is what a power cut leaves.
  for (const [now, then] of [["one\n", "one\n"], ["", mine]]) {
    await begun();
    await Deno.writeTextFile(place.at("BOT.md"), now!);
    await place.restore();
    assertEquals(await place.read("BOT.md"), then);
  }
});

Deno.test("prepareTaskFiles() follows a link to a file inside, and leaves one that leads out alone", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  await Deno.writeTextFile(place.at("AGENTS.md"), "mine\n");
  await Deno.symlink("AGENTS.md", place.at("BOT.md"));
  const before = await place.tree();
  assertEquals((await place.prepare()).brief, "");
  assertStringIncludes(await place.read("AGENTS.md"), "Be brief.");
  await place.restore();
  assertEquals(await place.tree(), before);
  await Deno.writeTextFile(dir.at("outside.md"), "mine\n");
  await Deno.remove(place.at("BOT.md"));
  await Deno.symlink(dir.at("outside.md"), place.at("BOT.md"));
  assertStringIncludes((await place.prepare()).brief, "Be brief.");
  assertEquals(await Deno.readTextFile(dir.at("outside.md")), "mine\n");
});

Deno.test("prepareTaskFiles() writes nothing through a folder that leads out of the directory", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  await Deno.mkdir(dir.at("outside"));
  await Deno.symlink(dir.at("outside"), place.at(".bot"));
  await assertRejects(() => place.prepare({ agent: { skills: [SKILL] } }), WorkdirError, "leads out");
  await place.restore();
  assertEquals(await files.list(dir.at("outside")), []);
});

Deno.test("prepareTaskFiles() gives the brief with the prompt where there is no file for it or nothing may be changed", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  const { brief: _, ...without } = SURFACE;
  for (const wish of [{ surface: without }, { surface: null }, { claim: { permission: "read-only" } }]) {
    const placed = await place.prepare(wish);
    assertStringIncludes(placed.brief, "Be brief.");
    assertEquals([placed.placed, await files.list(place.directory)], [false, []]);
  }
});

Deno.test("prepareTaskFiles() for a read-only task changes nothing of the user's, and places nothing that is not read", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  const agent = { instructions: "Be brief.", skills: [SKILL], mcp_config: MCP };
  const mine = await place.prepare({ agent, claim: { permission: "read-only" } });
  assertStringIncludes(mine.brief, "Be brief.");
  assertEquals([mine.placed, mine.mcpServers, await files.list(place.directory)], [false, undefined, []]);
  assertEquals(mine.remarks, [
    `the skill review is left out: with the permission read-only nothing is placed in ${place.directory}`,
    `the MCP server tools is left out: with the permission read-only nothing is placed in ${place.directory}`,
  ]);
  const claim = { permission: "read-only", directory: { mode: "scratch" } };
  const permissions = { ask: {}, "read-only": { withoutProject: true } } as const;
  const blind = await place.prepare({ agent, claim, surface: { ...SURFACE, permissions, mcp: "protocol" } });
  assertStringIncludes(blind.brief, "Be brief.");
  assertEquals([blind.placed, blind.mcpServers?.length, await files.list(place.directory)], [false, 1, []]);
  assertEquals(blind.remarks, ["the skill review is left out: with the permission read-only Bot looks for none"]);
  const own = await place.prepare({ agent, claim });
  assertStringIncludes(own.brief, "Be brief.");
  assertEquals(await files.list(place.directory), [".bot"]);
  await place.restore();
});

Deno.test("A CLI that leaves its directory's settings out of a read-only run is known not to find skills there", () => {
  for (const row of PROVIDERS.filter(({ skills }) => skills)) {
    const grant = row.permissions["read-only"];
    const leavesOut = JSON.stringify([grant, row.family === "acp" && row.acp.sessionMeta])
      .match(/"--setting-sources","user"|"settingSources":\["user"\]/) !== null;
    assertEquals(grant?.withoutProject === true, leavesOut, row.provider);
  }
});

Deno.test("prepareTaskFiles() without instructions writes into a directory of its own only, and over nobody's file", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  const agent = { instructions: " " };
  assertEquals((await place.prepare({ agent })).placed, false);
  const own = { agent, claim: { directory: { mode: "scratch" } } };
  assertEquals((await place.prepare(own)).placed, true);
  assertStringIncludes(await place.read("BOT.md"), "DROVER_TASK_ID");
  await place.restore();
  await Deno.writeTextFile(place.at("BOT.md"), "committed\n");
  assertEquals((await place.prepare(own)).placed, false);
  const unknown = await place.prepare({ ...own, surface: null });
  assertEquals([unknown.brief, unknown.env, unknown.placed, unknown.remarks], ["", {}, false, []]);
});

Deno.test("prepareTaskFiles() tells a team's agent of its server with the prompt where no file may say it", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  const agent = { instructions: "" };
  const mine = await place.prepare({ agent, team: "with-token" });
  assertStringIncludes(mine.brief, "DROVER_SERVER_URL");
  assertEquals([mine.placed, await files.list(place.directory)], [false, []]);
  const own = await place.prepare({ agent, team: "with-token", claim: { directory: { mode: "scratch" } } });
  assertEquals([own.brief, own.placed], ["", true]);
  assertStringIncludes(await place.read("BOT.md"), "DROVER_SERVER_URL");
  await place.restore();
});

Deno.test("prepareTaskFiles() leaves a skill of the user's as it is, and says what could not be had", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  await Deno.mkdir(place.at(".bot/skills/review"), { recursive: true });
  const placed = await place.prepare({ agent: { skills: [SKILL, { ...SKILL, name: "other" }] } });
  assertEquals(await files.list(place.at(".bot/skills")), ["other", "review"]);
  assertEquals(await files.list(place.at(".bot/skills/review")), []);
  assertEquals(placed.remarks, [`the skill review is left out: ${place.at(".bot/skills/review")} is there already`]);
  await place.restore();
  assertEquals(await files.list(place.at(".bot/skills")), ["review"]);
  const bare = await place.prepare({
    agent: { skills: [SKILL], mcp_config: { mcpServers: { ...MCP.mcpServers, bad: {} } } },
    surface: { title: "Bot", mcp: "none" },
  });
  assertEquals(bare.remarks, [
    "the skill review is left out: Bot has no folder for skills",
    "the MCP server bad is left out: its entry has neither a command nor a URL",
    "the MCP server tools is left out: Bot takes none",
  ]);
});

Deno.test("prepareTaskFiles() gives MCP servers as an option in a private file outside of the directory", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  const agent = { instructions: "", mcp_config: MCP };
  const placed = await place.prepare({ agent, surface: { ...SURFACE, mcp: "args" } });
  assertEquals(placed.mcpConfigFile, `${place.record}/mcp.json`);
  assertEquals(JSON.parse(await Deno.readTextFile(placed.mcpConfigFile!)), MCP);
  assertEquals((await files.stat(placed.mcpConfigFile!))!.mode, 0o600);
  assertEquals(await files.list(place.directory), []);
  await place.restore();
  assertEquals(await files.stat(placed.mcpConfigFile!), undefined);
  const spoken = await place.prepare({ agent, surface: { ...SURFACE, mcp: "protocol" } });
  assertEquals([spoken.mcpServers?.length, spoken.mcpConfigFile, spoken.placed], [1, undefined, false]);
  const none = await place.prepare({ agent: { instructions: "" }, surface: { ...SURFACE, mcp: "args" } });
  assertEquals([none.mcpServers, none.mcpConfigFile], [undefined, undefined]);
});

Deno.test("prepareTaskFiles() refuses servers for a file of the CLI's that it cannot read", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  await Deno.mkdir(place.at(".bot"));
  await Deno.writeTextFile(place.at(".bot/settings.json"), "// mine\n{}");
  await assertRejects(() => place.prepare({ agent: { mcp_config: MCP } }), WorkdirError, "JSON object");
});

Deno.test("prepareTaskFiles() hides what it places from the agent's git, and tells no repository", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  await place.git(["init", "--quiet"]);
  await Deno.mkdir(place.at(".bot"));
  await Deno.writeTextFile(place.at("BOT.md"), "mine\n");
  await Deno.writeTextFile(place.at(".bot/settings.json"), '{"theme":1}\n');
  await place.git(["add", "."]);
  await place.git(["commit", "--quiet", "-m", "first"]);
  const exclude = await place.read(".git/info/exclude");
  const config = await place.read(".git/config");
  const { env, settle } = await place.prepare({ agent: { skills: [SKILL], mcp_config: MCP } });
  assertEquals(await place.git(["status", "--porcelain"], env), "");
  await Deno.writeTextFile(place.at("BOT.md"), await place.read("BOT.md") + "the agent's\n");
  await Deno.writeTextFile(place.at("result"), "");
  await place.git(["add", "--all"], env);
  await place.git(["commit", "--quiet", "-m", "work"], env);
  assertEquals(await place.git(["show", "--name-only", "--format="]), "BOT.md\nresult");
  assertEquals(await place.git(["show", "HEAD:BOT.md"]), "mine\nthe agent's");
  await place.restore();
  await settle();
  assertEquals(await place.git(["status", "--porcelain"]), "");
  assertEquals([await place.read(".git/info/exclude"), await place.read(".git/config")], [exclude, config]);
});

Deno.test("prepareTaskFiles() hides a new brief in a subdirectory, beside what the user ignores", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  await place.git(["init", "--quiet"]);
  await Deno.mkdir(dir.at("config/git"), { recursive: true });
  await Deno.writeTextFile(dir.at("config/git/ignore"), "*.log");
  const sub = new Place(dir);
  Object.assign(sub, { directory: place.at("a [b]") });
  await Deno.mkdir(sub.directory);
  const { env } = await sub.prepare({ agent: { skills: [SKILL] } });
  await Deno.writeTextFile(sub.at("x.log"), "");
  await Deno.writeTextFile(place.at("BOT.md"), "another one");
  assertEquals(await place.git(["status", "--porcelain", "-uall"], env), '?? BOT.md\n?? "a [b]/x.log"');
});

Deno.test("prepareTaskFiles() keeps its part of a known file out of commits, whatever the directory is called", async () => {
  await using dir = await tempDirectory();
  const place = await Place.make(dir);
  await place.git(["init", "--quiet"]);
  const sub = new Place(dir);
  Object.assign(sub, { directory: place.at('a "b" [c] \\d#') });
  await Deno.mkdir(sub.directory);
  await Deno.writeTextFile(sub.at("BOT.md"), "mine\n");
  await place.git(["add", "."]);
  await place.git(["commit", "--quiet", "-m", "first"]);
  const { env } = await sub.prepare();
  assertEquals(await sub.git(["status", "--porcelain"], env), "");
  await Deno.writeTextFile(sub.at("BOT.md"), await sub.read("BOT.md") + "the agent's\n");
  await sub.git(["commit", "--quiet", "--all", "-m", "work"], env);
  assertEquals(await sub.git(["show", "HEAD:./BOT.md"]), "mine\nthe agent's");
});
