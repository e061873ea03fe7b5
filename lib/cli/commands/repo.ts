/** `drover repo checkout`: a repository for the agent of a task, on a branch of its own, out of the daemon's cache. */
import { checkoutRepo } from "../../app/repo_checkout.ts";
import type { Command } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";

export const repoCheckout: Command = {
  name: "repo checkout",
  operands: "URL",
  minOperands: 1,
  maxOperands: 1,
  options: [
    { name: "ref", value: "REF", summary: "a branch, a tag or a commit; without it the default branch" },
    { name: "isolated", summary: "a clone of its own, for agents that may write nowhere but in their directory" },
  ],
  details: `
For agents, inside a task: makes the repository's files below the current directory, on a new branch, and prints where.
The daemon fetches it with the credentials of its user, which the agent does not get. When the server of the repository
cannot be reached, the last state known here is used, and that is said.`,
  examples: [
    ["drover repo checkout https://github.com/acme/app", "the default branch, in ./app"],
    ["drover repo checkout git@github.com:acme/app.git --ref v1.2", "as of that tag"],
  ],
  async run({ host, output, args, home }) {
    const { ref } = args.values;
    let waited = false;
    const { path, branch_name, existed, stale = null } = await checkoutRepo(host, home(), {
      url: args.positional[0]!,
      ...(ref ? { ref } : {}),
      isolated: args.switches.has("isolated"),
      onWait() {
        if (!waited) output.note("drover: another task fetches this repository; waiting …");
        waited = true;
      },
    });
    if (stale) output.note(`drover: the repository's server could not be asked, so this may be old: ${stale}`);
    if (existed) output.note("drover: it was there already, and nothing in it was changed");
    output.result({ path, branch: branch_name, existed, stale }, () => {
      output.line(path);
      output.line(`on branch ${branch_name}`);
    });
    return EXIT_CODES.ok.code;
  },
};
