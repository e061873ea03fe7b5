/** Who is at the other end of a control socket: the first thing that is asked there, by every command. */
import { type Checks, isInteger, isOneOf, isText, pick } from "../core/fields.ts";
import type { Phase } from "../core/phase.ts";

/** Raised by 1 on any change that an older or newer CLI would misread. */
export const CONTROL_PROTOCOL = 1;

export interface Hello {
  readonly protocol: number;
  readonly instance: string;
  readonly pid: number;
  readonly version: string;
  /** `daemon`, or `run` for an in-process `drover run`. */
  readonly mode: "daemon" | "run";
  readonly phase: Phase["kind"];
  readonly home: string;
  /** What the process that started it calls it by; absent when nobody asked for that. */
  readonly nonce?: string | undefined;
}

const HELLO: Checks<Hello> = {
  protocol: isInteger,
  instance: isText,
  pid: isInteger,
  version: isText,
  mode: isOneOf("daemon", "run"),
  phase: isOneOf("starting", "running", "reload-pending", "draining", "stopped"),
  home: isText,
  nonce: (value): value is string | undefined => value === undefined || isText(value),
};

/** `undefined` for anything else: whoever answers then is none of ours. */
export function readHello(value: unknown): Hello | undefined {
  const picked = pick(value, HELLO);
  return "value" in picked ? picked.value : undefined;
}
