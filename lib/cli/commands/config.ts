/** `drover config …`: the settings of this home, where each comes from, and changing them in `config.json`. */
import { readConfigFile, setInConfigFile, unsetInConfigFile } from "../../app/config_file.ts";
import { tellDaemon } from "../../app/live_config.ts";
import { type SettingView, settingViews } from "../../app/setting_view.ts";
import {
  findSetting,
  rowOf,
  SETTING_NAMES,
  settingNamed,
  type Settings,
  strangeKeys,
  valueAt,
} from "../../core/config.ts";
import { DroverError } from "../../core/drover_error.ts";
import { takesAll } from "../../core/live_settings.ts";
import { closest } from "../args.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { paint, table } from "../output.ts";

/** By what the daemon does about it. */
const EFFECT = {
  now: "A running daemon takes it at once",
  "next-start": "A running daemon takes it at its next start",
} as const;
const WHEN = `
A running daemon takes the limits of tasks, what keeps it from claiming, and the workspaces it watches at once, and the
rest at its next start; drover status says what waits.`;
const CONSENT_GONE = "What the server before was allowed is taken back: drover enable remote allows it anew";
const OVERRULED = "the policy of this machine has the say";
const KEY = { operands: "KEY", minOperands: 1, maxOperands: 1 } as const;
const KEYS = `KEY is one of ${SETTING_NAMES.map((name) => rowOf(name).key).join(", ")}.`;

export const configList: Command = {
  name: "config list",
  options: [],
  details: `
The policy of this machine comes first, where there is one; then a variable in the environment, then config.json, then
the default. Options of start, daemon and run come before variables and are not shown here.`,
  async run(context) {
    const { host, output } = context;
    const home = context.home();
    const file = await readConfigFile(host, home);
    const views = await settingViews(host, file);
    const settings = SETTING_NAMES.map(views.of);
    const ignored = strangeKeys(file);
    output.result({ settings, ignored, policyProblem: views.policyProblem, file: home.config }, () => {
      const rows = settings.map(({ key, value, source, range }) => [key, shown(value), source, range]);
      for (const line of table([["KEY", "VALUE", "SOURCE", "RANGE"], ...rows])) output.line(line);
      for (const { key, source, wanted } of settings) {
        if (source === "policy") output.line(paint.yellow(`${key}: ${shown(wanted)} is wanted, ${OVERRULED}`));
      }
      if (views.policyProblem) output.line(paint.red(views.policyProblem));
      for (const { problem } of settings) if (problem !== null) output.line(paint.red(problem));
      for (const key of ignored) {
        const meant = suggestion(key);
        output.line(
          paint.yellow(
            `config.json has ${JSON.stringify(key)}, which is no setting${meant ? `; did you mean ${meant}?` : ""}`,
          ),
        );
      }
      output.line(paint.dim(`file: ${home.config}`));
    });
    return EXIT_CODES.ok.code;
  },
};

export const configGet: Command = {
  name: "config get",
  ...KEY,
  options: [],
  details: KEYS,
  async run(context) {
    const { host, output, args } = context;
    const name = nameOf(args.positional[0]!);
    const setting = (await settingViews(host, await readConfigFile(host, context.home()))).of(name);
    if (setting.problem !== null) {
      throw new DroverError("config_invalid", setting.problem, { hint: mending(setting) });
    }
    output.result({ ...setting }, () => output.line(shown(setting.value)));
    return EXIT_CODES.ok.code;
  },
};

