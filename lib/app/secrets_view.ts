/** Which secrets of an environment are kept from the agents that are here: names, never values. */
import { type Withheld, withheldFrom } from "../agents/secrets.ts";
import type { Env } from "../core/ports.ts";

export interface SecretsOptions {
  /** The agents that are here; absent = all that drover knows. */
  readonly providers?: readonly string[];
  /** The setting `agents.env`. */
  readonly variables: readonly string[];
}

export function withheldHere(env: Env, { providers, variables }: SecretsOptions): readonly Withheld[] {
  return withheldFrom(env, variables).map(({ name, reaches }) => ({
    name,
    reaches: reaches.filter((provider) => providers?.includes(provider) ?? true),
  }));
}

/** `GH_TOKEN, OPENAI_API_KEY (codex alone)` */
export function withheldText(withheld: readonly Withheld[]): string {
  return withheld.map(({ name, reaches }) => reaches.length > 0 ? `${name} (${reaches.join(", ")} alone)` : name)
    .join(", ");
}

export const NAME_THEM = "drover config set agents.env NAME,… lets every agent see them";
