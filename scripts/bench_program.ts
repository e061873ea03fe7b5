/** Measures the executable itself: its size, packed and not, and how soon it answers, beside an empty program and one in Go. */
import { join } from "@std/path";
import { build } from "./build.ts";
import { capture, runScript, tryCapture } from "./command.ts";
import { compileScript, median, spread } from "./measure.ts";
import { archiveOf } from "./release_archive.ts";

const ROUNDS = 40;
const GO = `package main\n\nimport "fmt"\n\nfunc main() { fmt.Println("hello") }\n`;
const EMPTY = `Deno.stdout.writeSync(new TextEncoder().encode("hello\\n"));\nDeno.exit(0);\n`;

/** Undefined where Go is not installed. */
async function compileGo(folder: string): Promise<string | undefined> {
  const source = join(folder, "hello.go");
  await Deno.writeTextFile(source, GO);
  const executable = join(folder, "hello-go");
  const env = { GOFLAGS: "-mod=mod", GO111MODULE: "off", GOCACHE: join(folder, "cache") };
  const built = await tryCapture(["go", "build", "-o", executable, source], { cwd: folder, env, timeoutMs: 300_000 });
  return built === undefined ? undefined : executable;
}

async function report(folder: string): Promise<void> {
  const drover = await build({ ifChanged: true });
  const program = await Deno.readFile(drover);
  const mb = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log(`  the executable: ${mb(program.length)}; its archive: ${mb(archiveOf(program, 0).length)}`);

  const go = await compileGo(folder);
  const empty = await compileScript(folder, { name: "empty", source: EMPTY });
  const commands: readonly { name: string; argv: readonly [string, ...string[]] }[] = [
    { name: "drover version", argv: [drover, "version"] },
    { name: "an empty program over the same runtime", argv: [empty] },
    ...(go ? [{ name: "hello world in Go", argv: [go] as const }] : []),
  ];
  const times = commands.map((): number[] => []);
  // In turn, so that what else the machine does hits all alike.
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, { argv }] of commands.entries()) {
      const from = performance.now();
      await capture(argv, { env: { DROVER_HOME: join(folder, "home") } });
      times[i]!.push(performance.now() - from);
    }
  }
  for (const [i, { name, argv }] of commands.entries()) {
    const size = mb((await Deno.stat(argv[0])).size);
    const ratio = (median(times[0]!) / median(times[i]!)).toFixed(1);
    console.log(`  ${name} (${size}): ${spread(times[i]!, "ms")}; drover version takes ${ratio} × as long`);
  }
  if (!go) console.log("  Go is not installed: not compared with it");
}

async function main(): Promise<number> {
  const folder = await Deno.makeTempDir({ prefix: "drover-bench-" });
  try {
    console.log(`\nthe executable (load ${Deno.loadavg().map((value) => value.toFixed(1)).join(" ")})`);
    await report(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return 0;
}

if (import.meta.main) await runScript(main);
