/** The LaunchAgent of a home's daemon: its property list, and reading back the environment in it. Not yet tried on macOS. */
import type { Env } from "./ports.ts";
import { type ServiceSpec, SUPERVISED_DRAIN_S } from "./service_unit_spec.ts";

/** After its own deadline the daemon still ends its tasks and tells their servers; launchd's default is 20 s. */
const EXIT_S = SUPERVISED_DRAIN_S + 60;

export type PlistValue = string | number | boolean | readonly PlistValue[] | { readonly [key: string]: PlistValue };

export function launchdPlist(spec: ServiceSpec): string {
  return document({
    Label: spec.label,
    ProgramArguments: spec.argv,
    EnvironmentVariables: spec.env,
    RunAtLoad: true,
    KeepAlive: { SuccessfulExit: false },
    ThrottleInterval: 30,
    ExitTimeOut: EXIT_S,
    // Any other type slows down what agents do for somebody who waits.
    ProcessType: "Interactive",
    AbandonProcessGroup: false,
    StandardOutPath: spec.launchLog,
    StandardErrorPath: spec.launchLog,
    // Decimal for 0077.
    Umask: 0o077,
  });
}

export function launchdEnv(text: string): Env {
  const dict = /<key>EnvironmentVariables<\/key>\s*<dict>([^]*?)<\/dict>/.exec(text)?.[1] ?? "";
  const pairs = dict.matchAll(/<key>([^<]*)<\/key>\s*<string>([^<]*)<\/string>/g);
  return Object.fromEntries([...pairs].map(([, name, value]) => [unescaped(name!), unescaped(value!)]));
}

function document(root: PlistValue): string {
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<!-- Written by drover service install, which also brings it up to date; drover service uninstall removes it. -->
<plist version="1.0">
${element(root, "")}
</plist>
`;
}

function element(value: PlistValue, indent: string): string {
  if (typeof value === "string") return `${indent}<string>${escaped(value)}</string>`;
  if (typeof value === "number") return `${indent}<integer>${value}</integer>`;
  if (typeof value === "boolean") return `${indent}<${value}/>`;
  const deeper = `${indent}\t`;
  if (isList(value)) return block("array", value.map((item) => element(item, deeper)), indent);
  const members = Object.entries(value).map(([key, member]) =>
    `${deeper}<key>${escaped(key)}</key>\n${element(member, deeper)}`
  );
  return block("dict", members, indent);
}

function isList(value: PlistValue): value is readonly PlistValue[] {
  return Array.isArray(value);
}

function block(name: string, lines: readonly string[], indent: string): string {
  return [`${indent}<${name}>`, ...lines, `${indent}</${name}>`].join("\n");
}

const ENTITIES = [["&", "&amp;"], ["<", "&lt;"], [">", "&gt;"]] as const;

function escaped(text: string): string {
  return ENTITIES.reduce((all, [character, entity]) => all.replaceAll(character, entity), text);
}

function unescaped(text: string): string {
  return ENTITIES.toReversed().reduce((all, [character, entity]) => all.replaceAll(entity, character), text);
}
