/** Keeps the token of a team server from running out: asked at the start and every three days, and never in anybody's way. */
import type { Clock, Logger } from "../core/ports.ts";
import type { WireClient } from "../wire/client.ts";
import { renewToken } from "../wire/account.ts";
import { isTransient } from "../wire/retry.ts";

const EVERY_MS = 3 * 24 * 60 * 60_000;
/** While the server cannot be reached, as after a start without a network. */
const AGAIN_MS = 60 * 60_000;

export interface RenewalOptions {
  readonly client: Pick<WireClient, "call">;
  readonly clock: Clock;
  readonly log: Logger;
  /** Empty while nobody is logged in. */
  readonly token: () => string;
  /** Until when the token lasts by the server's word; null = for ever. */
  readonly onExpiry: (token: string, expiresAt: string | null) => Promise<void>;
}

/** Until the signal aborts. Never rejects. */
export async function renewalLoop(options: RenewalOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const wait = await renewOnce(options, signal);
    await options.clock.sleep(wait, { signal }).catch(() => {});
  }
}

/** When to ask again, in ms. */
async function renewOnce({ client, log, token, onExpiry }: RenewalOptions, signal: AbortSignal): Promise<number> {
  const asked = token();
  if (asked === "") return AGAIN_MS;
  const answer = await renewToken(client, { signal });
  if (answer.kind !== "ok") {
    if (!signal.aborted) log.info("the token was not renewed", { why: answer.detail });
    return isTransient(answer) ? AGAIN_MS : EVERY_MS;
  }
  const { expires_at: expiresAt, renewed } = answer.value;
  if (renewed) log.info("the token was renewed", { until: expiresAt });
  await onExpiry(asked, expiresAt || null).catch((error) =>
    log.warn("the token's new end could not be written down", { error: String(error) })
  );
  return EVERY_MS;
}
