/** The settings of what is claimed on a day and on battery. */
import { type DayLimits, formatPerAgent, parsePerAgent, type PerAgent } from "./day_limits.ts";
import { onOrOff, type Row } from "./setting_values.ts";

export interface ClaimSettings {
  /** How many tasks each agent CLI may begin on one day. */
  readonly tasksPerDay: PerAgent;
  /** The tokens after which it begins no more; those from and into a cache count as well. */
  readonly tokensPerDay: PerAgent;
  /** The same for its costs, where it tells them. */
  readonly usdPerDay: PerAgent;
  /** Whether tasks are claimed while the machine runs on its battery. */
  readonly claimOnBattery: boolean;
}

export function dayLimitsOf({ tasksPerDay, tokensPerDay, usdPerDay }: ClaimSettings): DayLimits {
  return { tasks: tasksPerDay, tokens: tokensPerDay, usd: usdPerDay };
}

type Table = { readonly [K in keyof ClaimSettings]: Row<ClaimSettings[K]> };

export const CLAIM_SETTINGS: Table = {
  tasksPerDay: {
    key: "limits.tasks_per_day",
    variable: "DROVER_TASKS_PER_DAY",
    fallback: {},
    parse: (value) => parsePerAgent(value, { whole: true }),
    write: formatPerAgent,
    range: "a number such as 20 for each agent, a list such as claude=20,codex=5, or none",
  },
  tokensPerDay: {
    key: "limits.tokens_per_day",
    variable: "DROVER_TOKENS_PER_DAY",
    fallback: {},
    parse: (value) => parsePerAgent(value, { whole: true }),
    write: formatPerAgent,
    range: "a number such as 2M for each agent, a list such as claude=2M,codex=500k, or none",
  },
  usdPerDay: {
    key: "limits.usd_per_day",
    variable: "DROVER_USD_PER_DAY",
    fallback: {},
    parse: (value) => parsePerAgent(value, { whole: false }),
    write: formatPerAgent,
    range: "dollars such as 5 or 2.50 for each agent, a list such as claude=5,codex=2, or none",
  },
  claimOnBattery: onOrOff("power.claim_on_battery", "DROVER_CLAIM_ON_BATTERY", true),
};
