/** `drover update`: a newer release, now or by a loop of its own, and what comes of it. */
import { readConfigFile, setInConfigFile } from "../../app/config_file.ts";
import { openHome } from "../../app/home_dir.ts";
import { refuseInsideTask } from "../../app/login.ts";
import { demandOwn, ownOwner } from "../../app/own_installation.ts";
import { settingViews, whoSays } from "../../app/setting_view.ts";
import { readSettings } from "../../app/settings.ts";
import { type Asked, updateNow } from "../../app/update_person.ts";
import { checkRelease, type RoundOptions } from "../../app/update_round.ts";
import { ensureUpdater, livingUpdater } from "../../app/updater_record.ts";
import { rowOf } from "../../core/config.ts";
import { DroverError } from "../../core/drover_error.ts";
import { isReleaseVersion } from "../../core/release.ts";
import { type Plan, UPDATE } from "../../core/update.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { paint } from "../output.ts";

/** Two failed starts and the way back take less. */
const FOLLOW_MS = 3 * 60_000;
const MEGABYTE = 1_000_000;

const SAID_ENABLED = "drover looks for releases by itself now; drover status tells when, and what comes of it";

const SWITCHES = ["check", "enable", "disable"] as const;

export const update: Command = {
  name: "update",
  options: [
    { name: "check", summary: "only say what there is" },
    { name: "to", value: "VERSION", summary: "that version in place of the newest" },
    { name: "force", summary: "also an older one, or one that was taken back" },
    { name: "checksum-only", summary: "in a build without keys: trust the server of releases" },
    { name: "enable", summary: "from now on look by itself, every hour, and update" },
    { name: "disable", summary: "look no more" },
  ],
  details: `
What is downloaded must have the promised sum and a signature by a key that this program knows; then it must run; then
it takes the place of this one. Its daemon starts when the tasks of the old one are done, and is watched for a minute:
when it fails twice the old version comes back, and that release is not tried again. --enable is also the setting
update.auto (DROVER_UPDATE_AUTO=false overrides it). An installation of Homebrew's is updated by brew upgrade.`,
  examples: [
    ["drover update --check", "what there is, and what would be done"],
    ["drover update --to 1.2.3 --force", "back to an older version"],
  ],
  async run(context) {
    const { args } = context;
    const chosen = SWITCHES.filter((name) => args.switches.has(name));
    if (chosen.length > 1) throw new DroverError("usage", `Cannot use --${chosen.join(" and --")} together`);
    if (chosen[0] !== "check") refuseInsideTask(context.host.system);
    if (chosen[0] === "enable" || chosen[0] === "disable") return await setAuto(context, chosen[0] === "enable");
    return chosen[0] === "check" ? await check(context) : await now(context);
  },
};

async function options({ host, args, home }: CommandContext): Promise<Omit<RoundOptions, "by">> {
  const version = args.values.to?.replace(/^v/, "");
  if (version !== undefined && !isReleaseVersion(version)) {
    throw new DroverError("usage", `Cannot use --to ${version}: it must be a version such as 1.2.3`);
  }
  return {
    settings: await readSettings(host, home()),
    signal: new AbortController().signal,
    force: args.switches.has("force"),
    checksumOnly: args.switches.has("checksum-only"),
    ...(version === undefined ? {} : { version }),
  };
}

async function check(context: CommandContext): Promise<number> {
  const { host, output } = context;
  const { current, offer, plan } = await checkRelease(host, await options(context));
  const { version, build: { size }, signer } = offer;
  output.result({ current, offered: version, plan: plan.kind, why: whyOf(plan), bytes: size, signer }, () => {
    if (plan.kind === "current") output.line(`drover ${current} is the newest there is (offered: ${version})`);
    else if (plan.kind === "refuse") output.line(paint.yellow(`drover ${version} would be refused: ${plan.why}`));
    else output.line(`drover ${version} (${megabytes(size)}) can take the place of ${current}: drover update`);
  });
  return EXIT_CODES.ok.code;
}

