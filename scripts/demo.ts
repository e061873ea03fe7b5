/** The demo: a daemon in a temporary home, the agents it finds, one task followed live, its files, and a clean stop. */
import { bold, setColorEnabled } from "@std/fmt/colors";
import { join } from "@std/path";
import { selfCommandOf } from "./self.ts";

const PROMPT = "Look around in this directory and leave a short note about what you found.";
const START_MS = 30_000;
const STOP_MS = 30_000;

setColorEnabled(Deno.stdout.isTerminal() && !Deno.env.get("NO_COLOR"));
const agent = Deno.env.get("AGENT") || "demo";
const home = await Deno.makeTempDir({ prefix: "drover-demo-" });
const env = { DROVER_HOME: home };
const drover = selfCommandOf();

function command(args: string[], options: Deno.CommandOptions = {}): Deno.Command {
  return new Deno.Command(drover[0]!, { args: [...drover.slice(1), ...args], env, cwd: home, ...options });
}

async function show(title: string, args: string[]): Promise<number> {
  console.log(bold(`\n$ drover ${title}`));
  const { code } = await command(args, { stdin: "null" }).spawn().status;
  return code;
}

/** The daemon says on stdout when it is ready. */
async function ready(daemon: Deno.ChildProcess): Promise<void> {
  const reader = daemon.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let said = "";
  const deadline = Date.now() + START_MS;
  while (!said.includes("ctrl-C stops it")) {
    const { done, value } = await reader.read();
    if (done || Date.now() > deadline) throw new Error(`The daemon did not start: ${said}; see ${join(home, "logs")}`);
    said += value;
  }
  console.log(said.trim());
  reader.releaseLock();
}

console.log(`home: ${home}`);
console.log(bold("$ drover daemon"));
const daemon = command(["daemon", "--quiet"], { stdin: "null", stdout: "piped" }).spawn();
let code = 1;
try {
  await ready(daemon);
  await show("agents --all", ["agents", "--all"]);
  code = await show(`run --agent ${agent} "${PROMPT}"`, ["run", "--agent", agent, PROMPT]);
} finally {
  daemon.kill("SIGTERM");
  const stopped = await Promise.race([
    daemon.status.then((status) => `daemon stopped, exit code ${status.code}`),
    new Promise<string>((resolve) =>
      Deno.unrefTimer(setTimeout(() => resolve("daemon did not stop"), STOP_MS) as never)
    ),
  ]);
  console.log(`\n${stopped}`);
}
console.log(`everything is in ${home} (database, log, transcripts, work directories); remove it when you have looked`);
Deno.exit(code);
