/** When a server's ping may run the model, which costs money: for whom the owner allows tasks, and once in ten minutes. */

const PING_EVERY_MS = 10 * 60_000;

/** Runtime to the time of its last ping, on a clock that never goes back. */
export type PingTimes = Map<string, number>;

export function isSpent(times: ReadonlyMap<string, number>, runtime: string, now: number): boolean {
  const last = times.get(runtime);
  return last !== undefined && now - last < PING_EVERY_MS;
}

const REFUSALS = {
  forbidden: "The owner of this machine takes no tasks of this workspace, so the model is not run for it",
  spent: "This runtime was pinged less than 10 minutes ago, and each ping runs the model: try again later",
  unable: "This daemon cannot run a model by itself",
} as const;

/** Why it is refused, for people; nothing where it may be done. */
export function pingVerdict(
  { allowed, spent, able }: { readonly allowed: boolean; readonly spent: boolean; readonly able: boolean },
): string | undefined {
  if (!allowed) return REFUSALS.forbidden;
  if (!able) return REFUSALS.unable;
  return spent ? REFUSALS.spent : undefined;
}
