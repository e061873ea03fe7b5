/** Which permission a task gets: what its directory suggests, what its agent CLI can promise, and what the owner of this machine set as the limit. */
import type { DirectoryMode, Permission } from "./model.ts";

/** From the narrowest to the widest. */
const WIDTH: Readonly<Record<Permission, number>> = { "read-only": 0, ask: 1, full: 2 };

/** In the user's own directory a person decides; a directory of the task's own may be changed at will. */
const BY_MODE: Readonly<Record<DirectoryMode, Permission>> = { "in-place": "ask", worktree: "full", scratch: "full" };

/** For a task that was typed on this machine without a permission. */
export function defaultPermission(mode: DirectoryMode): Permission {
  return BY_MODE[mode];
}

/**
 * What a task of a server may do on a machine whose owner set `ownersPolicy`: the server can ask for less, never for more.
 * One that asks for nothing gets the owner's.
 */
export function tighten(ownersPolicy: Permission, requested: Permission | undefined): Permission {
  if (requested === undefined) return ownersPolicy;
  return WIDTH[requested] < WIDTH[ownersPolicy] ? requested : ownersPolicy;
}

/** The least that an agent can promise, where that is no more than `limit`. */
export function narrowest(able: readonly Permission[], limit: Permission): Permission | undefined {
  const [first] = able.toSorted((a, b) => WIDTH[a] - WIDTH[b]);
  return first && WIDTH[first] <= WIDTH[limit] ? first : undefined;
}

/**
 * Whether a server may name the command that is started for its tasks. One that nobody here chose has promised nothing,
 * and asking it for its version runs it already.
 */
export function mayNameCommand(ownersPolicy: Permission): boolean {
  return ownersPolicy === "full";
}

/** `refused`: it was asked for by name, or nothing narrower is left that the agent could promise. */
export type ChosenPermission =
  | { readonly kind: "chosen"; readonly permission: Permission }
  /** The default cannot be promised by this agent, and this is the next narrower one that can. */
  | { readonly kind: "narrowed"; readonly permission: Permission; readonly from: Permission }
  | { readonly kind: "refused"; readonly wanted: Permission };

/** What a person named is kept or refused; a default gives way to what is narrower, never to what is wider. */
export function choosePermission(
  mode: DirectoryMode,
  { named, able }: { readonly named?: Permission; readonly able: readonly Permission[] },
): ChosenPermission {
  const wanted = named ?? defaultPermission(mode);
  if (able.includes(wanted)) return { kind: "chosen", permission: wanted };
  const narrower = able.filter((one) => WIDTH[one] < WIDTH[wanted]).toSorted((a, b) => WIDTH[b] - WIDTH[a]);
  const permission = named === undefined ? narrower[0] : undefined;
  return permission ? { kind: "narrowed", permission, from: wanted } : { kind: "refused", wanted };
}
