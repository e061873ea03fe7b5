/** What `status` shows of updates: whether an updater runs, and what came of its last look. */
import type { UpdateView } from "../app/update_view.ts";
import type { Round } from "../core/update.ts";

export type { UpdateView } from "../app/update_view.ts";

const RESULTS: { readonly [R in Round["result"]]: string } = {
  current: "is the newest",
  "on-trial": "is on trial",
  good: "is installed",
  "taken-back": "was taken back and is not tried again",
  refused: "was refused",
  failed: "failed",
};

/** Rows of a table; `since` and `until` say in words how far from now a moment is. */
export function updateRows(
  view: UpdateView | undefined,
  { since, until }: { since: (at: number) => string; until: (at: number) => string },
): string[][] {
  if (!view || (view.updater === null && !view.lastRound)) return [];
  const { lastRound, trial, updater, nextAt } = view;
  const next = nextAt === null ? "" : `, looks for a release in ${until(nextAt)}`;
  const rows = [["updater", updater === null ? "does not run" : `pid ${updater}${next}`]];
  if (trial) rows.push(["update", `${trial.version} is on trial for ${since(trial.since)}`]);
  else if (lastRound) {
    const { result, at, code, detail } = lastRound;
    const what = `${lastRound.version} ${RESULTS[result]}`.trim();
    rows.push(["update", `${what}, ${since(at)} ago${code ? ` (${code}: ${detail})` : ""}`]);
  }
  return rows;
}
