/** `drover usage`: the tokens of each day, by agent CLI and model, as the CLIs' own session logs have them. */
import { readSettings } from "../../app/settings.ts";
import { DroverError } from "../../core/drover_error.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { paint, plain, table } from "../output.ts";

const DAYS = 7;
const MAX_DAYS = 90;

export const usage: Command = {
  name: "usage",
  options: [{
    name: "days",
    value: "N",
    summary: `how many days, today among them (default ${DAYS}, at most ${MAX_DAYS})`,
  }],
  details: `
Counts what the agent CLIs note of their sessions on this machine: those that drover started and your own. Each answer
counts once, in whichever logs it is. Input does not contain what came from the cache. Nothing of it is sent to a remote
server unless usage.report_remote = true.`,
  examples: [["drover usage --days 30", "the last thirty days"]],
  run: show,
};

async function show({ host, output, args, home }: CommandContext): Promise<number> {
  const days = daysOf(args.values.days);
  const { usageScan } = await readSettings(host, home());
  if (!usageScan) {
    throw new DroverError("usage", "Cannot count tokens: session logs are not read, by the setting usage.scan", {
      hint: "drover config unset usage.scan",
    });
  }
  const { openHome } = await import("../../app/home_dir.ts");
  await openHome(host, home());
  const { LOG_SOURCES, usageOfDays } = await import("../../app/usage.ts");
  const found = await usageOfDays(host, home(), { days, env: host.system.env });
  output.result({ days, usage: found, agents: LOG_SOURCES.map(({ provider }) => provider) }, () => {
    if (found.length === 0) {
      output.line(
        `No tokens in the last ${days} days, in the session logs of ${
          LOG_SOURCES.map(({ provider }) => provider).join(", ")
        }.`,
      );
      return;
    }
    const row = (one: typeof found[number]) => [
      one.date,
      one.provider,
      plain(one.model),
      ...[one.inputTokens, one.outputTokens, one.cacheReadTokens, one.cacheWriteTokens].map(count),
    ];
    const head = ["DAY", "AGENT", "MODEL", "INPUT", "OUTPUT", "CACHE READ", "CACHE WRITE"];
    for (const line of table([head, ...found.map(row)])) output.line(line);
    const sum = (field: "inputTokens" | "outputTokens" | "cacheReadTokens" | "cacheWriteTokens") =>
      count(found.reduce((total, one) => total + one[field], 0));
    output.line(paint.dim(
      `in all ${sum("inputTokens")} in, ${sum("outputTokens")} out, ${sum("cacheReadTokens")} from the cache, ` +
        `${sum("cacheWriteTokens")} into it`,
    ));
  });
  return EXIT_CODES.ok.code;
}

function daysOf(text: string | undefined): number {
  const days = text === undefined ? DAYS : /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (days >= 1 && days <= MAX_DAYS) return days;
  throw new DroverError("usage", `Cannot use --days ${text}: it must be a whole number from 1 to ${MAX_DAYS}`);
}

function count(number: number): string {
  return number.toLocaleString("en-US");
}
