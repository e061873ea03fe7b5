/** `drover pause` and `drover resume`: whether any tasks are claimed, until a time or until somebody takes it back. */
import { MAX_REASON } from "../../core/claim_hold.ts";
import { formatDuration, parseDuration } from "../../core/config.ts";
import { DroverError } from "../../core/drover_error.ts";
import { pauseText } from "../../core/runtime_pause.ts";
import type { Command } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { oneLine, plain } from "../output.ts";

export const pause: Command = {
  name: "pause",
  options: [
    { name: "for", value: "TIME", summary: "take tasks again after TIME, e.g. 2h (default: until drover resume)" },
    { name: "reason", value: "TEXT", summary: "why, for whoever looks at the status" },
  ],
  details: `
Nothing is claimed from any queue or server, also after a restart. Running tasks go on. Tasks that wait stay in the
queue for as long as the daemon is there; drover run says at once that it is paused. One agent alone is limited with drover config set limits.tasks_per_day, tokens_per_day or usd_per_day.`,
  examples: [
    ["drover pause --for 2h", "back after lunch"],
    ['drover pause --reason "release freeze"', "until drover resume"],
  ],
  async run({ host, output, args, home }) {
    const until = untilOf(args.values.for, host.clock.now());
    const reason = oneLine(plain(args.values.reason ?? ""), MAX_REASON);
    const { pauseClaims } = await import("../../app/claim_pause.ts");
    const { by } = await pauseClaims(host, home(), { until, reason });
    output.result({ paused: { until, reason }, by }, () => {
      const text = pauseText({ kind: "person", until, why: reason, how: "drover resume" }, host.clock.now());
      output.line(`${text}${by === "daemon" ? "" : " (no daemon runs; the next one will heed it)"}`);
    });
    return EXIT_CODES.ok.code;
  },
};

export const resume: Command = {
  name: "resume",
  options: [],
  details: "Takes back drover pause. An agent that is paused for its quota or a login: drover agents resume AGENT.",
  async run({ host, output, home }) {
    const { resumeClaims } = await import("../../app/claim_pause.ts");
    const resumed = await resumeClaims(host, home());
    output.result({ resumed }, () => {
      output.line(resumed ? "tasks are taken again" : "it was not paused: nothing to do");
    });
    return EXIT_CODES.ok.code;
  },
};

function untilOf(text: string | undefined, now: number): number | null {
  if (text === undefined) return null;
  const ms = parseDuration(text);
  if (ms !== undefined && ms <= LONGEST_MS) return now + ms;
  const longest = `at most ${formatDuration(LONGEST_MS)}`;
  throw new DroverError(
    "usage",
    `Cannot use --for ${text}: it must be a duration such as 90s, 30m, 2h or 1d, ${longest}`,
    {
      hint: "without --for the pause lasts until drover resume",
    },
  );
}

const LONGEST_MS = 365 * 24 * 60 * 60_000;
