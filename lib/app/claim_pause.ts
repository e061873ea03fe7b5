/** Pausing all claiming and taking that back: by whoever holds the home, or in its file when nobody does. */
import * as z from "zod/mini";
import { MAX_REASON, type PersonPause } from "../core/claim_hold.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { Host, Lock } from "../core/ports.ts";
import type { ControlError } from "../wire/control.ts";
import type { DaemonPauses } from "../daemon/claim_gate.ts";
import { claimPauseStore, readClaimPause } from "./claims_file.ts";
import { checkHome, inHome, openHome } from "./home_dir.ts";
import { connectControl } from "./reach.ts";

/** Long enough for a daemon to start or to end. */
const LOCK_MS = 10_000;
const LOOK_MS = 500;

const PauseRequest = z.lazy(() =>
  z.object({ until: z.nullable(z.number()), reason: z.string().check(z.maxLength(MAX_REASON)) })
);

/** `POST` and `DELETE /v1/pause`; `undefined` for a request that is about something else. */
export function answerAboutPausing(
  request: Request,
  claims: () => DaemonPauses["all"],
): Promise<Response> | undefined {
  const answers: Readonly<Record<string, () => Promise<Response>>> = {
    async POST() {
      const body = PauseRequest.safeParse(await request.json().catch(() => undefined));
      if (!body.success) return refused(400, "invalid_request", "Cannot pause: the body must hold until and reason");
      const failed = await claims().pause(body.data).then(() => undefined, String);
      if (failed === undefined) return Response.json({ paused: claims().view() ?? null });
      return refused(500, "store_failed", `Cannot keep the pause, a restart will forget it: ${failed}`);
    },
    async DELETE() {
      try {
        return Response.json({ resumed: await claims().resume() });
      } catch (error) {
        return refused(500, "store_failed", `Cannot forget the pause, a restart will bring it back: ${error}`);
      }
    },
  };
  if (new URL(request.url).pathname !== "/v1/pause") return undefined;
  return Object.hasOwn(answers, request.method) ? answers[request.method]!() : undefined;
}

function refused(status: number, code: string, message: string): Response {
  const body: ControlError = { error: { code, message } };
  return Response.json(body, { status });
}

/** From now on nothing is claimed, also by the daemons to come. `by`: who keeps it. Throws `busy` and `home_unusable`. */
export async function pauseClaims(
  host: Host,
  home: Home,
  pause: Pick<PersonPause, "until" | "reason">,
): Promise<{ by: "daemon" | "file" }> {
  await openHome(host, home);
  const since = host.clock.now();
  return await change(host, home, {
    asked: (control) => control.pauseClaims(pause),
    alone: () => claimPauseStore(host.files, home, () => host.clock.now()).write({ ...pause, since }),
  }).then(({ by }) => ({ by }));
}

/** False when it was not paused. */
export async function resumeClaims(host: Host, home: Home): Promise<boolean> {
  if (!await checkHome(host, home)) return false;
  const { value } = await change(host, home, {
    asked: (control) => control.resumeClaims(),
    async alone() {
      const store = claimPauseStore(host.files, home, () => host.clock.now());
      const paused = await readClaimPause(host.files, home, host.clock.now()) !== undefined;
      if (paused) await store.write(undefined);
      return paused;
    },
  });
  return value;
}

type Control = NonNullable<Awaited<ReturnType<typeof connectControl>>>;

/** Nobody may take the home between the look and the change, or it would not know. */
async function change<T>(
  host: Host,
  home: Home,
  { asked, alone }: { asked: (control: Control) => Promise<T>; alone: () => Promise<T> },
): Promise<{ by: "daemon" | "file"; value: T }> {
  const end = host.clock.monotonic() + LOCK_MS;
  do {
    using control = await connectControl(host, home);
    if (control) return { by: "daemon", value: await asked(control) };
    using lock: Lock | undefined = await host.locks.lock(home.daemonLock, { timeoutMs: LOOK_MS });
    if (lock) return { by: "file", value: await inHome(home, alone) };
  } while (host.clock.monotonic() < end);
  throw new DroverError("busy", `Cannot change whether ${home.root} takes tasks: its daemon does not answer`, {
    hint: "drover status tells more; try again when it runs or has ended",
  });
}
