/** One question to the holder of a home that is none of the user API's: found by the record, answered with JSON. */
import { DroverError, type ErrorCode } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { Host } from "../core/ports.ts";
import { lookAtPidfile } from "../lifecycle/pidfile.ts";

/** What takes longer hangs; to remove a hundred gigabytes takes minutes. */
const LIMIT_MS = 15 * 60_000;

/** Throws `not_running`, and what the holder says. */
export async function askControl(
  host: Host,
  home: Home,
  { path, body }: { path: string; body: unknown },
): Promise<unknown> {
  const look = await lookAtPidfile(host.files, home.pidfile);
  if (look.kind !== "record") throw new DroverError("not_running", `Cannot reach the drover that holds ${home.root}`);
  using socket = host.network.unixClient(look.record.controlSocket);
  const abort = new AbortController();
  using _limit = host.clock.after(LIMIT_MS, () => abort.abort(new Error("It did not answer in time")));
  const request = new Request(`http://drover.local${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: abort.signal,
  });
  let response: Response;
  let text: string;
  try {
    response = await socket.fetch(request);
    text = await response.text();
  } catch (error) {
    throw new DroverError("not_running", `Cannot reach the daemon: ${(error as Error).message}`, { cause: error });
  }
  if (response.ok) return JSON.parse(text);
  throw errorOf(response.status, text);
}

function errorOf(status: number, text: string): DroverError {
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string; hint?: string } };
    return new DroverError(error.code as ErrorCode, error.message, error.hint ? { hint: error.hint } : {});
  } catch {
    return new DroverError("internal", `The daemon answered with status ${status}: ${text.slice(0, 200)}`);
  }
}
