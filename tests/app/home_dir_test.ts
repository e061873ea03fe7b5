/** The home directory: made private, refused with a reason, and with an identity and a command of its own. */
import { assert, assertEquals, assertMatch, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import { daemonIdOf, findHome, openHome, removeUnfinished, writeOwnCommand } from "../../lib/app/home_dir.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import { homeLayout } from "../../lib/core/home.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";

async function modeOf(path: string): Promise<number> {
  return (await Deno.stat(path)).mode! & 0o777;
}

Deno.test("findHome() takes it from the environment, or says what is missing there", () => {
  assertEquals(findHome(testHost({ env: { DROVER_HOME: "/h" } }).host).root, "/h");
  for (const env of [{ TERM: "dumb" }, { DROVER_HOME: "here" }] as Record<string, string>[]) {
    const error = assertThrows(() => findHome(testHost({ env }).host), DroverError);
    assertEquals(error.code, "home_unusable");
  }
});

Deno.test("findHome() takes the profile of the command line before that of the environment", () => {
  const root = (env: Record<string, string>, profile?: string) => findHome(testHost({ env }).host, profile).root;
  assertEquals(root({ HOME: "/u" }, "work"), "/u/.drover/profiles/work");
  assertEquals(root({ DROVER_HOME: "/h", DROVER_PROFILE: "work" }), "/h/profiles/work");
  assertEquals(root({ DROVER_HOME: "/h", DROVER_PROFILE: "work" }, "play"), "/h/profiles/play");
  assertEquals(root({ DROVER_HOME: "/h", DROVER_PROFILE: "work" }, "default"), "/h");
  assertEquals(root({ DROVER_HOME: "/h", DROVER_PROFILE: "" }), "/h");
  // What a daemon of a profile hands on, to a child whose environment still names the profile.
  assertEquals(root({ DROVER_HOME: "/h/profiles/work", DROVER_PROFILE: "work" }), "/h/profiles/work");
});

Deno.test("findHome() refuses a name that no profile has, and says where it comes from", () => {
  const refused = (env: Record<string, string>, profile?: string) =>
    assertThrows(() => findHome(testHost({ env: { DROVER_HOME: "/h", ...env } }).host, profile), DroverError);
  for (
    const [error, source] of [[refused({}, "../x"), "--profile"], [
      refused({ DROVER_PROFILE: "A" }),
      "DROVER_PROFILE",
    ]] as const
  ) {
    assertEquals(error.code, "usage");
    assertMatch(error.message, new RegExp(source));
    assertMatch(error.hint ?? "", /32/);
  }
});

Deno.test("openHome() makes a private home with everything in it, and opens it again", async () => {
  await using dir = await tempDirectory();
  const home = homeLayout(dir.at("a/home"));
  const { host } = testHost();
  for (let n = 0; n < 2; n++) {
    await openHome(host, home);
    for (
      const path of [home.root, home.runDirectory, home.bin, home.workspaces, home.transcripts, `${home.root}/logs`]
    ) {
      assertEquals(await modeOf(path), 0o700, path);
    }
  }
});

Deno.test("openHome() makes a home private that others may look into", async () => {
  await using dir = await tempDirectory();
  const home = homeLayout(dir.at("home"));
  await Deno.mkdir(home.root);
  await Deno.chmod(home.root, 0o755);
  await openHome(testHost().host, home);
  assertEquals(await modeOf(home.root), 0o700);
});

Deno.test("openHome() refuses a home that is none, that others may write to, or that belongs to another", async () => {
  await using dir = await tempDirectory();
  const home = homeLayout(dir.at("home"));
  const refused = async (words: string, uid?: number) => {
    const error = await assertRejects(() => openHome(testHost({ uid }).host, home), DroverError, words);
    assertEquals(error.code, "home_unusable");
    assert(error.message.includes(home.root) && error.hint, error.message);
  };
  await Deno.writeTextFile(home.root, "");
  await refused("not a directory");
  await Deno.remove(home.root);
  await Deno.mkdir(home.root);
  await Deno.chmod(home.root, 0o770);
  await refused("others may write to it (mode 770)");
  await Deno.chmod(home.root, 0o700);
  await refused("it belongs to user", (Deno.uid() ?? 0) + 1);
});

Deno.test("daemonIdOf() makes an id once, and a new one when the file holds none", async () => {
  await using dir = await tempDirectory();
  const home = homeLayout(dir.path);
  const { host } = testHost();
  const id = await daemonIdOf(host, home);
  assertMatch(id, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assertEquals([await daemonIdOf(host, home), await modeOf(home.daemonId)], [id, 0o600]);
  await Deno.writeTextFile(home.daemonId, "");
  assertNotEquals(await daemonIdOf(host, home), id);
});

/** A fork of another test may have the file open for writing until its exec, however long it has been closed here. */
async function outputOf(path: string, args: string[]): Promise<Deno.CommandOutput> {
  for (const end = Date.now() + 10_000;;) {
    try {
      return await new Deno.Command(path, { args }).output();
    } catch (error) {
      if (!String(error).includes("Text file busy") || Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

Deno.test("writeOwnCommand() puts a command into the home that runs this program with its arguments", async () => {
  await using dir = await tempDirectory();
  const home = homeLayout(dir.path);
  await Deno.mkdir(home.bin);
  const { host } = testHost({ selfCommand: ["/bin/echo", "it's", "$HOME", "two words"] });
  await writeOwnCommand(host, home);
  await writeOwnCommand(host, home);
  const { stdout } = await outputOf(`${home.bin}/drover`, ["a b", '"c"']);
  assertEquals(new TextDecoder().decode(stdout), `it's $HOME two words a b "c"\n`);
  assertEquals(await modeOf(`${home.bin}/drover`), 0o700);
});

Deno.test("removeUnfinished() takes what a killed write left, and neither a write that goes on nor anything else", async () => {
  await using dir = await tempDirectory();
  const { host } = testHost();
  const home = homeLayout(dir.at("home"));
  await removeUnfinished(host, home);
  await openHome(host, home);
  const place = async (name: string, minutes: number) => {
    await host.files.writeAtomic(`${home.root}/${name}`, "secret");
    await host.files.setModified(`${home.root}/${name}`, host.clock.now() - minutes * 60_000);
  };
  await place(".tmp-old", 11);
  await place(".tmp-new", 9);
  await place(".tmp-tomorrow", -1_440);
  await place("credentials.json", 11);
  await host.files.makeDirectory(`${home.root}/.tmp-directory`);
  await host.files.setModified(`${home.root}/.tmp-directory`, 0);
  const before = await host.files.list(home.root);
  await removeUnfinished(host, home);
  assertEquals(await host.files.list(home.root), before.filter((name) => name !== ".tmp-old"));
});
