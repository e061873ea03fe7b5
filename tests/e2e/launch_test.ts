/** How a daemon is started: kept over restarts, held up when it fails again and again, and not done for one that was stopped on purpose. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { isLong } from "../support/length.ts";
import { clearFaults, setFaults } from "../support/faults.ts";
import { compiledForm, programForms } from "../support/program.ts";

/** What the demo agent, a child of the daemon, sees of a variable. */
async function daemonSees(home: TestHome, variable: string): Promise<string> {
  const { value } = await home.json(["status"]);
  const environ = await Deno.readTextFile(`/proc/${value.pid}/environ`);
  const found = environ.split("\0").find((line) => line.startsWith(`${variable}=`));
  return found?.slice(variable.length + 1) ?? "";
}

const ONE_SHOT = {
  DROVER_TOKEN: "t",
  DROVER_TASK_ID: "t",
  DROVER_LAUNCH_REASON: "rollback",
  DROVER_VERSION_OVERRIDE: "0.1.0-dev",
  DROVER_TEST_X: "x",
};

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test({
    name: name("restart from a bare shell keeps the daemon's environment, and --with-current-env does not"),
    ignore: Deno.build.os !== "linux",
    async fn() {
      await using home = await TestHome.create(form);
      await home.json(["start"], { env: { FLAVOUR: "vanilla", API_KEY: "sk-secret", ...ONE_SHOT } });
      const { value } = await home.json(["restart"], { env: { COLOUR: "red" } });
      assertEquals([value.status, value.keptVariables], ["restarted", ["API_KEY", "COLOUR", "FLAVOUR"]]);
      assertEquals(
        [await daemonSees(home, "FLAVOUR"), await daemonSees(home, "API_KEY"), await daemonSees(home, "COLOUR")],
        ["vanilla", "sk-secret", ""],
      );
      await home.json(["restart", "--with-current-env"], { env: { COLOUR: "red" } });
      assertEquals([await daemonSees(home, "FLAVOUR"), await daemonSees(home, "COLOUR")], ["", "red"]);
      for (const left of Object.keys(ONE_SHOT)) {
        if (left !== "DROVER_LAUNCH_REASON") assertEquals(await daemonSees(home, left), "", left);
      }
      assertEquals((await home.json(["status"])).value.startReason, "user");
      await home.json(["stop"]);
    },
  });

  Deno.test({
    name: name("restart keeps the environment of a daemon that hangs, and of none that is dead"),
    ignore: Deno.build.os !== "linux" || !isLong(),
    async fn() {
      await using home = await TestHome.create(form);
      const { pid } = (await home.json(["start", "--log-level", "debug"], { env: { FLAVOUR: "vanilla" } })).value;
      Deno.kill(pid, "SIGSTOP");
      const { code, value } = await home.json(["restart", "--now"]);
      assertEquals([code, value.status, value.keptVariables], [0, "restarted", ["FLAVOUR"]], JSON.stringify(value));
      assertEquals(await daemonSees(home, "FLAVOUR"), "vanilla");
      Deno.kill(value.pid, "SIGKILL");
      const again = await home.json(["restart"]);
      assertEquals([again.value.status, again.value.keptVariables], ["started", []]);
      assertStringIncludes(await Deno.readTextFile(join(home.home, "daemon.json")), '"debug"');
      await home.json(["stop"]);
    },
  });
}

const [, compiled] = programForms();

