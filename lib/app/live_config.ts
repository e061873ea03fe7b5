/** Tells a running daemon that settings or login have changed, so that it need not find out by itself. */
import type { Home } from "../core/home.ts";
import type { Host } from "../core/ports.ts";
import { DroverError } from "../core/drover_error.ts";
import type { ConfigView } from "./config_watch.ts";
import { checkHome } from "./home_dir.ts";
import { connectControl } from "./reach.ts";
import type { RemoteView } from "./remote.ts";

/** What its status says of both; absent in what a daemon of an older version says. */
export interface LiveConfig {
  readonly remote?: RemoteView;
  readonly config?: ConfigView;
  readonly mode?: string;
}

/** `undefined` where no daemon runs, or one that takes nothing before its next start. */
export async function tellDaemon(host: Host, home: Home): Promise<LiveConfig | undefined> {
  if (!await checkHome(host, home)) return undefined;
  using control = await connectControl(host, home);
  if (!control || control.hello.mode !== "daemon") return undefined;
  try {
    return await control.reloadConfig() as LiveConfig;
  } catch (error) {
    // Gone meanwhile, or of a version without it: what it does not hear of now it reads at its next start.
    if (error instanceof DroverError) return undefined;
    throw error;
  }
}
