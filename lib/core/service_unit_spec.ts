/** What a service definition is made of, and what the daemon it starts and its manager have agreed on. */
import type { SupervisorKind } from "./launch.ts";
import type { Env } from "./ports.ts";

export type ServiceKind = Exclude<SupervisorKind, "none">;

/** What a definition is made of. No text in it may hold a control character; see `fitsDefinition`. */
export interface ServiceSpec {
  /** Of `serviceLabel()`. */
  readonly label: string;
  /** The home's path, for people who find the file. */
  readonly home: string;
  /** The argv that runs drover in supervised mode; the first word is an absolute path. */
  readonly argv: readonly string[];
  /** All that the daemon is given beside what the service manager gives everybody. */
  readonly env: Env;
  /** Takes what the daemon prints, where the service manager has no journal. */
  readonly launchLog: string;
}

/** How long a daemon that was told to end waits for its tasks before it ends them itself, in seconds. */
export const SUPERVISED_DRAIN_S = 60;

/** With what a supervised daemon says what its manager is to do; everything else but 0 means: start me again. */
export const SUPERVISED_EXIT = { config: 70, restart: 75, stoodDown: 76 } as const;

export type SupervisedEnd = keyof typeof SUPERVISED_EXIT;

/** launchd starts again whatever ends with anything but 0, and knows no code that would stop it. */
const ENDS: { readonly [K in ServiceKind]: { readonly [E in SupervisedEnd]: number } } = {
  systemd: SUPERVISED_EXIT,
  launchd: { config: 0, restart: SUPERVISED_EXIT.restart, stoodDown: 0 },
};

export function supervisedExit(kind: ServiceKind, end: SupervisedEnd): number {
  return ENDS[kind][end];
}

/** Whether a text can stand in a definition: both formats are made of lines, and XML cannot hold control characters. */
export function fitsDefinition(text: string): boolean {
  // deno-lint-ignore no-control-regex
  return text.isWellFormed() && !/[\u0000-\u001f\u007f-\u009f\ufffe\uffff]/.test(text);
}
