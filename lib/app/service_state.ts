/** How a service stands with its manager, and what a manager is to us: a program and its words for what we want. */
import type { CommandResult } from "../core/ports.ts";

/** `unreachable`: there is no such manager for this user right now, in a container or before the first login for one. */
export type ServiceState =
  | { readonly kind: "unreachable"; readonly why: string }
  | {
    readonly kind: "known";
    /** Started at login. */
    readonly enabled: boolean;
    /** `failing`: between two tries. */
    readonly activity: "active" | "starting" | "stopping" | "failing" | "failed" | "inactive";
    /** For people, where it failed; else empty. */
    readonly why: string;
  };

export interface Service {
  readonly label: string;
  /** The definition's path. */
  readonly file: string;
}

/** One call of the manager's own program. */
export interface ManagerCall {
  readonly args: readonly string[];
  /** Whether it is fine when the manager refuses, because there was nothing to do. */
  readonly mayFail?: true;
}

/** A manager as data: its program, and its words for what we want. */
export interface ManagerCommands {
  readonly program: string;
  readonly inspect: (service: Service) => ManagerCall;
  readonly read: (result: CommandResult) => ServiceState;
  /** Has it read new definitions, and start this one at login. */
  readonly enable: (service: Service) => readonly ManagerCall[];
  /** Starts it anew, whatever of it still runs. */
  readonly start: (service: Service) => readonly ManagerCall[];
  /** Ends it, and waits. */
  readonly stop: (service: Service) => readonly ManagerCall[];
  readonly disable: (service: Service) => readonly ManagerCall[];
  /** After the definition is gone. */
  readonly forget: (service: Service) => readonly ManagerCall[];
  /** Files that stand for "enabled", for when the manager cannot be asked to remove them. */
  readonly enabledBy: (service: Service) => readonly string[];
}

export function unreachable(why: string): ServiceState {
  return { kind: "unreachable", why };
}

/** What a program said last, in a line. */
export function lastWords({ stderr, stdout, exit }: CommandResult): string {
  return (stderr.trim() || stdout.trim()).split("\n").at(-1) || `exit code ${exit.code}`;
}
