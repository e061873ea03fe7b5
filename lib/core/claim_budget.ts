/** When may we claim, and how many tasks: free slots, never more, and only while nothing speaks against it. */
import type { ClaimHold } from "./claim_hold.ts";

export interface BudgetInput {
  readonly slots: number;
  readonly running: number;
  /** Claim calls on their way that were promised this many slots. */
  readonly claiming: number;
  readonly claimsOpen: boolean;
  /** The outbox cannot be written: an outcome could be lost. */
  readonly outboxDegraded: boolean;
  /** What else keeps the daemon from claiming. */
  readonly held?: ClaimHold | undefined;
}

export type Budget =
  | { readonly kind: "claim"; readonly max: number }
  | { readonly kind: "hold"; readonly why: "paused" | ClaimHold | "no-free-slot" | "outbox-unwritable" };

/** The protocol cuts a batch at 32 (wire protocol 1.4). */
const MAX_BATCH = 32;

export function claimBudget(input: BudgetInput): Budget {
  if (!input.claimsOpen) return { kind: "hold", why: "paused" };
  if (input.held) return { kind: "hold", why: input.held };
  if (input.outboxDegraded) return { kind: "hold", why: "outbox-unwritable" };
  const free = input.slots - input.running - input.claiming;
  if (free <= 0) return { kind: "hold", why: "no-free-slot" };
  return { kind: "claim", max: Math.min(free, MAX_BATCH) };
}

/** How many more tasks of one agent CLI there may be; Infinity where only the slots limit it. */
export function roomFor(limits: Readonly<Record<string, number>>, provider: string, running: number): number {
  const limit = Object.hasOwn(limits, provider) ? limits[provider]! : Infinity;
  return Math.max(0, limit - running);
}

/** `claude=2,codex=1`, or the same as an object; `undefined` for anything else. */
export function parseLimits(value: unknown): Readonly<Record<string, number>> | undefined {
  const entries = typeof value === "string" ? pairsOf(value) : isObject(value) ? Object.entries(value) : undefined;
  const good = entries?.every(([name, limit]) =>
    /^[a-z][\w.-]*$/.test(name) && typeof limit === "number" && Number.isInteger(limit) && limit >= 1 && limit <= 64
  );
  return good ? Object.fromEntries(entries!) as Record<string, number> : undefined;
}

export function formatLimits(limits: Readonly<Record<string, number>>): string {
  return Object.entries(limits).map(([name, limit]) => `${name}=${limit}`).join(",");
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function pairsOf(text: string): [string, unknown][] {
  const parts = text.split(",").map((part) => part.trim()).filter((part) => part !== "");
  return parts.map((part) => {
    const [, name = "", limit = ""] = /^([^=]+?)\s*=\s*(\d+)$/.exec(part) ?? [];
    return [name, limit === "" ? undefined : Number(limit)];
  });
}

/** The list turned by `turn` places, so that whoever was first in the last round comes last in the next. */
export function rotate<T>(items: readonly T[], turn: number): T[] {
  if (items.length === 0) return [];
  const at = turn % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}
