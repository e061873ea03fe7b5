/** The real machine as one object: every port with its only implementation. */
import type { Env, Host } from "../core/ports.ts";
import { createClock } from "./clock.ts";
import { becomeProgram } from "./exec.ts";
import { createFiles } from "./files.ts";
import { createFingerprints } from "./fingerprint.ts";
import { createIdentity } from "./identity.ts";
import { createInspector } from "./inspector.ts";
import { createLauncher } from "./launcher.ts";
import { createLocks } from "./lock.ts";
import { createLogs } from "./log.ts";
import { createNetwork } from "./network.ts";
import { createNotices, withoutServiceVariables } from "./notices.ts";
import { createProcesses } from "./process.ts";
import { createRandom } from "./random.ts";
import { runningImage, selfCommand } from "./self_command.ts";
import { createSignals } from "./signals.ts";
import { createTerminal } from "./terminal.ts";

/**
 * Variables that would move our sockets to a public port or send loopback traffic through a proxy (measured for Deno's
 * own server and client). They are taken out before anything is opened, and given back to agents, who may need them.
 */
const HOSTILE = ["DENO_SERVE_ADDRESS"];
const PROXY = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/** The first thing main does. Returns the environment that agents inherit. */
export function cleanEnvironment(): Env {
  const inherited = withoutServiceVariables(Deno.env.toObject());
  for (const name of HOSTILE) delete inherited[name];
  for (const name of [...HOSTILE, ...PROXY]) Deno.env.delete(name);
  Deno.umask(0o077);
  return inherited;
}

export function createHost(): Host {
  const notices = createNotices(Deno.env.toObject(), Deno.pid);
  const env = cleanEnvironment();
  const clock = createClock();
  const terminal = createTerminal(Boolean(env.NO_COLOR));
  const { self, identityOf, environmentOf } = createIdentity();
  return {
    clock,
    terminal,
    random: createRandom(),
    processes: createProcesses({ clock }),
    launcher: createLauncher(identityOf),
    becomeProgram,
    files: createFiles(),
    fingerprints: createFingerprints(),
    locks: createLocks(clock),
    inspector: createInspector(),
    network: createNetwork(),
    signals: createSignals(),
    notices,
    logs: createLogs(terminal),
    system: {
      os: Deno.build.os === "darwin" ? "darwin" : "linux",
      arch: Deno.build.arch,
      hostname: Deno.hostname(),
      uid: Deno.uid() ?? 0,
      env,
      cwd: Deno.cwd(),
      selfCommand: selfCommand(),
      image: runningImage(),
      compiled: Deno.build.standalone,
      denoVersion: Deno.version.deno,
      self,
      identityOf,
      environmentOf,
    },
  };
}
