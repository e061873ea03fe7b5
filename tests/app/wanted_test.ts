/** Whether a daemon that was started for somebody may stay: a stop that came first is obeyed, by whoever was not typed by hand. */
import { assertEquals, assertRejects } from "@std/assert";
import { checkWanted } from "../../lib/app/wanted.ts";
import { DroverError } from "../../lib/core/drover_error.ts";
import { homeLayout } from "../../lib/core/home.ts";
import { REASON_VARIABLE, type SupervisorKind } from "../../lib/core/launch.ts";
import { updateLifecycle } from "../../lib/lifecycle/lifecycle_file.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";

interface Case {
  readonly desired: "running" | "stopped" | undefined;
  readonly launched: boolean;
  readonly supervisor?: SupervisorKind;
  readonly stays: boolean;
}

const CASES: readonly Case[] = [
  { desired: undefined, launched: true, stays: true },
  { desired: "running", launched: true, stays: true },
  { desired: "stopped", launched: true, stays: false },
  { desired: "stopped", launched: false, stays: true },
  { desired: "stopped", launched: false, supervisor: "systemd", stays: false },
  { desired: "running", launched: false, supervisor: "launchd", stays: true },
];

for (const { desired, launched, supervisor, stays } of CASES) {
  const who = supervisor ?? (launched ? "a start" : "a person");
  Deno.test(`a daemon of ${who} ${stays ? "stays" : "leaves"} when what is wanted is ${desired ?? "unknown"}`, async () => {
    await using dir = await tempDirectory();
    const home = homeLayout(dir.path);
    const { host, files } = testHost({ env: launched ? { [REASON_VARIABLE]: "user" } : {} });
    if (desired) {
      await updateLifecycle(
        files,
        home,
        () => ({ desired: { state: desired, by: "stop", at: "2026-01-15T12:00:00Z" } }),
      );
    }
    const check = () => checkWanted(host, home, { supervisor });
    if (stays) return await check();
    const error = await assertRejects(check, DroverError);
    assertEquals(error.code, "busy");
  });
}

for (
  const [desired, pending, holds] of [
    ["running", false, true],
    ["running", true, false],
    ["stopped", true, true],
  ] as const
) {
  Deno.test(`a run ${holds ? "takes" : "leaves"} the home when ${desired} is wanted${pending ? " and a restart is under way" : ""}`, async () => {
    await using dir = await tempDirectory();
    const home = homeLayout(dir.path);
    const { host, files } = testHost();
    const at = "2026-01-15T12:00:00Z";
    const operation = { verb: "restart", phase: "starting", reason: "user", args: [], since: at } as const;
    await updateLifecycle(files, home, () => ({
      desired: { state: desired, by: "test", at },
      operation: pending ? { ...operation, args: [] } : null,
    }));
    const check = () => checkWanted(host, home, { mode: "run" });
    if (holds) return await check();
    assertEquals((await assertRejects(check, DroverError)).code, "already_running");
  });
}
