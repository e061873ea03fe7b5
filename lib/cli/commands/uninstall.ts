/** `drover uninstall`: ends what runs of drover and removes what its installer put on this machine. */
import { refuseInsideTask } from "../../app/login.ts";
import { ownInstallation, uninstall as remove } from "../../app/uninstall.ts";
import { parseDuration } from "../../core/config.ts";
import { DroverError } from "../../core/drover_error.ts";
import { profileOf } from "../../core/profile.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { paint } from "../output.ts";

const DRAIN_MS = 60_000;

export const uninstall: Command = {
  name: "uninstall",
  options: [
    { name: "purge", summary: "remove the home too: all tasks, work directories and settings, of all profiles" },
    { name: "yes", short: "y", summary: "do not ask before --purge; for scripts" },
    { name: "now", summary: "end running tasks at once" },
    { name: "timeout", value: "TIME", summary: "how long running tasks may take to finish (default 60s)" },
  ],
  details: `
Ends the daemons, services and updaters of all profiles, then removes the program, the command and the line in your shell's
file that install.sh added, if it did. Tasks and settings stay, unless --purge is given. Where tasks do not end in time
nothing is removed (exit code 8). What Homebrew or somebody else installed is not touched.`,
  async run(context) {
    const { host, output, args } = context;
    refuseInsideTask(host.system);
    const home = context.home();
    const purge = args.switches.has("purge");
    const timeoutMs = timeoutOf(args.values.timeout);
    await ownInstallation(host);
    if (purge) await confirm(context, profileOf(home.root).plain);
    const onStep = (what: string) => output.note(`drover: waiting for ${what} …`);
    const done = await remove(host, home, {
      purge,
      stop: { mode: args.switches.has("now") ? "now" : "drain", timeoutMs, onWait: onStep },
      onStep,
    });
    output.result({ status: "uninstalled", ...done }, () => {
      for (const path of done.removed) output.line(`removed ${path}`);
      for (const path of done.left) output.line(`left ${path}`);
      for (const { pid, home: other } of done.running) {
        output.line(
          paint.yellow(`pid ${pid} of ${other} goes on without it; to end it: kill ${pid}`),
        );
      }
      output.line(`drover ${done.version} is uninstalled`);
    });
    return EXIT_CODES.ok.code;
  },
};

async function confirm({ host: { terminal }, args, output }: CommandContext, home: string): Promise<void> {
  if (args.switches.has("yes")) return;
  output.note(`${home} would be removed, with all tasks, transcripts, work directories and settings in it.`);
  if (!terminal.inputIsTerminal) {
    throw new DroverError("usage", "Cannot ask before removing everything: standard input is no terminal", {
      hint: "add --yes if that is what you want",
    });
  }
  terminal.err("remove it? [y]es, [n]o: ");
  const answer = (await terminal.readLine())?.trim().toLowerCase();
  if (answer !== "y" && answer !== "yes") {
    throw new DroverError("usage", "Nothing was removed: you did not say yes");
  }
}

function timeoutOf(text: string | undefined): number {
  const ms = text === undefined ? DRAIN_MS : parseDuration(text);
  if (ms) return ms;
  throw new DroverError("usage", `Cannot use --timeout ${text}: it must be a duration such as 90s, 30m or 2h`);
}
