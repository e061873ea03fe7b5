/** One run of the model check: what a seed plans, several terminals and faults at once, and the calm afterwards in which all must be well. */
import { launchArgs } from "../../lib/core/launch.ts";
import { readLifecycle } from "../../lib/lifecycle/lifecycle_file.ts";
import { lookAtPidfile } from "../../lib/lifecycle/pidfile.ts";
import { randomFrom } from "../core/seed.ts";
import { type CommandSpec, type Outcome, runCommand, type Verb } from "./sim_commands.ts";
import { HOME } from "./sim_machine.ts";
import type { SimDaemon } from "./sim_daemon.ts";
import { Scheduler, type SimProcess } from "./sim_scheduler.ts";
import { type Faults, World } from "./sim_world.ts";

export interface Report {
  readonly seed: number;
  readonly violation: string | undefined;
  readonly trace: readonly string[];
  readonly steps: number;
  readonly outcomes: readonly Outcome[];
}

const MAX_STEPS = 60_000;
/** Time for whatever was begun to come to its end by itself. */
const CALM_MS = 200_000;

interface Character {
  readonly faults: Faults;
  readonly verbs: readonly Verb[];
  /** Of the commands, and so of the daemons that they start. */
  readonly versions?: readonly string[];
}

const NONE: Faults = { kill: 0, reboot: 0, clockJump: 0, damage: 0, fullDisk: 0, dies: 0, stuck: 0, slow: 0 };
const VERBS: readonly Verb[] = ["start", "start", "stop", "restart", "status"];

const HOLDERS: readonly Verb[] = [...VERBS, "foreground", "run"];
const RELEASES = ["1.0.0", "1.1.0"];
const ALL: Faults = {
  kill: 0.005,
  reboot: 0.003,
  clockJump: 0.01,
  damage: 0.003,
  fullDisk: 0.002,
  dies: 0.1,
  stuck: 0.15,
  slow: 0.2,
};

const ONLY_STARTS: Character = { faults: NONE, verbs: ["start"] };

/** Kinds of runs, each with its own troubles: one that has all of them reaches few places. */
const CHARACTERS: readonly Character[] = [
  { faults: NONE, verbs: VERBS },
  ONLY_STARTS,
  { faults: NONE, verbs: [...VERBS, "drain", "cancel"] },
  { faults: NONE, verbs: HOLDERS },
  { faults: { ...NONE, kill: 0.02 }, verbs: ["stop", "stop", "foreground", "run"] },
  { faults: NONE, verbs: ["use", "use", "start"], versions: RELEASES },
  { faults: { ...NONE, kill: 0.01 }, verbs: VERBS },
  { faults: { ...NONE, kill: 0.01 }, verbs: ["restart", "restart", "start", "stop"] },
  {
    faults: { ...NONE, kill: 0.01 },
    verbs: ["use", "use", "start"],
    versions: [...RELEASES, "1.2.0-dev+a", "1.2.0-dev+b"],
  },
  { faults: { ...NONE, dies: 0.3, slow: 0.2 }, verbs: VERBS },
  { faults: { ...NONE, stuck: 0.5 }, verbs: VERBS },
  { faults: { ...NONE, damage: 0.01 }, verbs: [...VERBS, "use"] },
  { faults: { ...NONE, fullDisk: 0.02 }, verbs: VERBS },
  { faults: ALL, verbs: [...HOLDERS, "use", "drain", "cancel"], versions: RELEASES },
];

export async function runSeed(seed: number, { trace = false } = {}): Promise<Report> {
  const random = randomFrom(seed);
  const latencyMs = [0.5, 5, 60][Math.floor(random() * 3)]!;
  const oversleepMs = [5, 50, 300][Math.floor(random() * 3)]!;
  const scheduler = new Scheduler({ random, pace: { latencyMs, oversleepMs }, trace });
  const character = CHARACTERS[scheduler.below(CHARACTERS.length)]!;
  const world = new World(scheduler, character.faults);
  const outcomes: Outcome[] = [];
  let done = false;
  scheduler.onStep = () => trouble(world);
  void play(world, character, outcomes).then(
    () => done = true,
    (error) => world.machine.fail(`The check failed: ${error.stack}`),
  );
  const enough = await scheduler.run(() => done || world.machine.violation !== undefined, MAX_STEPS);
  if (!enough) world.machine.fail(`It did not end within ${MAX_STEPS} steps`);
  else if (!done && !world.machine.violation) world.machine.fail("Everybody waits for ever");
  return {
    seed,
    violation: world.machine.violation?.message,
    trace: scheduler.trace ?? [],
    steps: scheduler.steps,
    outcomes,
  };
}

