/** The machine as tests of the app need it: real files, processes and locks, an environment and a clock of their own. */
import type { Env, Host, Random } from "../../lib/core/ports.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createFiles } from "../../lib/host/files.ts";
import { createFingerprints } from "../../lib/host/fingerprint.ts";
import { createIdentity } from "../../lib/host/identity.ts";
import { createProcesses } from "../../lib/host/process.ts";
import { createRandom } from "../../lib/host/random.ts";
import { type KeptLog, keptLog } from "../daemon/kept_log.ts";
import { FakeClock } from "../support/fake_clock.ts";

export interface TestHost
  extends Omit<Host, "becomeProgram" | "inspector" | "launcher" | "locks" | "network" | "signals" | "terminal"> {
  readonly clock: FakeClock;
  readonly log: KeptLog;
  /** The same for whoever asks for a whole host and uses only the above. */
  readonly host: Host;
}

export function testHost(
  options: { env?: Env; cwd?: string; uid?: number; selfCommand?: readonly string[] } = {},
): TestHost {
  const clock = new FakeClock();
  const log = keptLog();
  const random: Random = createRandom();
  const ports = {
    clock,
    log,
    random,
    processes: createProcesses({ clock: createClock() }),
    files: createFiles(),
    fingerprints: createFingerprints(),
    notices: { watchdogMs: 0, send() {} },
    logs: { getLogger: () => log, setup: () => Promise.resolve({ async [Symbol.asyncDispose]() {} }) },
    system: {
      os: "linux" as const,
      arch: "x86_64",
      hostname: "box",
      uid: options.uid ?? Deno.uid() ?? 0,
      env: options.env ?? {},
      cwd: options.cwd ?? "/",
      selfCommand: options.selfCommand ?? ["/usr/bin/drover"],
      image: options.selfCommand?.[0] ?? "/usr/bin/drover",
      compiled: false,
      denoVersion: "0.0.0",
      ...createIdentity(),
    },
  };
  return { ...ports, host: ports as unknown as Host };
}
