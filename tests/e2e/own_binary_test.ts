/** drover's own executable is replaced under the running daemon: one that can takes over when nothing runs, one that cannot never does. */
import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { CountingAgent } from "../support/counting_agent.ts";
import { eventually } from "../support/drover.ts";
import { isLong } from "../support/length.ts";
import { Installed } from "../support/installed.ts";

const LINUX = Deno.build.os === "linux";
/** Several looks are what it takes to believe a change, and each reads the whole of drover. */
const SOON = { DROVER_RELOAD_INTERVAL: "1s" };
/** Hashing, a probe and a start on a machine that is busy with other things. */
const PATIENCE_MS = 90_000;

// deno-lint-ignore no-explicit-any
async function status(drover: Installed): Promise<any> {
  return (await drover.json(["status"])).value;
}

/** Waits until another process than `pid` serves. */
async function succeeded(drover: Installed, pid: number): Promise<void> {
  await eventually(
    async () => {
      const now = await drover.home.seen();
      return now !== undefined && now.pid !== pid && now.phase === "running";
    },
    "another daemon serves",
    PATIENCE_MS,
  ).catch(async (error) => {
    throw new Error(`${error.message}\n${await drover.home.log()}`);
  });
}

async function logged(drover: Installed, text: string): Promise<void> {
  await eventually(async () => (await drover.home.log()).includes(text), `the log says: ${text}`, PATIENCE_MS).catch(
    async (error) => {
      throw new Error(`${error.message}\n${await drover.home.log()}`);
    },
  );
}

async function times(drover: Installed, text: string): Promise<number> {
  return (await drover.home.log()).split(text).length - 1;
}

async function onlyOne(drover: Installed): Promise<void> {
  await eventually(async () => (await drover.home.processes()).length === 1, "there is one process", PATIENCE_MS);
}

/** With an agent CLI for its tasks. */
async function started(drover: Installed): Promise<{ agent: CountingAgent; pid: number }> {
  await drover.put();
  const agent = new CountingAgent(drover.home);
  await agent.install("1.0.0");
  return { agent, pid: (await drover.home.json(["start"], { env: SOON })).value.pid };
}

async function environmentOf(pid: number): Promise<string[]> {
  return (await Deno.readTextFile(`/proc/${pid}/environ`)).split("\0");
}

async function stopped(drover: Installed): Promise<void> {
  assertEquals((await drover.json(["stop"])).value.status, "stopped");
  await drover.home.assertNoProcessLeft();
}

Deno.test({
  name: "an idle daemon whose executable is replaced hands over to the new one, with its arguments and environment",
  ignore: !LINUX,
  async fn() {
    await using drover = await Installed.create();
    await drover.put();
    const start = ["start", "--max-concurrent-tasks", "2", "--auto-reload-binaries"];
    const { pid } = (await drover.home.json(start, { env: { ...SOON, FLAVOUR: "vanilla" } })).value;
    await drover.put();
    await succeeded(drover, pid);
    await onlyOne(drover);
    const now = await status(drover);
    assertEquals([now.slots.total, now.startReason, now.binary], [2, "new_binary", drover.path]);
    const environ = await environmentOf(now.pid);
    assert(environ.includes("FLAVOUR=vanilla") && environ.includes("DROVER_RELOAD_INTERVAL=1s"));
    const record = JSON.parse(await Deno.readTextFile(join(drover.home.home, "daemon.json")));
    assert(record.launch.args.includes("--auto-reload-binaries"), "the restart argv has the switch");
    await logged(drover, "took over from the daemon before");
    const lifecycle = JSON.parse(await Deno.readTextFile(join(drover.home.home, "lifecycle.json")));
    assertEquals([lifecycle.operation, lifecycle.breaker.attempt.kind], [null, "ready"]);
    const looks = await Deno.stat(join(drover.home.home, "reload.json"));
    assertEquals(looks.mode! & 0o777, 0o600);
    // What it was started from is what it compares with: the same change never comes again.
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    assertEquals([(await status(drover)).pid, await times(drover, "restarting for changed")], [now.pid, 1]);
    await stopped(drover);
  },
});

Deno.test({
  name: "a daemon that was started through a link hands over to where the link leads then, when the old place is gone",
  ignore: !LINUX || !isLong(),
  async fn() {
    await using drover = await Installed.create({ at: "current/drover" });
    for (const version of ["v1", "v2"]) await Deno.mkdir(drover.at(version));
    await drover.put(drover.at("v1/drover"));
    await Deno.symlink("v1", drover.at("current"));
    const { pid } = (await drover.home.json(["start"], { env: SOON })).value;
    await drover.put(drover.at("v2/drover"));
    await Deno.symlink("v2", drover.at("next"));
    await Deno.rename(drover.at("next"), drover.at("current"));
    await Deno.remove(drover.at("v1"), { recursive: true });
    await succeeded(drover, pid);
    const now = await status(drover);
    assertEquals(now.binary, drover.path, "the command is the link still");
    assertEquals(await Deno.readLink(`/proc/${now.pid}/exe`), drover.at("v2/drover"));
    await onlyOne(drover);
    await stopped(drover);
  },
});