export const configSet: Command = {
  name: "config set",
  operands: "KEY VALUE",
  minOperands: 2,
  maxOperands: 2,
  options: [],
  details: `${KEYS}${WHEN}`,
  examples: [["drover config set tasks.max_concurrent 2", "two tasks at once"]],
  async run(context) {
    const { host, output, args } = context;
    const home = context.home();
    const [key, text] = args.positional as [string, string];
    const name = nameOf(key);
    const row = rowOf(name);
    const wanted = row.parse(text);
    if (wanted === undefined) {
      throw new DroverError("config_invalid", `Cannot set ${key} to ${JSON.stringify(text)}: it must be ${row.range}`, {
        hint: "drover config list shows every setting with its range",
      });
    }
    const value = row.write(wanted);
    const same = (held: unknown) => {
      const parsed = row.parse(held);
      return parsed !== undefined && row.write(parsed) === value;
    };
    const consentTakenBack = await leaveServer(context, name, wanted);
    const status = await setInConfigFile(host, home, { key, value, same });
    const hiddenBy = hidingVariable(context, name);
    const takesEffect = await takeEffect(context, name);
    const counts = (await settingViews(host, await readConfigFile(host, home))).of(name);
    const overruledBy = counts.source === "policy" ? counts.value : null;
    const done = { status, key, value, hiddenBy, overruledBy, takesEffect, consentTakenBack, file: home.config };
    output.result(done, () => {
      output.line(
        status === "set"
          ? `${key} is ${shown(value)} now. ${EFFECT[takesEffect]}`
          : `${key} was ${shown(value)} already`,
      );
      if (consentTakenBack) output.line(paint.yellow(CONSENT_GONE));
      if (hiddenBy) output.line(paint.yellow(`Here the variable ${hiddenBy} is set and comes before config.json`));
      if (counts.source === "policy") output.line(paint.yellow(`It stays ${shown(counts.value)}: ${OVERRULED}`));
    });
    return EXIT_CODES.ok.code;
  },
};

export const configUnset: Command = {
  name: "config unset",
  ...KEY,
  options: [],
  details: `${KEYS}${WHEN}`,
  async run(context) {
    const { host, output, args } = context;
    const home = context.home();
    const key = args.positional[0]!;
    const name = nameOf(key);
    const consentTakenBack = await leaveServer(context, name, "");
    const status = await unsetInConfigFile(host, home, key);
    const setting = (await settingViews(host, {})).of(name);
    const takesEffect = await takeEffect(context, name);
    const { value, source } = setting;
    output.result({ status, key, value, source, takesEffect, consentTakenBack, file: home.config }, () => {
      const left = `${shown(value)} (${source})`;
      output.line(
        status === "unset"
          ? `${key} is ${left} now. ${EFFECT[takesEffect]}`
          : `${key} was not in config.json; it is ${left}`,
      );
      if (consentTakenBack) output.line(paint.yellow(CONSENT_GONE));
    });
    return EXIT_CODES.ok.code;
  },
};

/** Before another server is written down, by hand as by a login. True when something was taken back. */
async function leaveServer({ host, home }: CommandContext, name: keyof Settings, next: unknown): Promise<boolean> {
  if (name !== "serverUrl") return false;
  const row = rowOf(name);
  const held = row.parse(valueAt(await readConfigFile(host, home()), row.key)) ?? "";
  if (held === next) return false;
  // Loaded late: the other settings need none of it.
  const { takeBackConsent } = await import("../../app/login.ts");
  return await takeBackConsent(host, home(), String(next));
}

/** Tells a running daemon, which would find out by itself in a moment. */
async function takeEffect({ host, home }: CommandContext, name: keyof Settings): Promise<keyof typeof EFFECT> {
  await tellDaemon(host, home());
  return takesAll(name) ? "now" : "next-start";
}

function shown(value: unknown): string {
  return typeof value === "string" && value !== "" ? value : JSON.stringify(value);
}

function mending({ source, key, variable }: SettingView): string {
  return source === "environment" ? `unset ${variable}, or give it such a value` : `drover config set ${key} VALUE`;
}

function hidingVariable({ host: { system: { env } } }: CommandContext, name: keyof Settings): string | null {
  const found = findSetting(name, { flags: {}, env, file: {} });
  return found.source === "environment" ? found.variable ?? null : null;
}

/** Throws `usage`, with the key that was probably meant. */
function nameOf(key: string): keyof Settings {
  const name = settingNamed(key);
  if (name) return name;
  const meant = suggestion(key);
  throw new DroverError("usage", `Unknown setting "${key}"`, {
    hint: meant ? `did you mean ${meant}?` : "drover config list shows them all",
  });
}

/** Also by its last word alone, which is how people remember it. */
function suggestion(key: string): string | undefined {
  const keys = SETTING_NAMES.map((name) => rowOf(name).key);
  const last = (text: string) => text.slice(text.lastIndexOf(".") + 1);
  const near = closest(key, keys) ?? closest(last(key), keys.map(last));
  return keys.find((candidate) => candidate === near || last(candidate) === near);
}
