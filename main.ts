/** Makes the real host, runs the command line on it, and exits with the number it returns. */
import { refusalOn, runCli } from "./lib/cli/cli.ts";
import { createHost } from "./lib/host/host.ts";

const refusal = refusalOn(Deno.build.os, Deno.args);
if (refusal) {
  (refusal.stream === "out" ? Deno.stdout : Deno.stderr).writeSync(new TextEncoder().encode(refusal.text));
  Deno.exit(refusal.code);
}
const code = await runCli(Deno.args, createHost());
Deno.exit(code);
