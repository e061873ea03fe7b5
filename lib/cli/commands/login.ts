/** `drover login`, `logout` and `whoami`: who the owner of this home is at a team server. */
import {
  checkedToken,
  HOW_TO_GIVE,
  isPrivate,
  logIn,
  logOut,
  refuseInsideTask,
  serverToUse,
  whoAmI,
} from "../../app/login.ts";
import { DroverError } from "../../core/drover_error.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { paint, plain } from "../output.ts";

const MAX_TOKEN_BYTES = 64 * 1024;

export const login: Command = {
  name: "login",
  options: [
    { name: "server", value: "URL", summary: "the server; without it server.url of the settings" },
    { name: "token", value: "-", summary: "read the token from standard input; without it the terminal asks" },
    { name: "insecure", summary: "send the token unencrypted, to an http:// address of another machine" },
  ],
  details: `
The token is a personal access token (mul_…) that you make on the server's settings page. It is tried, then kept in
credentials.json of the home, which only you can read, and shown to that server alone. A running daemon uses it at once.
Nothing is claimed from the server before drover enable remote. To log in at another server takes back what was allowed
to the one before.`,
  examples: [
    ["drover login --server https://multica.example.com", "asks for the token at the terminal"],
    ["drover login --server https://multica.example.com --token - < token.txt", ""],
  ],
  async run(context) {
    const { host, output, args } = context;
    refuseInsideTask(host.system);
    const home = context.home();
    const insecure = args.switches.has("insecure");
    refuseArgument(args.values.token);
    const server = await serverToUse(host, home, { given: args.values.server, insecure });
    if (!isPrivate(server)) output.note(`drover: the token travels to ${server} unencrypted`);
    const token = checkedToken(await readToken(context, server));
    const done = await logIn(host, home, { server, token });
    const { user, workspaces, hiddenBy, consentTakenBack, consented, daemon } = done;
    output.result({ server, user, workspaces, hiddenBy, consentTakenBack, consented, daemon, home: home.root }, () => {
      output.line(`logged in at ${server}${user ? ` as ${personOf(user)}` : ""}`);
      output.line(`workspaces: ${namesOf(workspaces)}`);
      if (hiddenBy) output.line(paint.yellow(`the variable ${hiddenBy} is set and names another server, which counts`));
      if (consentTakenBack) output.line(paint.yellow("what the server before was allowed is taken back"));
      if (daemon === "restart-needed") {
        output.line(paint.yellow("the running daemon connects to it after: drover restart"));
      }
      if (!consented) {
        output.line(
          "next: drover enable remote --policy ask (or full, or read-only) lets it send tasks to this machine",
        );
      }
    });
    return EXIT_CODES.ok.code;
  },
};

export const logout: Command = {
  name: "logout",
  options: [],
  details: `
Removes the token from this home; a running daemon stops using it at once, and results of tasks that still run wait for
the next login. The token itself stays valid until it is revoked on the server.`,
  async run({ host, output, home }) {
    refuseInsideTask(host.system);
    const server = await logOut(host, home());
    output.result({ loggedOut: server !== null, server: server || null, home: home().root }, () => {
      if (server === null) output.line("was not logged in");
      else output.line(`logged out${server ? ` of ${server}` : ""}; the token is valid until it is revoked there`);
    });
    return EXIT_CODES.ok.code;
  },
};

export const whoami: Command = {
  name: "whoami",
  options: [],
  details: "Asks the server. Exits with 14 when nobody is logged in or the token is not accepted any more.",
  async run({ host, output, home }) {
    const { server, user, expiresAt, workspaces } = await whoAmI(host, home());
    output.result({ server, user, expiresAt, workspaces }, () => {
      output.line(`${user ? personOf(user) : "the owner of the token"} at ${server}`);
      output.line(`workspaces: ${namesOf(workspaces)}`);
      if (expiresAt) output.line(`the token is valid until ${expiresAt}, and renewed by a running daemon before that`);
    });
    return EXIT_CODES.ok.code;
  },
};

/** What stands in the arguments of a process can be read by every user of the machine. */
function refuseArgument(value: string | undefined): void {
  if (value === undefined || value === "-") return;
  throw new DroverError("usage", "Cannot take a token from the command line: others can read it there", {
    hint: `${HOW_TO_GIVE}. Consider this one known to others, and revoke it`,
  });
}

async function readToken({ host: { terminal }, args }: CommandContext, server: string): Promise<string | undefined> {
  if (args.values.token === "-") return await terminal.readAllInput(MAX_TOKEN_BYTES);
  if (!terminal.inputIsTerminal) {
    throw new DroverError("usage", "Cannot ask for a token: standard input is no terminal", { hint: HOW_TO_GIVE });
  }
  terminal.err(`token for ${server} (not shown): `);
  const token = await terminal.readSecret();
  terminal.err("\n");
  return token;
}

export function personOf({ name, email, id }: { name: string; email: string; id: string }): string {
  const person = name && email ? `${name} <${email}>` : name || email || id;
  return plain(person);
}

function namesOf(workspaces: readonly { readonly name: string; readonly id: string }[]): string {
  return workspaces.map(({ name, id }) => plain(name || id)).join(", ") || "none";
}
