/** The store itself as a session for looking and cancelling: for a command that finds no holder of the home. */
import { createCoordinator } from "../coordinator/embedded.ts";
import { StoreError } from "../coordinator/store.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { Host } from "../core/ports.ts";
import { type UserApi, userApiOver } from "./control_client.ts";
import { takeDaemonLock } from "./daemon_host.ts";
import { inHome, openHome } from "./home_dir.ts";

/** Holds the daemon lock until it is disposed; `undefined` when somebody else has it. Throws `home_unusable`, `store_unusable`. */
export async function openOwnStore(host: Host, home: Home): Promise<UserApi | undefined> {
  await openHome(host, home);
  const lock = await inHome(home, () => takeDaemonLock(host, home)).catch((error) => {
    if (!(error instanceof DroverError && error.code === "already_running")) throw error;
    return undefined;
  });
  if (!lock) return undefined;
  try {
    const coordinator = await createCoordinator({
      database: { kind: "sqlite", path: home.coordinatorDb },
      clock: host.clock,
      random: host.random,
      log: host.logs.getLogger("coordinator"),
    });
    return userApiOver(coordinator.userApi, host.clock, {
      live: false,
      dispose: () => void coordinator.close().finally(() => lock.release()),
    });
  } catch (error) {
    lock.release();
    if (error instanceof StoreError) throw new DroverError("store_unusable", error.message, { cause: error });
    throw error;
  }
}
