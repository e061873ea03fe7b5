/** Starting a process that outlives us, and signalling one that is not our child: both without ever meaning another. */
import type { Launcher, ProcessIdentity } from "../core/ports.ts";
import { toHostError } from "./errors.ts";

/**
 * The shell redirects, which `Deno.Command` cannot, and then becomes the program itself: one process, in a session of
 * its own, its log complete from the first instruction on.
 */
const REDIRECT = 'umask 077; exec "$@" </dev/null >>"$DROVER_LAUNCH_LOG" 2>&1';

export function createLauncher(identityOf: (pid: number) => ProcessIdentity | undefined): Launcher {
  return {
    launch({ argv, cwd, env, logFile }) {
      let child: Deno.ChildProcess;
      try {
        child = new Deno.Command("/bin/sh", {
          args: ["-c", REDIRECT, "drover", ...argv],
          cwd,
          env: { ...env, DROVER_LAUNCH_LOG: logFile },
          clearEnv: true,
          detached: true,
          stdin: "null",
          stdout: "null",
          stderr: "null",
        }).spawn();
      } catch (error) {
        throw toHostError(error, "start", argv[0] ?? "a process");
      }
      // We may end before it does.
      child.unref();
      return { pid: child.pid, exit: child.status.then(({ code, signal }) => ({ code, signal })) };
    },
    signal(target, name, { group = false } = {}) {
      const now = identityOf(target.pid);
      if (!now || now.startTicks !== target.startTicks || now.bootId !== target.bootId) return "gone";
      try {
        Deno.kill(group ? -target.pid : target.pid, name);
        return "sent";
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return "gone";
        throw toHostError(error, "signal", `process ${target.pid}`);
      }
    },
  };
}
