/** Adding a runtime profile as a person means it: which agent CLI it is like, and what of the environment it takes along. */
import { PROVIDERS, rowOf } from "../agents/registry.ts";
import { DroverError } from "../core/drover_error.ts";
import type { Home } from "../core/home.ts";
import type { Env, Host } from "../core/ports.ts";
import type { UserApi } from "./control_client.ts";
import { openUserSession } from "./sessions.ts";
import type { UsableOptions } from "./usable.ts";

export { PROVIDERS };

/** Throws `agent_unknown`, and `invalid_request` for a name that a CLI of the table has. */
export function checkLike(name: string, like: string): void {
  const known = PROVIDERS.filter(({ launch }) => launch.kind === "command").map(({ provider }) => provider);
  if (!known.includes(like)) {
    throw new DroverError("agent_unknown", `Cannot add a runtime like "${like}": drover knows ${known.join(", ")}`, {
      hint: "choose the one whose protocol the command speaks",
    });
  }
  if (rowOf(name)) {
    throw new DroverError(
      "invalid_request",
      `Cannot call a runtime "${name}": that is the name of an agent CLI itself`,
      {
        hint: `choose a name of its own, e.g. my-${name}`,
      },
    );
  }
}

/**
 * `NAME=VALUE`, or `NAME` for the value it has here: what is typed can be read by everybody on the machine, so that
 * secrets are given the second way. Throws `usage`.
 */
export function variablesOf(words: readonly string[], env: Env): Record<string, string> {
  return Object.fromEntries(words.map((word) => {
    const at = word.indexOf("=");
    const name = at < 0 ? word : word.slice(0, at);
    const value = at < 0 ? env[name] : word.slice(at + 1);
    if (value === undefined) {
      throw new DroverError("usage", `Cannot take the variable ${name} along: it is not set here`, {
        hint: `set it first, or give it as --env ${name}=VALUE`,
      });
    }
    return [name, value];
  }));
}

/** Whoever keeps the profiles of a home: its daemon, or its store, which is made where there is none yet. */
export async function openProfiles(host: Host, home: Home, options: UsableOptions): Promise<UserApi> {
  const session = await openUserSession(host, home, options);
  if (session) return session;
  const { openOwnStore } = await import("./own_store.ts");
  const own = await openOwnStore(host, home) ?? await openUserSession(host, home, options);
  if (own) return own;
  throw new DroverError("busy", `Cannot reach the drover that holds ${home.root}`, { hint: `look at ${home.logFile}` });
}
