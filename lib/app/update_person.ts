/** An update that somebody asked for, to its end: the round, and the trial that another process sees through. */
import type { Home } from "../core/home.ts";
import { type Installation, releaseOfName } from "../core/installation.ts";
import type { Host } from "../core/ports.ts";
import type { Round, Trial } from "../core/update.ts";
import { demandOwn, ownOwner } from "./own_installation.ts";
import { readUpdates } from "./update_file.ts";
import { type RoundOptions, type RoundOutcome, runRound } from "./update_round.ts";
import { livingUpdater, seeThrough } from "./updater_record.ts";

const POLL_MS = 300;

export type Asked =
  | Extract<RoundOutcome, { kind: "current" }>
  | (Omit<Extract<RoundOutcome, { kind: "switched" }>, "kind"> & {
    /** `on-trial`: it went on for longer than was waited for, which the updater does. */
    readonly kind: "good" | "taken-back" | "on-trial";
    readonly detail: string;
  });

export interface AskedOptions extends RoundOptions {
  /** How long the trial is followed, in ms. */
  readonly followMs: number;
  readonly onTrial?: (trial: Trial) => void;
}

/** Throws `UpdateError`. */
export async function updateNow(host: Host, home: Home, options: AskedOptions): Promise<Asked> {
  const owner = demandOwn(await ownOwner(host));
  const { installation } = owner;
  const outcome = await underTrial(host, installation, await runRound(host, home, options));
  await seeThrough(host, home, owner);
  if (outcome.kind === "current") return outcome;
  const { clock } = host;
  const deadline = clock.monotonic() + options.followMs;
  while (clock.monotonic() < deadline) {
    const { trial, rounds } = await readUpdates(host.files, installation);
    if (trial?.name !== outcome.name) {
      const verdict = verdictOf(rounds, outcome.version);
      if (verdict.kind === "taken-back") await restored(host, home, outcome.name, deadline);
      return { ...outcome, ...verdict };
    }
    options.onTrial?.(trial);
    await clock.sleep(POLL_MS, { signal: options.signal });
  }
  return { ...outcome, kind: "on-trial", detail: "it is still on trial" };
}

/** One that is in place already and was never tried to the end, as its updater was killed, is tried now. */
async function underTrial(host: Host, installation: Installation, outcome: RoundOutcome): Promise<RoundOutcome> {
  const { trial } = await readUpdates(host.files, installation);
  if (outcome.kind === "switched" || !trial) return outcome;
  const before = releaseOfName(trial.before)?.version ?? trial.before;
  return { kind: "switched", version: outcome.version, before, name: trial.name };
}

/** Its updater starts the old daemon, and then becomes the old one. */
async function restored(host: Host, home: Home, name: string, deadline: number): Promise<void> {
  while (host.clock.monotonic() < deadline && (await livingUpdater(host, home))?.name === name) {
    await host.clock.sleep(POLL_MS);
  }
}

function verdictOf(rounds: readonly Round[], version: string): { kind: "good" | "taken-back"; detail: string } {
  const last = rounds.findLast((one) => one.version === version && one.result !== "on-trial");
  if (last?.result === "good") return { kind: "good", detail: last.detail };
  return { kind: "taken-back", detail: last?.detail ?? "somebody chose another release meanwhile" };
}
