/** Which workspace a call of a person is about: the one that it names, or the only one. */
import { UserRefusal } from "./user_refusal.ts";
import type { WorkspaceRow } from "./workspaces.ts";

/** Which workspace is meant, by id or name; where a name does not fit into a header, percent-encoded. */
export const WORKSPACE_HEADER = "x-workspace-id";

/** `open` are those of the caller: another one is as if it was not there. Throws `UserRefusal`. */
export function chooseWorkspace(open: readonly WorkspaceRow[], named: string | null): WorkspaceRow {
  const wanted = named?.trim() ?? "";
  const found = wanted === "" ? open : open.filter((one) => isNamed(one, wanted));
  const [chosen, ...others] = found;
  if (chosen && others.length === 0) return chosen;
  const names = open.map(({ name, id }) => `${name} (${id})`).join(", ") || "none";
  throw new UserRefusal(
    "invalid_request",
    wanted === ""
      ? `Cannot tell which workspace is meant: the token opens ${names}`
      : `There is no workspace ${JSON.stringify(wanted)} for this token; it opens ${names}`,
    "Name one by its name or id: --workspace W, which is the header X-Workspace-ID",
  );
}

function isNamed({ id, name }: WorkspaceRow, wanted: string): boolean {
  return id === wanted.toLowerCase() || name === wanted || name === decoded(wanted);
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
