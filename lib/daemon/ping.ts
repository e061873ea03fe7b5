/** A ping: one word to an agent CLI and its model, in an empty directory, outside every slot, for a minute at most. */
import type { Backend } from "../agents/backend.ts";
import { agentEnv } from "../core/agent_env.ts";
import type { Home } from "../core/home.ts";
import { StopError } from "../core/message.ts";
import { narrowest } from "../core/permission_policy.ts";
import type { Clock, Env, Files, Logger, Processes, Random } from "../core/ports.ts";
import { runAgent } from "./agent_run.ts";
import type { PingRequest, PingResult } from "./pending_actions.ts";

const LIMIT_MS = 60_000;
const MAX_TEXT = 200;

export interface PingOptions {
  readonly home: Pick<Home, "workspaces" | "bin">;
  readonly backendFor: (provider: string) => Backend;
  readonly env: () => Env;
  readonly sessionVariables: readonly string[];
  readonly secretsFor?: (provider: string) => readonly string[];
  readonly markPrefix: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly files: Files;
  readonly processes: Processes;
  readonly log: Logger;
}

export async function pingAgent(
  { runtime, policy }: PingRequest,
  options: PingOptions,
  signal: AbortSignal,
): Promise<PingResult> {
  const { home, backendFor, env, sessionVariables, secretsFor, markPrefix, clock, random, files } = options;
  const backend = backendFor(runtime.provider);
  const permission = narrowest(backend.permissions, policy);
  if (!permission) {
    const text = `${runtime.provider} cannot be pinged here: it cannot promise ${policy}, which is the owner's policy`;
    return { ok: false, text, ms: 0 };
  }
  const since = clock.monotonic();
  const id = `ping-${random.uuid()}`;
  const cwd = `${home.workspaces}/${id}`;
  const stop = new AbortController();
  const abort = () => stop.abort(new StopError({ kind: "shutdown" }));
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  using _limit = clock.after(LIMIT_MS, abort);
  await files.makeDirectory(cwd);
  try {
    const said: string[] = [];
    const outcome = await runAgent({
      ...options,
      backend,
      runtime,
      task: {
        id,
        prompt: "Answer with the single word: pong",
        cwd,
        permission,
        newSession: random.uuid(),
      },
      env: (adapter) =>
        agentEnv({
          inherited: env(),
          sessionVariables,
          secrets: secretsFor?.(runtime.provider) ?? [],
          custom: {},
          adapter,
          task: {},
          binDirectory: home.bin,
        }),
      mark: `${markPrefix}${id}`,
      signal: stop.signal,
      ask: () => Promise.resolve({ allow: false, why: "A ping does nothing" }),
      onStarted() {},
      onMessage: (message) => {
        if (message.kind === "text") said.push(message.text);
      },
      onOutcome() {},
    });
    const ms = Math.round(clock.monotonic() - since);
    if (outcome.kind === "completed") return { ok: true, text: said.join("").trim().slice(0, MAX_TEXT), ms };
    return { ok: false, text: outcome.detail.slice(0, MAX_TEXT), ms };
  } finally {
    signal.removeEventListener("abort", abort);
    await files.remove(cwd);
  }
}