function trouble(world: World): void {
  const { machine, faults } = world;
  const { scheduler } = machine;
  world.checkStep();
  if (faults.kill > 0 && scheduler.chance(faults.kill)) {
    const victims = machine.living.filter(({ name }) => !name.startsWith("agent"));
    const victim = victims[scheduler.below(victims.length)];
    if (victim) machine.kill(victim, "a fault");
  }
  if (faults.reboot > 0 && scheduler.chance(faults.reboot)) machine.reboot();
  if (faults.clockJump > 0 && scheduler.chance(faults.clockJump)) {
    machine.wallOffset += (scheduler.random() - 0.5) * 2 * 86_400_000;
  }
  if (faults.damage > 0 && scheduler.chance(faults.damage)) damage(world);
  if (faults.fullDisk > 0 && scheduler.chance(faults.fullDisk)) machine.diskFull = true;
  else if (machine.diskFull && scheduler.chance(0.05)) machine.diskFull = false;
}

/** Whatever may lose or damage a file of the home; the lock files stay, they are the authority. */
function damage(world: World): void {
  const { machine } = world;
  const { scheduler, files } = machine;
  const path = [HOME.pidfile, HOME.pidfile, HOME.lifecycle, HOME.restartHolder][scheduler.below(4)]!;
  // What is damaged again as soon as it is mended cannot be mended.
  if (!files.has(path) || world.damaged.has(path)) return;
  world.damaged.add(path);
  scheduler.note(undefined, `damage: ${path}`);
  if (scheduler.chance(0.5)) files.delete(path);
  else files.set(path, ["", "{", "[]", '{"schemaVersion":1}'][scheduler.below(4)]!);
}

/** The people at the terminals; never killed. */
function person(name: string): SimProcess {
  return { pid: 0, startTicks: "", name, alive: true, slowness: 1, frozenUntil: 0 };
}

async function play(world: World, character: Character, outcomes: Outcome[]): Promise<void> {
  const { scheduler } = world.machine;
  const tasks = scheduler.below(4);
  for (let i = 0; i < tasks; i++) {
    const durationMs = scheduler.random() * [50, 3_000, 30_000][scheduler.below(3)]!;
    world.queue.push({ durationMs, state: "queued", agent: undefined, owner: undefined });
  }
  const hurry = [50, 500, 5_000][scheduler.below(3)]!;
  const terminals = Array.from({ length: 2 + scheduler.below(3) }, async (_, index) => {
    const who = person(`terminal ${index + 1}`);
    const commands = 1 + scheduler.below(3);
    for (let i = 0; i < commands; i++) {
      await scheduler.sleep(who, scheduler.random() * hurry);
      const spec = anySpec(scheduler, character);
      outcomes.push(await runCommand(world, spec, `${spec.verb} ${index + 1}.${i + 1}`));
    }
  });
  await Promise.all(terminals);
  world.faults = NONE;
  world.machine.diskFull = false;
  // Of two releases only the newer one ever replaces the other.
  if (character.faults === NONE && world.replacements > 1) {
    world.machine.fail(`${world.replacements} replacements for two versions`);
  }
  // Starts alone make one daemon; only after one that was given up as too slow there may be another try.
  const tries = 1 + outcomes.filter(({ result }) => result === "timeout").length;
  if (character === ONLY_STARTS && world.daemons.length > tries) {
    world.machine.fail(`${world.daemons.length} daemons for nothing but starts`);
  }
  const cut = world.damaged.size === 0 ? cutRestart(world, outcomes) : undefined;
  await calm(world, cut);
}

const MUTATING: readonly Verb[] = ["start", "stop", "restart", "use", "foreground", "run"];

/** The daemon that a restart had told to end when it was killed itself, if that was the last that anybody did. */
function cutRestart(world: World, outcomes: readonly Outcome[]): SimDaemon | undefined {
  const mutating = outcomes.filter(({ spec }) => MUTATING.includes(spec.verb)).sort((a, b) => a.endedAt - b.endedAt);
  const last = mutating.at(-1);
  if (last?.spec.verb !== "restart" || last.result !== "killed") return undefined;
  if (mutating.slice(0, -1).some(({ endedAt }) => endedAt > last.begunAt)) return undefined;
  return world.daemons.find(({ askedBy }) => askedBy !== undefined && askedBy === last.process);
}

function anySpec(
  scheduler: Scheduler,
  { verbs, versions = ["1.0.0"] }: Pick<Character, "verbs" | "versions">,
): CommandSpec {
  return {
    verb: verbs[scheduler.below(verbs.length)]!,
    mode: scheduler.chance(0.3) ? "now" : "drain",
    startMs: [1_000, 5_000, 20_000][scheduler.below(3)]!,
    drainMs: [500, 5_000, 20_000][scheduler.below(3)]!,
    args: scheduler.chance(0.3) ? ["--log-level", "debug"] : [],
    version: versions[scheduler.below(versions.length)]!,
  };
}

