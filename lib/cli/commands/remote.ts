/** `drover enable remote` and `drover disable remote`: whether the daemon takes work from the configured server. */
import { setRemote } from "../../app/remote.ts";
import { parseDuration } from "../../core/config.ts";
import { DroverError } from "../../core/drover_error.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { paint } from "../output.ts";

const READY_MS = 30_000;
const DRAIN_MS = 60_000;

export const enableRemote = toggle("enable remote", true);
export const disableRemote = toggle("disable remote", false);

function toggle(name: string, enabled: boolean): Command {
  return {
    name,
    options: [
      { name: "now", summary: "end running tasks at once; those with an attempt left are tried again later" },
      { name: "timeout", value: "TIME", summary: "how long running tasks may take to finish (default 60s)" },
    ],
    details: `
Sets remote.enabled in config.json. A running daemon is restarted, with what it was started with, when its tasks are
done; past the time for that nothing is changed.`,
    run: (context) => change(context, enabled),
  };
}

async function change(context: CommandContext, enabled: boolean): Promise<number> {
  const { host, output, args } = context;
  const home = context.home();
  const onWait = (holder: string) => output.note(`drover: waiting for ${holder} …`);
  const { changed, daemon, hello, hiddenBy } = await setRemote(host, home, enabled, {
    start: { timeoutMs: READY_MS, onWait },
    stop: { mode: args.switches.has("now") ? "now" : "drain", timeoutMs: timeoutOf(args.values.timeout), onWait },
  });
  const { pid = null } = hello ?? {};
  output.result({ remoteEnabled: enabled, changed, daemon, pid, hiddenBy, home: home.root, file: home.config }, () => {
    const word = enabled ? "enabled" : "disabled";
    const effect = daemon === "restarted" ? `; the daemon was restarted (pid ${pid})` : "";
    output.line(changed ? `remote is ${word} now${effect}` : `remote was ${word} already`);
    if (hiddenBy) output.line(paint.yellow(`the variable ${hiddenBy} is set and comes before config.json`));
  });
  return EXIT_CODES.ok.code;
}

function timeoutOf(text: string | undefined): number {
  const ms = text === undefined ? DRAIN_MS : parseDuration(text);
  if (ms) return ms;
  throw new DroverError("usage", `Cannot use --timeout ${text}: it must be a duration such as 90s, 30m or 2h`);
}
