/** An installation of Homebrew's is updated by Homebrew, when somebody asks for it, and never by the loop. */
import { type Host, HostError } from "../core/ports.ts";
import { UpdateError } from "../core/update_error.ts";

const BREW_MS = 15 * 60_000;

/** The last line that brew printed. Throws `UpdateError`. */
export async function brewUpgrade(host: Pick<Host, "processes" | "system">, signal: AbortSignal): Promise<string> {
  const fail = (why: string, cause?: unknown) =>
    new UpdateError("internal", `Running brew upgrade drover failed: ${why}`, {
      hint: "type: brew upgrade drover",
      cause,
    });
  try {
    const { exit, timedOut, stdout, stderr } = await host.processes.run(
      { executable: "brew", args: ["upgrade", "drover"], env: host.system.env },
      { timeoutMs: BREW_MS, signal },
    );
    if (timedOut) throw fail(`it did not end within ${BREW_MS / 60_000} min`);
    if (exit.code !== 0) throw fail(stderr.trim().split("\n").at(-1) || `it ended with code ${exit.code}`);
    return stdout.trim().split("\n").at(-1) || "Homebrew has nothing newer";
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof HostError ? fail(error.message, error) : error;
  }
}
