/** Has a daemon's agent CLIs watched, where its settings say so: what the watch needs, taken from the daemon's own options. */
import { type BinaryWatch, type BinaryWatchOptions, createBinaryWatch } from "./binary_watch.ts";
import type { DaemonOptions } from "./daemon_contract.ts";

type OfTheDaemon = Pick<BinaryWatchOptions, "agents" | "offer" | "busy" | "inFlight" | "onClaimable"> & {
  /** After each look and each registration. */
  readonly onLooked: () => void;
};

/** Nothing where what was found is used as it is. */
export function watchBinaries(options: DaemonOptions, { onLooked, ...own }: OfTheDaemon): BinaryWatch | undefined {
  const { binaries, surroundings, getLogger, reload } = options;
  if (!binaries) return undefined;
  const watch = createBinaryWatch({
    ...options,
    ...binaries,
    ...own,
    managed: reload?.policy.managed ?? false,
    env: () => surroundings.env(),
    log: getLogger("agents"),
  });
  watch.onLooked = onLooked;
  return watch;
}
