/** The settings of what drover keeps in order beside the tasks: repositories, disk space, and the count of tokens. */
import { onOrOff, type Row } from "./setting_values.ts";

export interface UpkeepSettings {
  /** Whether tasks may check out repositories of this machine by `file://` addresses. */
  readonly reposAllowFile: boolean;
  /** Whether work directories that nobody needs any more are removed by themselves. */
  readonly gcEnabled: boolean;
  /** Whether they are removed with uncommitted or unpushed work in them, once their issue is done. */
  readonly gcDiscardUnpushed: boolean;
  /** Whether the session logs of agent CLIs are read for the tokens in them. */
  readonly usageScan: boolean;
  /** Whether remote servers are told these tokens, those of the user's own sessions included. */
  readonly usageReportRemote: boolean;
}

export const UPKEEP_SETTINGS: { readonly [K in keyof UpkeepSettings]: Row<boolean> } = {
  reposAllowFile: onOrOff("repos.allow_file", "DROVER_REPOS_ALLOW_FILE", false),
  gcEnabled: onOrOff("gc.enabled", "DROVER_GC_ENABLED", true),
  gcDiscardUnpushed: onOrOff("gc.discard_unpushed", "DROVER_GC_DISCARD_UNPUSHED", false),
  usageScan: onOrOff("usage.scan", "DROVER_USAGE_SCAN", true),
  usageReportRemote: onOrOff("usage.report_remote", "DROVER_USAGE_REPORT_REMOTE", false),
};
