/** Runtime profiles: custom ways to launch an agent CLI; what one may say, and when two sets of them are the same. */

export const VISIBILITIES = ["workspace", "private"] as const;

/** As a server hands it to a daemon (wire protocol 4.1). */
export interface RuntimeProfile {
  readonly id: string;
  /** For people; also the name of its agent. */
  readonly displayName: string;
  /** The provider whose row of the table drives it. */
  readonly provider: string;
  /** A name looked up on PATH, or an absolute path. */
  readonly command: string;
  /** Before the row's own arguments. */
  readonly fixedArgs: readonly string[];
  /** drover's own; other servers have none. */
  readonly env: Readonly<Record<string, string>>;
  readonly visibility: typeof VISIBILITIES[number];
  readonly enabled: boolean;
}

const NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,63}$/u;
const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** What is wrong with a profile, for people; `undefined` for a good one. Source: wire protocol 4.1. */
export function profileProblem(
  profile: Pick<RuntimeProfile, "displayName" | "command" | "fixedArgs" | "env">,
): string | undefined {
  const { displayName, command, fixedArgs, env } = profile;
  if (!NAME.test(displayName)) {
    return `the name "${displayName}" must begin with a letter or digit and have at most 64 letters, digits, spaces or ._-`;
  }
  if (!/^[^\s\0]+$/.test(command)) {
    return `the command "${command}" must be one word: its arguments are given separately`;
  }
  if (fixedArgs.some((arg) => arg.trim() === "" || arg.includes("\0"))) {
    return "an argument is blank or holds a NUL character";
  }
  const variable = Object.keys(env).find((name) => !VARIABLE.test(name));
  return variable === undefined ? undefined : `"${variable}" is no name of an environment variable`;
}

/**
 * Equal for two sets exactly when a daemon would launch the same. Neither the order of the profiles nor their names for
 * people count; the order of arguments does. Source: wire protocol 4.3.
 */
export function profileSignature(profiles: readonly RuntimeProfile[]): string {
  const fields = profiles.map(({ id, enabled, provider, command, visibility, fixedArgs, env }) => [
    id,
    enabled,
    provider,
    command,
    visibility,
    fixedArgs,
    Object.entries(env).toSorted(([a], [b]) => a < b ? -1 : 1),
  ]);
  return JSON.stringify(fields.toSorted(([a], [b]) => a! < b! ? -1 : 1));
}
