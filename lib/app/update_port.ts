/** Updates that a team server asks for: the same round as a person's, and the updater sees the restart through. */
import type { Settings } from "../core/config.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import { LAUNCHED_BY_VARIABLE } from "../core/launch.ts";
import type { Host } from "../core/ports.ts";
import { isReleaseVersion } from "../core/release.ts";
import { UpdateError } from "../core/update_error.ts";
import type { Updates } from "../daemon/pending_actions.ts";
import { brewUpgrade } from "./homebrew.ts";
import { demandOwn, ownOwner } from "./own_installation.ts";
import { runRound } from "./update_round.ts";
import { seeThrough } from "./updater_record.ts";

/** `settings`: as they are when it is asked. */
export async function serverUpdates(host: Host, home: Home, settings: () => Settings): Promise<Updates> {
  const owner = await ownOwner(host);
  const log = host.logs.getLogger("update");
  return {
    refusal() {
      if (host.system.env[LAUNCHED_BY_VARIABLE] === "desktop") {
        return "Updating was refused: the app that started this drover replaces it";
      }
      if (owner.kind === "homebrew") return undefined;
      try {
        demandOwn(owner);
      } catch (error) {
        if (!(error instanceof DroverError)) throw error;
        return `${error.message}; ${error.hint}`;
      }
    },
    async install(asked, signal) {
      const version = asked.replace(/^v/, "");
      if (owner.kind === "homebrew") return await brewUpgrade(host, signal);
      if (!isReleaseVersion(version)) {
        const shown = JSON.stringify(asked.slice(0, 40));
        throw new UpdateError("bad-release", `Updating was refused: ${shown} is no version`);
      }
      const outcome = await runRound(host, home, { by: "server", version, settings: settings(), signal });
      return outcome.kind === "current"
        ? `drover ${outcome.version} is installed already`
        : `drover ${outcome.version} is in place of ${outcome.before}, and on trial when the daemon restarts`;
    },
    restart() {
      // Homebrew's own hook ends an outdated daemon.
      if (owner.kind === "drover") {
        void seeThrough(host, home, owner).catch((error) => log.error("no updater", { error: String(error) }));
      }
    },
  };
}
