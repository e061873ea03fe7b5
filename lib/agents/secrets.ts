/** Which of the secrets around it an agent CLI may see: those its row names, and those the configuration names for all. */
import type { Env } from "../core/ports.ts";
import { withheldVariables } from "../core/secret_variables.ts";
import { PROVIDERS, rowOf } from "./registry.ts";

/** As names, or as beginnings that end in `*`. */
export function secretsOf(provider: string, configured: readonly string[] = []): readonly string[] {
  return [...(rowOf(provider)?.secrets ?? []), ...configured];
}

/** A variable that is kept from agents, and those of the table that see it all the same. */
export interface Withheld {
  readonly name: string;
  readonly reaches: readonly string[];
}

/** What the configuration does not give to all, by name. */
export function withheldFrom(env: Env, configured: readonly string[] = []): readonly Withheld[] {
  return withheldVariables(env, configured).map((name) => ({
    name,
    reaches: PROVIDERS.filter(({ provider }) => withheldVariables({ [name]: "" }, secretsOf(provider)).length === 0)
      .map(({ provider }) => provider),
  }));
}
