/** When may we claim, and how many tasks: free slots, never more, and only while nothing speaks against it. */

export interface BudgetInput {
  readonly slots: number;
  readonly running: number;
  /** Claim calls on their way that were promised this many slots. */
  readonly claiming: number;
  readonly claimsOpen: boolean;
  /** The outbox cannot be written: an outcome could be lost. */
  readonly outboxDegraded: boolean;
}

export type Budget =
  | { readonly kind: "claim"; readonly max: number }
  | { readonly kind: "hold"; readonly why: "paused" | "no-free-slot" | "outbox-unwritable" };

/** The protocol cuts a batch at 32 (wire protocol 1.4). */
const MAX_BATCH = 32;

export function claimBudget(input: BudgetInput): Budget {
  if (!input.claimsOpen) return { kind: "hold", why: "paused" };
  if (input.outboxDegraded) return { kind: "hold", why: "outbox-unwritable" };
  const free = input.slots - input.running - input.claiming;
  if (free <= 0) return { kind: "hold", why: "no-free-slot" };
  return { kind: "claim", max: Math.min(free, MAX_BATCH) };
}

/** The list turned by `turn` places, so that whoever was first in the last round comes last in the next. */
export function rotate<T>(items: readonly T[], turn: number): T[] {
  if (items.length === 0) return [];
  const at = turn % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}
