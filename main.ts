/** Makes the real host, runs the command line on it, and exits with the number it returns. */
import { runCli } from "./lib/cli/cli.ts";
import { createHost } from "./lib/host/host.ts";

const code = await runCli(Deno.args, createHost());
Deno.exit(code);
