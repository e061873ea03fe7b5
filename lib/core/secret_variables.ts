/** Which variables of an environment hold secrets, by their names, and which of those an agent may see. */
import type { Env } from "./ports.ts";

/** Names, in which one `*` at an end stands for anything; compared without regard to case. */
const SECRET_VARIABLES: readonly string[] = [
  // Whoever reaches one of these agents signs and logs in as the user.
  "SSH_AUTH_SOCK",
  "GPG_AGENT_INFO",
  "AWS_*",
  "AZURE_CLIENT_*",
  "GOOGLE_APPLICATION_CREDENTIALS",
  "KUBECONFIG",
  "NPM_CONFIG__AUTH*",
  "DOCKER_AUTH_CONFIG",
  "DATABASE_URL",
  "MYSQL_PWD",
  "PGPASSWORD",
  "PGPASSFILE",
  "SSHPASS",
  "TOKEN",
  "*_TOKEN",
  "*_TOKENS",
  "*AUTHTOKEN",
  "*_PAT",
  "KEY",
  "*_KEY",
  "*_KEYS",
  "*APIKEY",
  "SECRET",
  "*_SECRET",
  "*_SECRETS",
  "PASSWORD",
  "*_PASSWORD",
  "*_PASSWD",
  "*_PASSPHRASE",
  "*_CREDENTIAL",
  "*_CREDENTIALS",
];

export function isSecretVariable(name: string): boolean {
  return SECRET_VARIABLES.some((pattern) => matchesName(name.toUpperCase(), pattern));
}

/** The environment without the secrets that nobody named. `allowed`: names, or beginnings that end in `*`. */
export function withoutSecrets(env: Env, allowed: readonly string[]): Env {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !isWithheld(name, allowed)));
}

/** The names of what `withoutSecrets` leaves out, in order. Drover's own never reach an agent, so they are no news. */
export function withheldVariables(env: Env, allowed: readonly string[]): readonly string[] {
  return Object.keys(env).filter((name) => isWithheld(name, allowed) && !name.startsWith("DROVER_")).sort();
}

function isWithheld(name: string, allowed: readonly string[]): boolean {
  return isSecretVariable(name) && !allowed.some((pattern) => matchesName(name, pattern));
}

/** `*` alone means all. */
export function matchesName(name: string, pattern: string): boolean {
  if (pattern.endsWith("*")) return name.startsWith(pattern.slice(0, -1));
  if (pattern.startsWith("*")) return name.endsWith(pattern.slice(1));
  return name === pattern;
}

/** What may stand in a list of names: a name of a variable, or its beginning and `*`. */
export function isNamePattern(text: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]*\*?$/.test(text) || text === "*";
}
