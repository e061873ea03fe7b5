/** `drover token …`: who may come in at a team server of our own; works on its database, whether or not it runs. */
import type { TokenView } from "../../app/serve_tokens.ts";
import { DroverError } from "../../core/drover_error.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { paint, plain, table } from "../output.ts";
import { daysOf, PLACE_OPTIONS, placeOf } from "./serve.ts";

const DETAILS = `
On the machine of the server, for its owner: it works on the server's database, whether or not the server runs, and a
running one knows at once. --data and --database are those of drover serve.`;

export const tokenCreate: Command = {
  name: "token create",
  operands: "NAME",
  minOperands: 1,
  maxOperands: 1,
  options: [
    { name: "workspace", value: "W", summary: "the workspace it opens, made when there is none (default: the first)" },
    {
      name: "scope",
      value: "user|daemon",
      summary: "for a person with machines (the default), or for one daemon alone",
    },
    { name: "daemon-id", value: "ID", summary: "with --scope daemon: the only daemon that may use it (default: any)" },
    {
      name: "expires",
      value: "DAYS",
      summary: "days from now until it ends; see below (default: never)",
    },
    ...PLACE_OPTIONS,
  ],
  details: `${DETAILS.trim()}

NAME is the person's, or the machine's for --scope daemon. A person may have several tokens, and is a member of every
workspace that one was made for. The token alone is printed on standard output, and never again: only its hash is kept.

A person's token that a daemon uses is renewed by it: in its last week it gets 90 days more, as the protocol has it. One of
--scope daemon is not. What is to end for certain is revoked.`,
  examples: [
    ["drover token create ann", "then on ann's machine: drover login --server URL --token -"],
    ["drover token create ann --workspace web --expires 90 > token.txt", ""],
  ],
  run: create,
};

export const tokenList: Command = {
  name: "token list",
  options: PLACE_OPTIONS,
  details: DETAILS.trim(),
  async run(context) {
    const { host, output } = context;
    const { requireServer, withTokens } = await import("../../app/serve_tokens.ts");
    const place = await placeOf(context);
    await requireServer(host, place);
    const tokens = await withTokens(host, place, (book) => book.list());
    const now = host.clock.now();
    output.result({ tokens: tokens.map((token) => ({ ...asView(token, now), workspaces: token.workspaces })) }, () => {
      if (tokens.length === 0) return output.line(`no tokens; drover token create NAME${place.options} makes one`);
      const rows = tokens.map((token) => {
        const line = [token.id.slice(0, 8), plain(token.name), token.scope, plain(token.workspaces.join(", ")) || "-"];
        return [...line, stateOf(token, now), dayOf(token.used_at) ?? "never"];
      });
      for (const line of table([["TOKEN", "NAME", "SCOPE", "WORKSPACES", "STATE", "USED"], ...rows])) output.line(line);
    });
    return EXIT_CODES.ok.code;
  },
};

export const tokenRevoke: Command = {
  name: "token revoke",
  operands: "TOKEN",
  minOperands: 1,
  maxOperands: 1,
  options: PLACE_OPTIONS,
  details: `${DETAILS.trim()}

TOKEN is its id, the first 4 or more characters of it, or its name where only one token has that. From then on it is
refused; tasks that it has queued go on.`,
  async run(context) {
    const { host, output, args } = context;
    const { requireServer, withTokens } = await import("../../app/serve_tokens.ts");
    const place = await placeOf(context);
    await requireServer(host, place);
    const token = await withTokens(host, place, (book) => book.revoke(args.positional[0]!));
    output.result({ token: asView(token, host.clock.now()) }, () => {
      output.line(`the token ${token.id.slice(0, 8)} of ${plain(token.name)} is revoked`);
    });
    return EXIT_CODES.ok.code;
  },
};

async function create(context: CommandContext): Promise<number> {
  const { host, output, args } = context;
  const { scope = "user", workspace, "daemon-id": daemonId } = args.values;
  const name = nameOf("NAME", args.positional[0]!);
  if (scope !== "user" && scope !== "daemon") {
    throw new DroverError("usage", `Cannot use --scope ${scope}: it must be user or daemon`);
  }
  if (daemonId !== undefined && scope !== "daemon") {
    throw new DroverError("usage", "Cannot use --daemon-id without --scope daemon: a person may have many daemons");
  }
  const days = daysOf("expires", args.values.expires, { min: 1 });
  const { withTokens } = await import("../../app/serve_tokens.ts");
  const place = await placeOf(context);
  const created = await withTokens(host, place, (book) =>
    book.create({
      scope,
      name,
      ...(workspace === undefined ? {} : { workspace: nameOf("--workspace", workspace) }),
      ...(daemonId === undefined ? {} : { daemonId: nameOf("--daemon-id", daemonId) }),
      ...(days === undefined ? {} : { days }),
    }));
  const { id, token, made } = created;
  const expires = created.expiresAt === null ? null : new Date(created.expiresAt).toISOString();
  output.result({
    token,
    id,
    name,
    scope,
    workspace: created.workspace,
    workspaceId: created.workspaceId,
    expires,
    made,
  });
  if (output.json) return EXIT_CODES.ok.code;
  host.terminal.out(`${token}\n`);
  for (const what of made) {
    output.note(`drover: made the ${what} ${what === "user" ? name : created.workspace}`);
  }
  const until = expires === null ? "until it is revoked" : `until ${expires}`;
  output.note(`drover: token ${id.slice(0, 8)} of ${name} opens the workspace ${created.workspace} ${until}`);
  output.note("drover: it is shown this once; log in with it on another machine: drover login --server URL --token -");
  return EXIT_CODES.ok.code;
}

/** What people read in lists and logs: one line, and not too long. Throws `usage`. */
function nameOf(what: string, text: string): string {
  const name = text.trim();
  // deno-lint-ignore no-control-regex
  if (name !== "" && name.length <= 100 && !/[\u0000-\u001f\u007f-\u009f]/.test(name)) return name;
  throw new DroverError(
    "usage",
    `Cannot use ${what} ${JSON.stringify(text)}: it must be 1 to 100 characters on one line`,
  );
}

type State = "live" | "expired" | "revoked";

function stateName({ revoked_at, expires_at }: TokenView, now: number): State {
  if (revoked_at !== null) return "revoked";
  return expires_at !== null && expires_at <= now ? "expired" : "live";
}

function stateOf(token: TokenView, now: number): string {
  const state = stateName(token, now);
  if (state !== "live") return paint.dim(state);
  return token.expires_at === null ? "live" : `until ${dayOf(token.expires_at)}`;
}

function dayOf(ms: number | null): string | undefined {
  return ms === null ? undefined : new Date(ms).toISOString().slice(0, 10);
}

function asView(token: TokenView, now: number): Record<string, unknown> {
  const time = (ms: number | null) => ms === null ? null : new Date(ms).toISOString();
  const { id, name, scope, daemon_id, user_name, created_at, expires_at, used_at, revoked_at } = token;
  return {
    id,
    name,
    scope,
    state: stateName(token, now),
    user: user_name,
    daemonId: daemon_id,
    createdAt: time(created_at),
    expiresAt: time(expires_at),
    usedAt: time(used_at),
    revokedAt: time(revoked_at),
  };
}
