/** Is the program that would take over fit for it? Asked of the file itself, before anything is stopped for it. */
import { DroverError } from "../core/drover_error.ts";
import { type Host, HostError } from "../core/ports.ts";

const PREFLIGHT_MS = 10_000;

/** The version that the program says it is. Throws `binary_unusable`. */
export async function preflight(
  { processes, system }: Pick<Host, "processes" | "system">,
  { signal }: { signal?: AbortSignal } = {},
): Promise<string> {
  const [executable = "", ...args] = system.selfCommand;
  try {
    const { exit, timedOut, stdout } = await processes.run(
      { executable, args: [...args, "version", "--json"], env: system.env },
      { timeoutMs: PREFLIGHT_MS, signal },
    );
    if (timedOut) throw unusable(executable, `it did not answer within ${PREFLIGHT_MS / 1000} s`);
    if (exit.code !== 0) throw unusable(executable, `it ended with code ${exit.code}`);
    const version = versionIn(stdout);
    if (version === undefined) throw unusable(executable, "it does not say which version it is");
    return version;
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof HostError) throw unusable(executable, error.message);
    throw error;
  }
}

function unusable(executable: string, why: string): DroverError {
  return new DroverError("binary_unusable", `Cannot start a daemon from ${executable}: ${why}`, {
    phase: "preflight",
    hint: "install drover again; the running daemon was left alone",
  });
}

function versionIn(stdout: string): string | undefined {
  try {
    const { version } = JSON.parse(stdout);
    return typeof version === "string" && version !== "" ? version : undefined;
  } catch {
    return undefined;
  }
}
