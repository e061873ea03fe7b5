/** The profiles there are, and what the daemon of each is doing. */
import { DroverError } from "../core/drover_error.ts";
import { type HomeState, stateOf } from "../core/handshake.ts";
import { type Home, homeLayout } from "../core/home.ts";
import { type Host, HostError } from "../core/ports.ts";
import { DEFAULT_PROFILE, isProfileName, profileOf, profileRoot, profilesDirectory } from "../core/profile.ts";
import { observe } from "../lifecycle/observe.ts";
import { checkHome } from "./home_dir.ts";
import { instancePorts } from "./instance.ts";

export interface ProfileHome {
  readonly name: string;
  readonly home: Home;
}

/** The plain home as `default`, then the others by name; `home` is any of them. A profile is there once its home is. */
export async function listProfiles({ files }: Host, home: Home): Promise<readonly ProfileHome[]> {
  const { plain } = profileOf(home.root);
  const names = await files.list(profilesDirectory(plain)).catch((error) => {
    if (error instanceof HostError) return [];
    throw error;
  });
  const found = await Promise.all(names.map(async (name) => {
    const usable = isProfileName(name) && name !== DEFAULT_PROFILE;
    const info = usable ? await files.stat(profileRoot(plain, name)) : undefined;
    return info?.isDirectory ? [name] : [];
  }));
  return [DEFAULT_PROFILE, ...found.flat()].map((name) => ({ name, home: homeLayout(profileRoot(plain, name)) }));
}

/** Starts nothing and changes nothing; `unusable` where the home is not ours alone. In at most some two seconds. */
export async function profileState(host: Host, { home }: ProfileHome): Promise<HomeState | "unusable"> {
  try {
    if (!await checkHome(host, home)) return "stopped";
    using look = await observe(instancePorts(host, home), home);
    return stateOf(look.observation);
  } catch (error) {
    if (error instanceof DroverError && error.code === "home_unusable") return "unusable";
    throw error;
  }
}
