/** Running another program from a script: its output on success, an error that shows it otherwise. */

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  /** Give up and kill it after this many milliseconds. */
  readonly timeoutMs?: number;
}

/** The program's stdout, trimmed at the end. Throws when it cannot be started, fails or takes longer than allowed. */
export async function capture(argv: readonly [string, ...string[]], options: CommandOptions = {}): Promise<string> {
  const shown = argv.join(" ");
  const signal = options.timeoutMs === undefined ? undefined : AbortSignal.timeout(options.timeoutMs);
  let result: Deno.CommandOutput;
  try {
    result = await new Deno.Command(argv[0], {
      args: argv.slice(1),
      cwd: options.cwd,
      env: options.env,
      signal,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
  } catch (cause) {
    const missing = cause instanceof Deno.errors.NotFound;
    const hint = missing ? `: put ${argv[0]} on PATH and run this again` : "";
    throw new Error(`Cannot start "${shown}"${hint}`, { cause });
  }
  const text = new TextDecoder();
  if (result.success) return text.decode(result.stdout).trimEnd();
  const why = signal?.aborted ? `did not end within ${options.timeoutMs} ms` : `ended with code ${result.code}`;
  const output = (text.decode(result.stdout) + text.decode(result.stderr)).trim();
  throw new Error(`Running "${shown}" failed, it ${why}${output ? `; it said:\n${output}` : ""}`);
}

/** Like `capture`, but a failure of any kind is an ordinary answer. */
export async function tryCapture(
  argv: readonly [string, ...string[]],
  options: CommandOptions = {},
): Promise<string | undefined> {
  try {
    return await capture(argv, options);
  } catch {
    return undefined;
  }
}

/** Prints the message of what `main` throws, without a stack, and ends with code 1. */
export async function runScript(main: () => Promise<number>): Promise<never> {
  try {
    Deno.exit(await main());
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    Deno.exit(1);
  }
}
