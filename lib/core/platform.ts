/** Where drover runs, and what it says anywhere else. */
import { DroverError } from "./drover_error.ts";

const SUPPORTED: readonly string[] = ["linux", "darwin"];

/** `os` as Deno names it. It all rests on Unix: flock, process groups, signals, sockets that are files. */
export function platformRefusal(os: string): DroverError | undefined {
  if (SUPPORTED.includes(os)) return undefined;
  return new DroverError("platform_unsupported", `Cannot run on ${os}: drover runs on macOS and Linux`, {
    hint: os === "windows"
      ? "use WSL: run wsl --install, and install drover in the Linux that it gives you"
      : undefined,
  });
}
