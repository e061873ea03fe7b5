/** Measures the commands of the life cycle, compiled: status, version and help, start to ready, and restart when idle. */
import { runScript } from "./command.ts";
import { compileScript, median, spread } from "./measure.ts";
import { TestHome } from "../tests/support/drover.ts";
import { type ProgramForm, programForms } from "../tests/support/program.ts";

const COMMANDS = 40;
const STARTS = 20;

/** Starts the runtime and ends: what every command costs before it has done anything. */
const EMPTY = `Deno.stdout.writeSync(new TextEncoder().encode("ready\\n"));\nDeno.exit(0);\n`;

async function timed(act: () => Promise<unknown>): Promise<number> {
  const from = performance.now();
  await act();
  return performance.now() - from;
}

async function expectSuccess(home: TestHome, args: readonly string[]): Promise<void> {
  const { code, stderr } = await home.drover(args);
  if (code !== 0) throw new Error(`Measuring drover ${args.join(" ")} failed with code ${code}: ${stderr}`);
}

/** Each command and the empty program in turn, so that what else the machine does hits all alike. */
async function commands(form: ProgramForm, empty: string): Promise<void> {
  await using home = await TestHome.create(form);
  await using nothing = await TestHome.create({ kind: "compiled", argv: [empty] });
  await expectSuccess(home, ["start"]);
  const series = [
    { name: "an empty program, whole command", act: () => nothing.drover([]), times: [] as number[] },
    ...[["status"], ["status", "--json"], ["version"], ["--help"], ["tasks", "list"]].map((args) => ({
      name: `drover ${args.join(" ")}, whole command, a daemon running`,
      act: () => expectSuccess(home, args),
      times: [] as number[],
    })),
  ];
  for (let i = 0; i < COMMANDS; i++) {
    for (const { act, times } of series) times.push(await timed(act));
  }
  await expectSuccess(home, ["stop"]);
  const baseline = median(series[0]!.times);
  for (const { name, times } of series) report(name, times, baseline);
}

async function starts(form: ProgramForm, baseline: string): Promise<void> {
  await using home = await TestHome.create(form);
  await using nothing = await TestHome.create({ kind: "compiled", argv: [baseline] });
  const empty: number[] = [];
  const start: number[] = [];
  const restart: number[] = [];
  const stop: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    empty.push(await timed(() => nothing.drover([])));
    start.push(await timed(() => expectSuccess(home, ["start"])));
    restart.push(await timed(() => expectSuccess(home, ["restart"])));
    stop.push(await timed(() => expectSuccess(home, ["stop"])));
  }
  const unit = median(empty);
  report("drover start, until it is ready and the command has ended", start, unit);
  report("drover restart, idle", restart, unit);
  report("drover stop, idle", stop, unit);
}

function report(name: string, times: readonly number[], baseline: number): void {
  console.log(`  ${name}: ${spread(times, "ms")}, ${(median(times) / baseline).toFixed(1)} × an empty program`);
}

async function main(): Promise<number> {
  const form = programForms().find(({ kind }) => kind === "compiled")!;
  const folder = await Deno.makeTempDir({ prefix: "drover-bench-" });
  try {
    const empty = await compileScript(folder, { name: "empty", source: EMPTY });
    const load = () => Deno.loadavg().map((value) => value.toFixed(1)).join(" ");
    console.log(`\nlife cycle, compiled (load ${load()})`);
    await commands(form, empty);
    await starts(form, empty);
    console.log(`  load afterwards ${load()}`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return 0;
}

if (import.meta.main) await runScript(main);