Deno.test({
  name:
    "a busy daemon whose executable is replaced waits for its task, then hands over; what is queued runs once, after",
  ignore: !LINUX,
  async fn() {
    await using drover = await Installed.create();
    const { agent, pid } = await started(drover);
    const first = drover.home.json(["run", "--agent", "llm", "--scratch", "task-a hold"]);
    first.catch(() => {});
    await agent.noted("task-a 1.0.0 begun");
    await drover.put();
    await eventually(async () => (await drover.home.seen())?.holding === "paused", "it takes no more", PATIENCE_MS);
    const waiting = await status(drover);
    assertEquals([waiting.state, waiting.phase, waiting.pid], ["running", "reload-pending", pid]);
    const { provider, reason, blockedBy } = waiting.reloadPending;
    assertEquals([provider, reason, blockedBy.active], ["drover", "new_binary", 1]);
    const second = drover.home.json(["run", "--agent", "llm", "--scratch", "task-b"]);
    await eventually(
      async () => (await drover.home.seenTasks("queued")).length === 1,
      "it takes what its successor is to run",
      PATIENCE_MS,
    );
    assertEquals(await agent.notes(), ["task-a 1.0.0 begun"], "and starts nothing more itself");
    await agent.release();
    await succeeded(drover, pid);
    assertEquals([(await first).code, (await second).code], [0, 0], await drover.home.log());
    assertEquals((await agent.notes()).filter((line) => line.endsWith("begun")).length, 2, "each ran once");
    await onlyOne(drover);
    await stopped(drover);
  },
});

interface Unfit {
  readonly what: string;
  readonly body: string;
  readonly mode?: number;
  readonly says: string;
}

const UNFIT: readonly Unfit[] = [
  { what: "fails", body: "exit 1", says: "it ended with code 1" },
  { what: "says no version", body: "echo hello", says: "it does not say which version it is" },
  { what: "hangs", body: "exec sleep 600", says: "it did not answer within 10 s" },
  { what: "is not executable", body: "exit 0", mode: 0o644, says: "drover itself is being replaced" },
];

Deno.test({
  name: `a new executable that ${
    UNFIT.map(({ what }) => what).join(", or ")
  } does not touch the daemon, which takes the next one that is good`,
  ignore: !LINUX,
  async fn() {
    await using drover = await Installed.create();
    const { pid } = await started(drover);
    for (const { what, body, mode, says } of UNFIT) {
      await drover.putScript(body, { mode });
      await logged(drover, says);
      const during = await status(drover);
      assertEquals([during.pid, during.phase], [pid, "running"], `no drain was begun for one that ${what}`);
      assertEquals((await drover.json(["run", "--agent", "llm", "--scratch", "task-a"])).code, 0, what);
      assertEquals(await times(drover, "restarting for changed"), 0, what);
    }
    await drover.put();
    await succeeded(drover, pid);
    await onlyOne(drover);
    await stopped(drover);
  },
});

/** Gives its version and cannot be a daemon. */
const ONLY_VERSION =
  `case "$1" in version) echo '{"version":"9.9.9"}';; *) date +%s%3N > "$DROVER_HOME/died"; exit 3;; esac`;

Deno.test({
  name:
    "a successor that dies before it is ready: the old daemon takes tasks again, and refuses that file until it is another",
  ignore: !LINUX,
  async fn() {
    await using drover = await Installed.create();
    const { pid } = await started(drover);
    const before = await status(drover);
    await drover.putScript(ONLY_VERSION);
    await logged(drover, "the successor did not make it");
    await eventually(async () => (await drover.home.seen())?.phase === "running", "it runs again", PATIENCE_MS);
    const after = await status(drover);
    assertEquals(after.pid, pid);
    assertNotEquals(after.instance, before.instance);
    assertEquals((await drover.json(["run", "--agent", "llm", "--scratch", "task-a"])).code, 0);
    const log = await drover.home.log();
    assertStringIncludes(log, "it ended with code 3 before it was ready");
    const died = Number(await Deno.readTextFile(join(drover.home.home, "died")));
    const lines = log.trim().split("\n").map((line) => JSON.parse(line));
    const ran = Date.parse(lines.findLast((line) => line.event === "ready")["@timestamp"]);
    // A second, on a machine that has nothing else to do.
    assert(ran >= died && ran - died < 15_000, `claims again ${ran - died} ms after the successor died`);
    assertEquals(JSON.parse(await Deno.readTextFile(join(drover.home.home, "lifecycle.json"))).operation, null);
    await onlyOne(drover);
    await stopped(drover);

    // Without the pause after a restart: only the refusal is left to hold it.
    const file = join(drover.home.home, "reload.json");
    const history = JSON.parse(await Deno.readTextFile(file));
    assertEquals([history.restarts.length, history.refused.length], [1, 64]);
    await Deno.writeTextFile(file, JSON.stringify({ ...history, restarts: [] }));
    await drover.put();
    const again = (await drover.home.json(["start"], { env: SOON })).value;
    await drover.putScript(ONLY_VERSION);
    await logged(drover, '"why":"refused"');
    assertEquals([(await status(drover)).pid, await times(drover, "restarting for changed")], [again.pid, 1]);
    await drover.put();
    await succeeded(drover, again.pid);
    await stopped(drover);
  },
});

Deno.test({
  name: "reload.self=notify says that the executable was replaced and leaves it at that; off does not look",
  ignore: !LINUX || !isLong(),
  async fn() {
    for (const mode of ["notify", "off"]) {
      await using drover = await Installed.create();
      await drover.put();
      const env = { ...SOON, DROVER_RELOAD_SELF: mode };
      const { pid } = (await drover.home.json(["start"], { env })).value;
      await drover.put();
      if (mode === "notify") await logged(drover, "drover itself was replaced");
      else await new Promise((resolve) => setTimeout(resolve, 4_000));
      assertEquals([(await status(drover)).pid, (await status(drover)).phase], [pid, "running"]);
      assertEquals(await times(drover, "drover itself was replaced"), mode === "notify" ? 1 : 0);
      await stopped(drover);
    }
  },
});