Deno.test("the record names the program and its digest, and no value of the environment", async () => {
  await using home = await TestHome.create(compiled!);
  await home.json(["start"], { env: { API_KEY: "sk-very-secret" } });
  let record = { digest: "", launch: { env: {} as Record<string, string> } };
  for (const end = Date.now() + 30_000; record.digest === "" && Date.now() < end;) {
    record = JSON.parse(await Deno.readTextFile(join(home.home, "daemon.json")));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const sum = await new Deno.Command("sha256sum", { args: [compiled!.argv[0]] }).output();
  assertEquals(record.digest, new TextDecoder().decode(sum.stdout).split(" ")[0]);
  assertEquals(record.launch.env.API_KEY?.length, 12);
  for (const file of ["daemon.json", "lifecycle.json"]) {
    assert(!(await Deno.readTextFile(join(home.home, file))).includes("sk-very"), file);
  }
  assertEquals((await home.json(["status"])).value.digest, record.digest);
  await home.json(["stop"]);
});

Deno.test("a daemon that never starts is tried three times, then held up; --force and a changed configuration are not", async () => {
  await using home = await TestHome.create(compiled!);
  await home.json(["start"]);
  await home.json(["stop"]);
  await Deno.writeTextFile(join(home.home, "outbox.db"), "no database, and long enough to be looked at\n".repeat(40));
  const outcomes: string[] = [];
  for (let i = 0; i < 8; i++) outcomes.push((await home.json(["start"])).value.error.code);
  const failed = outcomes.filter((code) => code === "daemon_failed").length;
  assert(failed >= 3 && failed <= 5, outcomes.join(" "));
  assertEquals(outcomes.slice(0, 3), Array(3).fill("daemon_failed"));
  assert(outcomes.includes("breaker_open"), outcomes.join(" "));

  // However the last of them ended, one more failure opens it for a second at least.
  const forced = await home.json(["start", "--force"]);
  assertEquals([forced.code, forced.value.error.code], [EXIT_CODES.unexpected.code, "daemon_failed"]);
  const status = await home.json(["status"]);
  assertEquals([status.code, status.value.state], [EXIT_CODES.notRunning.code, "stopped"]);
  await home.json(["config", "set", "log.level", "debug"]);
  assertEquals((await home.json(["start"])).value.error.code, "daemon_failed", "another configuration starts anew");
  await Deno.remove(join(home.home, "outbox.db"));
  assertEquals((await home.json(["start", "--force"])).value.status, "started");
  await home.json(["stop"]);
});

Deno.test({
  name: "starts without end of a daemon that dies make at most five processes",
  ignore: !isLong(),
}, async () => {
  await using home = await TestHome.create(compiled!);
  await home.json(["start"]);
  await home.json(["stop"]);
  await Deno.writeTextFile(join(home.home, "outbox.db"), "no database, and long enough to be looked at\n".repeat(40));
  const codes: number[] = [];
  for (let i = 0; i < 3; i++) {
    codes.push(...await Promise.all(Array.from({ length: 10 }, () => home.drover(["start"]).then(({ code }) => code))));
  }
  const tried = codes.filter((code) => code === EXIT_CODES.unexpected.code).length;
  assertEquals(codes.length - tried, codes.filter((code) => code === EXIT_CODES.breaker.code).length);
  assert(tried >= 3 && tried <= 5, `${tried} starts`);
});

Deno.test("what was stopped on purpose is remembered with who and when, until it is started again", async () => {
  await using home = await TestHome.create(compiled!);
  await home.json(["start"]);
  await home.json(["stop"]);
  const { value } = await home.json(["status"]);
  assertEquals([value.state, value.desired.state, value.desired.by], ["stopped", "stopped", "stop"]);
  assertEquals((await home.json(["run", "--agent", "demo", "--scratch", "@demo:fast"])).code, 0);
  assertEquals((await home.json(["status"])).value.state, "stopped", "a run starts no daemon");
  await home.json(["start"]);
  assertEquals((await home.json(["drain"])).code, 0);
  assertEquals(JSON.parse(await Deno.readTextFile(join(home.home, "lifecycle.json"))).desired.by, "drain");
});

Deno.test("one daemon per home, whatever TMPDIR, zone, locale and directory a terminal has", async () => {
  await using home = await TestHome.create(compiled!);
  const terminals = ["UTC", "Pacific/Kiritimati", "America/St_Johns"].map((zone, i) => {
    const directory = join(home.root, `tmp-${i}`);
    Deno.mkdirSync(directory);
    const env = {
      TZ: zone,
      LC_ALL: i % 2 === 0 ? "C" : "tr_TR.UTF-8",
      TMPDIR: directory,
      PATH: i === 2 ? "/nowhere" : home.env.PATH!,
    };
    return { env, cwd: directory };
  });
  const [first, second, third] = terminals;
  const { pid } = (await home.json(["start"], first)).value;
  for (const terminal of terminals) {
    assertEquals((await home.json(["start"], terminal)).value.pid, pid);
    assertEquals((await home.json(["status"], terminal)).value.pid, pid);
  }
  assertEquals((await home.json(["restart"], third)).value.status, "restarted");
  assertEquals((await home.json(["stop"], second)).value.status, "stopped");
  assertEquals(terminals.flatMap(({ cwd }) => [...Deno.readDirSync(cwd)]), [], "nothing of ours is in them");
  await home.assertNoProcessLeft();
});

Deno.test("options of a start that finds a daemon say that they had no effect", async () => {
  await using home = await TestHome.create(compiled!);
  assertEquals((await home.json(["start", "--max-concurrent-tasks", "2"])).value.argsIgnored, false);
  assertEquals((await home.json(["start"])).value.argsIgnored, false);
  const { stdout, stderr } = await home.drover(["start", "--max-concurrent-tasks", "3", "--json"]);
  assertEquals(JSON.parse(stdout).argsIgnored, true);
  assertStringIncludes(stderr, "--max-concurrent-tasks 3 had no effect");
  assertEquals((await home.json(["status"])).value.slots.total, 2);
  await home.json(["stop"]);
});

Deno.test("a daemon that finds its home taken by a run in that very moment is started again when the run is over", async () => {
  await using home = await TestHome.create(compiled!);
  await home.json(["start"]);
  await home.json(["stop"]);
  const go = join(home.root, "go");
  await setFaults(home, { "start.noted": { action: "pause", untilFile: go } });
  const start = home.json(["start"]);
  await eventually(
    async () => (await Deno.readTextFile(join(home.home, "lifecycle.json"))).includes('"launched"'),
    "the start is about to launch",
  );
  const run = home.spawn(["run", "--agent", "demo", "--scratch", "@demo:sleep=1500"], { stdout: "null" });
  await eventually(async () => (await home.seen())?.mode === "run", "the run holds the home");
  await Deno.writeTextFile(go, "");
  const { code, value } = await start;
  assertEquals([code, value.status], [0, "started"], JSON.stringify(value));
  assertEquals((await run.status).code, 0);
  await clearFaults(home);
  assertEquals((await home.json(["status"])).value.pid, value.pid);
  await home.json(["stop"]);
});

Deno.test("a run waits for a restart that is under way, and runs in its daemon", async () => {
  await using home = await TestHome.create(compiled!);
  await home.json(["start"]);
  const go = join(home.root, "go");
  await setFaults(home, { "restart.stopped": { action: "pause", untilFile: go } });
  const restart = home.json(["restart"]);
  await eventually(
    async () => (await Deno.readTextFile(join(home.home, "lifecycle.json"))).includes('"phase": "starting"'),
    "nobody holds the home",
  );
  const run = home.json(["run", "--agent", "demo", "--scratch", "@demo:fast"]);
  await eventually(async () => (await home.processes()).length >= 2, "the run has begun");
  await Deno.writeTextFile(go, "");
  assertEquals((await restart).value.status, "restarted");
  assertEquals((await run).code, 0);
  await clearFaults(home);
  await home.json(["stop"]);
});

Deno.test("a daemon that takes over from a run has none of its arguments", async () => {
  await using home = await TestHome.create(compiled!);
  const run = home.spawn(["run", "--agent", "demo", "--scratch", "@demo:hang"], { stdout: "null" });
  await eventually(async () => (await home.seen())?.mode === "run", "the run holds the home");
  const { code, value } = await home.json(["restart", "--now"]);
  assertEquals([code, value.status], [0, "restarted"], JSON.stringify(value));
  assertEquals(JSON.parse(await Deno.readTextFile(join(home.home, "daemon.json"))).launch.args, ["daemon", "--quiet"]);
  assert((await run.status).code !== 0);
  await home.json(["stop", "--now"]);
});

Deno.test("a command that waits to complete a restart starts nothing once somebody has stopped the daemon", async () => {
  await using home = await TestHome.create(compiled!);
  await home.json(["start"]);
  const go = join(home.root, "go");
  await setFaults(home, { "restart.stopped": { action: "pause", untilFile: go } });
  const restart = home.spawn(["restart"], { stdout: "null" });
  await eventually(
    async () => (await Deno.readTextFile(join(home.home, "lifecycle.json"))).includes('"phase": "starting"'),
    "nobody holds the home",
  );
  await clearFaults(home);
  // Both wait behind the restart; whichever comes first, stopped is what is left.
  const list = home.spawn(["tasks", "list"], { stdout: "null" });
  const stop = home.json(["stop"]);
  await eventually(async () => (await home.processes()).length === 3, "both are there");
  restart.kill("SIGKILL");
  assertEquals([(await stop).code, (await list.status).code], [0, 0]);
  assertEquals((await home.json(["status"])).value.state, "stopped");
  await home.assertNoProcessLeft();
});