async function now(context: CommandContext): Promise<number> {
  const { host, output } = context;
  const home = context.home();
  const how = await options(context);
  const owner = await ownOwner(host);
  if (owner.kind === "homebrew") {
    const { brewUpgrade } = await import("../../app/homebrew.ts");
    output.note("drover: Homebrew does it: brew upgrade drover …");
    const said = await brewUpgrade(host, how.signal);
    output.result({ status: "homebrew", said }, () => output.line(said));
    return EXIT_CODES.ok.code;
  }
  await openHome(host, home);
  const said = new Set<string>();
  const once = (text: string) => {
    if (!said.has(text)) output.note(`drover: ${text}`);
    said.add(text);
  };
  let tenth = -1;
  const asked = await updateNow(host, home, {
    ...how,
    by: "person",
    followMs: FOLLOW_MS,
    onOffer: ({ version, build }) => once(`downloading ${version}, ${megabytes(build.size)} …`),
    onProgress(done, total) {
      const reached = Math.floor(done / total * 10);
      if (reached > tenth) once(`${reached * 10} % of ${megabytes(total)}`);
      tenth = Math.max(tenth, reached);
    },
    onTrial({ up, failures }) {
      for (const why of failures) once(`a start failed: ${why}`);
      if (up === null) once("verified and in place; its daemon starts when the tasks of the old one are done …");
      else once(`its daemon is up, and is watched for ${UPDATE.stableMs / 1000} s; ctrl-C leaves that to the updater`);
    },
  });
  return report(context, asked);
}

const CODES = { current: "ok", good: "ok", "on-trial": "ok", "taken-back": "unexpected" } as const;

function report({ output }: CommandContext, asked: Asked): number {
  const about = asked.kind === "current"
    ? { version: asked.version, offered: asked.offered }
    : { version: asked.version, before: asked.before, detail: asked.detail };
  output.result({ status: asked.kind, ...about }, () => {
    if (asked.kind === "current") output.line(`drover ${asked.version} is the newest there is`);
    else if (asked.kind === "good") output.line(`drover ${asked.version} is installed, in place of ${asked.before}`);
    else if (asked.kind === "on-trial") {
      output.line(`drover ${asked.version} is installed and on trial; drover status tells how it goes on`);
    } else {output.line(
        paint.red(`drover ${asked.version} was taken back, ${asked.before} is current: ${asked.detail}`),
      );}
  });
  return EXIT_CODES[CODES[asked.kind]].code;
}

async function setAuto({ host, output, home: homeOf }: CommandContext, enabled: boolean): Promise<number> {
  const home = homeOf();
  if (enabled) demandOwn(await ownOwner(host));
  await openHome(host, home);
  const { key } = rowOf("updateAuto");
  await setInConfigFile(host, home, { key, value: enabled, same: (held) => held === enabled });
  const counts = (await settingViews(host, await readConfigFile(host, home))).of("updateAuto");
  const updateAuto = counts.value === true;
  const updater = await livingUpdater(host, home);
  if (updateAuto) await ensureUpdater(host, home, { wanted: true });
  // One that is in the middle of something sees by itself that it is wanted no more.
  else if (updater) output.note(`drover: the updater (pid ${updater.pid}) ends in a moment`);
  const hiddenBy = updateAuto === enabled ? null : counts.source === "policy" ? "policy" : counts.variable;
  output.result({ updateAuto, hiddenBy }, () => {
    if (hiddenBy) output.line(paint.yellow(`${whoSays(counts)} comes first: it stays ${enabled ? "off" : "on"}`));
    else output.line(enabled ? SAID_ENABLED : "drover looks for releases no more");
  });
  return EXIT_CODES.ok.code;
}

function whyOf(plan: Plan): string | null {
  return plan.kind === "refuse" ? plan.why : null;
}

function megabytes(bytes: number): string {
  return `${(bytes / MEGABYTE).toFixed(1)} MB`;
}
