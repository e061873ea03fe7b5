/** Profiles: homes beside the plain one, each with a daemon, tasks and settings of its own, found by a name. */

/** The plain home, so that a command can name it where the environment names another profile. */
export const DEFAULT_PROFILE = "default";

export const PROFILE_RULE = "1 to 32 of a-z, 0-9, - and _, the first of them a letter or digit";

const NAME = "[a-z0-9][a-z0-9_-]{0,31}";
const WHOLE = new RegExp(`^${NAME}$`);
const OF_PROFILE = new RegExp(`^(.+)/profiles/(${NAME})$`);

export function isProfileName(text: string): boolean {
  return WHOLE.test(text);
}

/**
 * Which profile a home is, and the plain home it belongs to. The path alone says it: drover hands its children only
 * `DROVER_HOME`, and a profile that one of them names is to be a sibling and not a profile inside a profile.
 */
export function profileOf(root: string): { readonly plain: string; readonly profile: string } {
  const [, plain, profile] = OF_PROFILE.exec(root) ?? [];
  return plain === undefined || profile === undefined || profile === DEFAULT_PROFILE
    ? { plain: root, profile: DEFAULT_PROFILE }
    : { plain, profile };
}

/** The root of a profile, from the root of any home of the same family. */
export function profileRoot(root: string, profile: string): string {
  const { plain } = profileOf(root);
  return profile === DEFAULT_PROFILE ? plain : `${profilesDirectory(plain)}/${profile}`;
}

/** Holds the profiles' homes; `plain` is the root of the plain one. */
export function profilesDirectory(plain: string): string {
  return `${plain}/profiles`;
}
