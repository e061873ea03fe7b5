/** The tokens of a database, for whoever makes and revokes them; a coordinator may be at work over it at the same time. */
import type { Shared } from "./deps.ts";
import { openShared, type SharedOptions } from "./open_shared.ts";
import { type CreatedToken, createToken, listTokens, type NewToken, revokeToken, type TokenView } from "./tokens.ts";
import { defaultWorkspace, findWorkspace } from "./workspaces.ts";

export type { TokenView } from "./tokens.ts";

/** `workspaces`: the names of those that it opens, in order. */
export type ListedToken = TokenView & { readonly workspaces: readonly string[] };

const MEMBERS = `
SELECT u.name AS "user", w.name AS workspace FROM members m
JOIN users u ON u.id = m.user_id JOIN workspaces w ON w.id = m.workspace_id ORDER BY w.name`;

/** Without a workspace: the first one of the database. */
export type TokenWish = Omit<NewToken, "workspace"> & { readonly workspace?: string };

export interface TokenBook extends AsyncDisposable {
  create(wish: TokenWish): Promise<CreatedToken & { readonly workspace: string }>;
  list(): Promise<ListedToken[]>;
  /** Throws `UserRefusal`. */
  revoke(idOrName: string): Promise<TokenView>;
}

/** `workspace`: what the first one of a new database is called. Throws `StoreError`. */
export async function openTokenBook(options: SharedOptions & { readonly workspace: string }): Promise<TokenBook> {
  const shared: Shared = await openShared(options);
  const close = async () => {
    shared.wakeups.close();
    shared.topics.close();
    await shared.store.close();
  };
  try {
    const first = await defaultWorkspace(shared, options.workspace);
    return {
      async create(wish) {
        const created = await createToken(shared, { ...wish, workspace: wish.workspace ?? first });
        const { name = "" } = await findWorkspace(shared, created.workspaceId) ?? {};
        return { ...created, workspace: name };
      },
      async list() {
        const members = await shared.store.all<{ user: string; workspace: string }>(MEMBERS);
        const ofUser = (name: string | null) => members.flatMap((one) => one.user === name ? one.workspace : []);
        return (await listTokens(shared)).map((token) => ({
          ...token,
          workspaces: token.workspace_name === null ? ofUser(token.user_name) : [token.workspace_name],
        }));
      },
      revoke: (idOrName) => revokeToken(shared, idOrName),
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
