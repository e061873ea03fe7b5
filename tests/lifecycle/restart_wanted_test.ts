/** A restart that nobody asked for: it revives nothing that somebody has stopped, and one that serves all the same is restarted. */
import { assertEquals } from "@std/assert";
import { homeLayout } from "../../lib/core/home.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import type { StartReason } from "../../lib/core/launch.ts";
import type { Phase } from "../../lib/core/phase.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createLocks } from "../../lib/host/lock.ts";
import { restartDaemon } from "../../lib/lifecycle/instance.ts";
import { updateLifecycle } from "../../lib/lifecycle/lifecycle_file.ts";
import type { ControlPort } from "../../lib/lifecycle/observe.ts";
import type { InstancePorts } from "../../lib/lifecycle/verb.ts";
import { testHost } from "../app/test_host.ts";
import { tempDirectory } from "../host/temp_directory.ts";

const locks = createLocks(createClock());
{
  // The library stays loaded for the life of a process: it is before any test counts what was left open.
  await using dir = await tempDirectory();
  (await locks.tryLock(dir.at("first")))?.release();
}

for (
  const [what, reason, phase, began] of [
    ["one that is gone, for an update", "update", undefined, false],
    ["one that is gone, for the way back", "rollback", undefined, false],
    ["one that ends, for an update", "update", "draining", false],
    ["one that serves, for an update", "update", "running", true],
    ["one that is gone, for a person", "user", undefined, true],
  ] as readonly (readonly [string, StartReason, Phase["kind"] | undefined, boolean])[]
) {
  Deno.test(`a restart of a daemon that was stopped: ${what}`, async () => {
    await using dir = await tempDirectory();
    const { host } = testHost();
    const home = homeLayout(dir.at("home"));
    await host.files.makeDirectory(home.root);
    const control = {
      hello: { instance: "one", mode: "daemon", phase },
      [Symbol.dispose]: () => {},
    } as unknown as ControlPort;
    const { self, identityOf } = host.system;
    const ports = {
      ...{ files: host.files, clock: createClock(), locks, self, identityOf },
      contact: () => Promise.resolve(phase ? { kind: "answers", control } : { kind: "absent" as const }),
      preflight: () => Promise.reject(new DroverError("binary_unusable", "It began")),
    } as unknown as InstancePorts;
    const desired = { state: "stopped", by: "stop", at: "2026-01-15T12:00:00Z" } as const;
    await updateLifecycle(host.files, home, () => ({ desired }));
    const code = await restartDaemon(ports, home, {
      start: { timeoutMs: 1_000 },
      stop: { mode: "drain", timeoutMs: 1_000 },
      reason,
    }).then(() => "none", (error) => error.code);
    assertEquals(code, began ? "binary_unusable" : "busy");
  });
}