/** Nobody else is there any more: every verb must do what it says, and leave what it says. */
async function calm(world: World, cut: SimDaemon | undefined): Promise<void> {
  const { machine } = world;
  const { scheduler } = machine;
  const who = person("the last one");
  const one = async (verb: Verb, more: Partial<CommandSpec> = {}) => {
    const any = anySpec(scheduler, { verbs: [verb], versions: ["1.1.0"] });
    const spec: CommandSpec = { ...any, mode: "now", startMs: 60_000, drainMs: 400_000, args: [], ...more };
    return (await runCommand(world, spec, `last ${verb}`)).result;
  };
  const must = async (verb: Verb, results: readonly string[], more: Partial<CommandSpec> = {}) => {
    const result = await one(verb, more);
    if (!results.includes(result)) machine.fail(`The last ${verb} ended with ${result}`);
  };
  await completeRestart(world, { who, cut }, () => must("start", ["started"], { force: true }));
  const stopped = await one("stop");
  if (stopped === "unmanaged" || stopped === "busy") {
    // The person does what the hint says.
    const holder = machine.holderOf(HOME.daemonLock);
    if (holder) machine.kill(holder, "by hand, as the hint says");
    await must("stop", ["stopped", "notRunning"]);
  } else if (stopped !== "stopped" && stopped !== "notRunning") machine.fail(`The last stop ended with ${stopped}`);
  await scheduler.sleep(who, CALM_MS);
  await checkNothingLeft(world, who);
  await must("status", ["stopped"]);
  const args = ["--log-level", "debug"];
  await must("start", ["started"], { force: true, args });
  await checkRecord(world, who, args);
  await must("status", ["running"]);
  await must("restart", ["restarted"]);
  await checkRecord(world, who, args);
  await must("stop", ["stopped"], { mode: "drain" });
  if (world.queue.some(({ state }) => state === "running")) machine.fail("A drain has left a task running");
  await checkNothingLeft(world, who);
}

/** A restart whose command was killed is completed by the next start, with what the old daemon had. */
async function completeRestart(
  world: World,
  { who, cut }: { who: SimProcess; cut: SimDaemon | undefined },
  start: () => Promise<void>,
): Promise<void> {
  const { machine } = world;
  const files = machine.filesFor(who);
  const { operation } = await readLifecycle(files, HOME);
  if (machine.living.some((process) => world.daemonOf(process))) return;
  if (cut && cut.mode === "daemon" && operation?.args.join(" ") !== launchArgs(cut.args).join(" ")) {
    machine.fail(
      `Nobody knows that ${cut.process.name} was to be started again, with ${launchArgs(cut.args).join(" ")}`,
    );
  }
  if (!operation) return;
  await start();
  await checkRecord(world, who, operation.args);
  if ((await readLifecycle(files, HOME)).operation) machine.fail("The journal is not settled by a start");
}

async function checkNothingLeft(world: World, who: SimProcess): Promise<void> {
  const { machine } = world;
  const holder = machine.holderOf(HOME.daemonLock);
  if (holder) machine.fail(`After stop ${holder.name} holds the home`);
  const left = machine.living.map(({ name }) => name);
  if (left.length > 0) machine.fail(`After stop there still is ${left.join(", ")}`);
  const files = machine.filesFor(who);
  const record = await lookAtPidfile(files, HOME.pidfile);
  if (record.kind !== "none") machine.fail("After stop there still is a record");
  const { operation, desired } = await readLifecycle(files, HOME);
  if (operation) machine.fail(`After stop the journal still has a ${operation.verb} in phase ${operation.phase}`);
  if (desired?.state !== "stopped") machine.fail(`After stop the state wanted is ${desired?.state}`);
  if (machine.files.has(HOME.restartHolder)) machine.fail("After stop restart.json still names a holder");
}

async function checkRecord(world: World, who: SimProcess, args: readonly string[]): Promise<void> {
  const { machine } = world;
  const look = await lookAtPidfile(machine.filesFor(who), HOME.pidfile);
  const [holder] = world.holders;
  if (look.kind !== "record" || look.record.instance !== holder?.instance || look.record.pid !== holder?.process.pid) {
    machine.fail("After start the record does not describe the holder");
  }
  const given = holder && launchArgs(holder.args).join(" ");
  if (given !== args.join(" ")) machine.fail(`The daemon was given "${given}", not "${args.join(" ")}"`);
}
