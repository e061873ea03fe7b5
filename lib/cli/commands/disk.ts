/** `drover disk` and `drover disk free`: what the home takes of the disk, and giving back what nobody needs. */
import { diskView, type FreedItem, freeSpace } from "../../app/disk.ts";
import { checkHome } from "../../app/home_dir.ts";
import { parseDuration } from "../../core/config.ts";
import { DroverError } from "../../core/drover_error.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { paint, table } from "../output.ts";

const SHOWN = 20;

export const disk: Command = {
  name: "disk",
  options: [],
  details: `
What drover keeps: the work directories of tasks, the repositories that tasks have checked out, transcripts, databases
and logs. Work directories go by themselves when their task or issue is over; drover disk free does it now.`,
  async run({ host, output, home }: CommandContext) {
    await checkHome(host, home());
    const view = await diskView(host, home());
    output.result({ home: home().root, ...view }, () => {
      const sum = (all: readonly { bytes: number }[]) => all.reduce((total, { bytes }) => total + bytes, 0);
      const rows = [
        ["work directories", size(sum(view.work)), String(view.work.length)],
        ["repositories", size(sum(view.repos)), String(view.repos.length)],
        ["transcripts", size(view.transcripts), ""],
        ["databases", size(view.databases), ""],
        ["logs", size(view.logs), ""],
        ["in all", size(view.total), view.free === null ? "" : `${size(view.free)} free`],
      ];
      for (const line of table(rows)) output.line(line);
      const largest = view.work.slice(0, SHOWN);
      if (largest.length === 0) return;
      output.line();
      const now = host.clock.now();
      const entries = largest.map(({ bytes, task, usedAt, path }) => [
        size(bytes),
        task.slice(0, 8) || "-",
        usedAt === null ? "-" : ageText(now - usedAt),
        path,
      ]);
      for (const line of table([["SIZE", "TASK", "USED", "WORK DIRECTORY"], ...entries])) output.line(line);
      const more = view.work.length - largest.length;
      if (more > 0) output.line(paint.dim(`${more} smaller ones: drover disk --json`));
    });
    return EXIT_CODES.ok.code;
  },
};

export const diskFree: Command = {
  name: "disk free",
  options: [
    { name: "dry-run", summary: "only say what would be removed, and why the rest stays" },
    { name: "older-than", value: "TIME", summary: "what is over and was not used for this long, e.g. 7d" },
    { name: "all", summary: "all that no running task uses, also where the task or issue is still open" },
    { name: "discard-changes", summary: "also with uncommitted or unpushed work in it, which is then lost" },
  ],
  details: `
Removes work directories whose task or issue is over, and repositories that none of them depends on. Without a time the
rules of the daemon hold: tasks of this machine after retention.days, a server's issues a day after they were closed. A
directory with uncommitted or unpushed work stays, unless it is to be discarded.`,
  examples: [
    ["drover disk free --dry-run", "what could go, and what stays for which reason"],
    ["drover disk free --older-than 7d", "what is over and was not used for a week"],
  ],
  run: free,
};

async function free({ host, output, args, home }: CommandContext): Promise<number> {
  const dryRun = args.switches.has("dry-run");
  const olderThanMs = args.values["older-than"] === undefined ? undefined : ageOf(args.values["older-than"]);
  const there = await checkHome(host, home());
  const items: readonly FreedItem[] = there
    ? await freeSpace(host, home(), {
      dry_run: dryRun,
      ...(olderThanMs === undefined ? {} : { older_than_ms: olderThanMs }),
      all: args.switches.has("all"),
      discard_changes: args.switches.has("discard-changes"),
    })
    : [];
  const removed = items.filter((item) => item.removed);
  const bytes = removed.reduce((sum, item) => sum + item.bytes, 0);
  output.result({ dryRun, items, freed: bytes }, () => {
    const shown = dryRun ? items : removed;
    for (const item of shown) {
      const verb = item.removed ? (dryRun ? "would remove" : "removed") : "keeps";
      output.line(`${verb}  ${size(item.bytes)}  ${item.path}${item.why ? `  (${item.why})` : ""}`);
    }
    const kept = items.length - removed.length;
    output.line(`${dryRun ? "would free" : "freed"} ${size(bytes)}${kept > 0 ? `; ${kept} stay` : ""}`);
    if (kept > 0 && !dryRun) output.line(paint.dim("why they stay: drover disk free --dry-run"));
  });
  return EXIT_CODES.ok.code;
}

function ageOf(text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  throw new DroverError("usage", `Cannot use --older-than ${text}: it must be a duration such as 12h or 7d`);
}

function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = bytes > 0 ? Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10)) : 0;
  const value = bytes / 1024 ** step;
  return `${value < 10 && step > 0 ? value.toFixed(1) : Math.round(value)} ${units[step]}`;
}

function ageText(ms: number): string {
  const hours = Math.floor(ms / 3_600_000);
  return hours < 1 ? "just now" : hours < 48 ? `${hours} h ago` : `${Math.floor(hours / 24)} d ago`;
}
