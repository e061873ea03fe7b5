/** `drover profiles`: the profiles there are, each with its home and what its daemon is doing. */
import { listProfiles, profileState } from "../../app/profiles.ts";
import { DEFAULT_PROFILE, PROFILE_RULE } from "../../core/profile.ts";
import type { Command } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { table } from "../output.ts";

export const profiles: Command = {
  name: "profiles",
  options: [],
  details: `
Every command takes --profile NAME, or NAME from the variable DROVER_PROFILE, and then works with the home
profiles/NAME below the plain one, which has the name ${DEFAULT_PROFILE}. A profile is made when it is first used;
to remove one, stop its daemon and delete its directory. A name is ${PROFILE_RULE}.`,
  examples: [["drover start --profile work", "a second daemon beside the plain one"]],
  async run({ host, home, output }) {
    const own = home().root;
    const found = await listProfiles(host, home());
    const views = await Promise.all(found.map(async (profile) => ({
      name: profile.name,
      state: await profileState(host, profile),
      home: profile.home.root,
      current: profile.home.root === own,
    })));
    output.result({ profiles: views }, () => {
      const rows = views.map(({ name, state, home, current }) => [current ? "*" : "", name, state, home]);
      for (const line of table([["", "PROFILE", "DAEMON", "HOME"], ...rows])) output.line(line);
    });
    return EXIT_CODES.ok.code;
  },
};
