/** A task's place in a whole daemon: turns in a directory of the user's, what is placed in it, and that all of it goes again. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { basename } from "@std/path";
import type { DaemonOptions } from "../../lib/daemon/daemon.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { DaemonWorld } from "./daemon_world.ts";
import { TeamWorld } from "./team_world.ts";

const SURFACE = {
  title: "Bot",
  brief: "BOT.md",
  mcp: "args",
  privateHome: { variable: "BOT_HOME", original: ".bot", linked: [], copied: [] },
} as const;
const SURFACES: Partial<DaemonOptions> = { surfaceOf: () => SURFACE };

function inPlace(path: string) {
  return { directory: { mode: "in-place", path }, permission: "full" } as const;
}

Deno.test("Daemon lets one task at a time work in a directory; the others wait, say for whom, and hold up nobody else", async () => {
  await using dir = await tempDirectory();
  await Deno.mkdir(dir.at("work/inner"), { recursive: true });
  await Deno.symlink(dir.at("work"), dir.at("alias"));
  await using w = await DaemonWorld.started({ slots: 4 });
  const first = await w.submit("first", inPlace(dir.at("work")));
  const one = await w.agent(0);
  // One after the other: those that come at the same time take turns as they find their real paths.
  const second = await w.submit("second", inPlace(dir.at("alias")));
  await w.ended(second, "waiting_local_directory");
  const third = await w.submit("third", inPlace(dir.at("work/inner")));
  await w.ended(third, "waiting_local_directory");
  await w.submit("elsewhere");
  const other = await w.agent(1);
  assertEquals(other.task!.prompt, "elsewhere");
  other.end();
  await w.until("it is over", () => w.daemon.status().tasks.length === 3);
  assertEquals((await w.show(second)).progress, `waits for task ${first.slice(0, 8)} in ${dir.at("alias")}`);
  assertEquals(w.daemon.status().tasks.map(({ stage }) => stage).sort(), ["running", "waiting", "waiting"]);
  // Longer than a task may take to be prepared, and than a lease lasts.
  await w.clock.advance(6 * 60_000);
  assertEquals([(await w.show(second)).status, w.agents.started.length], ["waiting_local_directory", 2]);
  one.end();
  const two = await w.agent(2);
  assertEquals([two.task!.id, two.request.cwd, (await w.show(third)).status], [
    second,
    dir.at("alias"),
    "waiting_local_directory",
  ]);
  two.end();
  (await w.agent(3)).end();
  const last = await w.ended(third, "completed");
  assertEquals([last.attempt, last.progress], [1, null]);
  await w.idle();
});

Deno.test("Daemon lets go of a task that is cancelled while it waits for its directory", async () => {
  await using dir = await tempDirectory();
  await using w = await DaemonWorld.started({ slots: 3 });
  await w.submit("first", inPlace(dir.path));
  const one = await w.agent(0);
  const second = await w.submit("second", inPlace(dir.path));
  await w.ended(second, "waiting_local_directory");
  const third = await w.submit("third", inPlace(dir.path));
  await w.ended(third, "waiting_local_directory");
  await w.cancel(second);
  await w.until("it left its slot", () => w.daemon.status().tasks.every(({ task }) => task !== second));
  one.end();
  const next = await w.agent(1);
  assertEquals(next.task!.id, third);
  next.end();
  await w.idle();
});

Deno.test("Daemon places what a task brings before its agent starts and takes it out on every way a run can end", async () => {
  await using dir = await tempDirectory();
  await Deno.writeTextFile(dir.at("BOT.md"), "mine\n");
  await using w = await DaemonWorld.started({
    daemon: SURFACES,
    intercept: (verb, _, pass) => verb === "claim" ? withInstructions(pass()) : undefined,
  });
  const ways = [
    (nth: number) => w.agents.started[nth]!.end(),
    (nth: number) => w.agents.started[nth]!.die(7),
    (nth: number) => w.cancel(w.agents.started[nth]!.task!.id),
  ];
  for (const [nth, end] of ways.entries()) {
    await w.submit(`run ${nth}`, inPlace(dir.path));
    const agent = await w.agent(nth);
    assertStringIncludes(await Deno.readTextFile(dir.at("BOT.md")), "Be brief.");
    assertEquals(agent.task!.mcpServers?.map(({ name }) => name), ["tools"]);
    assertStringIncludes(await Deno.readTextFile(agent.task!.mcpConfigFile!), "tools");
    assertEquals(agent.request.env.BOT_HOME!.startsWith(w.home.workspaces), true);
    await end(nth);
    await w.idle();
    assertEquals(await Deno.readTextFile(dir.at("BOT.md")), "mine\n");
    assertEquals(Array.from(Deno.readDirSync(w.home.placed)), []);
  }
});

Deno.test("Daemon keeps the private home of a conversation, and gives another one its own", async () => {
  await using dir = await tempDirectory();
  await using w = await DaemonWorld.started({ daemon: SURFACES });
  const homes: string[] = [];
  const run = async (change: Parameters<DaemonWorld["submit"]>[1]) => {
    const id = await w.submit("again", change);
    const agent = await w.agent(homes.length);
    homes.push(agent.request.env.BOT_HOME!);
    agent.end({ kind: "completed", output: "done", sessionId: `s${homes.length}` });
    await w.ended(id, "completed");
    await w.idle();
    return id;
  };
  for (const change of [inPlace(dir.path), {}]) {
    const first = await run(change);
    await run({ ...change, resume: first });
    await run(change);
  }
  const [a, b, c, d, e, f] = homes;
  assertEquals([a === b, a === c, d === e, d === f, a === d], [true, false, true, false, false]);
});

Deno.test("Daemon makes the private home of a custom runtime from where that one is logged in", async () => {
  await using dir = await tempDirectory();
  await Deno.writeTextFile(dir.at("auth.json"), "the house's");
  const privateHome = { ...SURFACE.privateHome, linked: ["auth.json"] };
  await using team = await TeamWorld.started({
    daemon: {
      surfaceOf: () => ({ ...SURFACE, privateHome }),
      findProfile: ({ id, displayName: name, provider }) =>
        Promise.resolve({
          provider,
          family: "plain-text",
          executable: "/bin/house",
          fixedArgs: [],
          version: "1.0.0",
          env: { BOT_HOME: dir.path },
          profile: { id, name },
        }),
    },
  });
  const plain = team.runtime.id;
  team.server.setProfiles("w1", [
    { id: "p1/..", display_name: "House", protocol_family: "bot", command_name: "house" },
  ]);
  await team.later("the custom runtime is registered", () => team.ids().length === 2);
  const homes: string[] = [];
  for (const runtime of [team.ids().find((id) => id !== plain)!, plain]) {
    const task = team.server.enqueue(runtime, { issue_id: "i1" });
    const agent = await team.agent(homes.length);
    homes.push(agent.request.env.BOT_HOME!);
    agent.end();
    await team.is(task, "completed");
    await team.idle();
  }
  const login = homes.map((home) => Deno.readLink(`${home}/auth.json`).catch(() => "none"));
  assertEquals(await Promise.all(login), [dir.at("auth.json"), "none"]);
  assertEquals(homes.map((home) => basename(home)), ["bot.p1___", "bot"]);
});

Deno.test("Daemon takes out what an instance that was killed had placed, before it hands the task out again", async () => {
  await using dir = await tempDirectory();
  await Deno.writeTextFile(dir.at("BOT.md"), "mine\n");
  const intercept = (verb: string, _: Request, pass: () => Promise<Response>) =>
    verb === "claim" ? withInstructions(pass()) : undefined;
  await using w = await DaemonWorld.create({ daemon: SURFACES, intercept });
  await Deno.mkdir(`${w.home.placed}/old`, { recursive: true });
  const block = "<!-- BEGIN drover: written for one task, taken out after it -->\nx\n<!-- END drover -->\n";
  const journal = {
    files: [{ path: dir.at("BOT.md"), created: false, strip: { kind: "block" } }],
    folders: [],
    parents: [],
  };
  await Deno.writeTextFile(`${w.home.placed}/old/journal.json`, JSON.stringify(journal));
  await Deno.writeTextFile(`${w.home.placed}/old/0.before`, "mine\n");
  await Deno.writeTextFile(`${w.home.placed}/old/0.placed`, `${block}mine\n`);
  await Deno.writeTextFile(dir.at("BOT.md"), `${block}mine\nand more\n`);
  await w.daemon.start();
  assertEquals(await Deno.readTextFile(dir.at("BOT.md")), "mine\nand more\n");
  assertEquals(Array.from(Deno.readDirSync(w.home.placed)), []);
});

/** The claim of a server whose agents have instructions and servers. */
async function withInstructions(answer: Promise<Response>): Promise<Response> {
  const { tasks } = await (await answer).json();
  for (const task of tasks) {
    Object.assign(task.agent, {
      instructions: "Be brief.",
      mcp_config: { mcpServers: { tools: { command: "tools" } } },
    });
  }
  return Response.json({ tasks });
}
