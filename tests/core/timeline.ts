/** A phase machine played as a timeline: events at their times, and the commands each must give. */
import { assertEquals } from "@std/assert";
import {
  claimsOpen,
  type Phase,
  type PhaseCommand,
  type PhaseEvent,
  type PhaseLimits,
  step,
} from "../../lib/core/phase.ts";

export const LIMITS: PhaseLimits = { patienceMs: 60_000, graceMs: 10_000, cancelAfterGrace: false };

/** An event by its kind alone where it has no fields. */
type Short = PhaseEvent | Exclude<PhaseEvent["kind"], "binary-changed" | "tick" | "hand-off-failed">;

export function play(phase: Phase, limits: Partial<PhaseLimits> = {}): Timeline {
  return new Timeline(phase, { ...LIMITS, ...limits });
}

class Timeline {
  #phase: Phase;
  #commands: readonly PhaseCommand[] = [];
  readonly #limits: PhaseLimits;

  constructor(phase: Phase, limits: PhaseLimits) {
    this.#phase = phase;
    this.#limits = limits;
  }

  at(now: number, event: Short): this {
    const whole = typeof event === "string" ? { kind: event } : event;
    const next = step(this.#phase, whole, now, this.#limits);
    this.#phase = next.phase;
    this.#commands = next.commands;
    return this;
  }

  /** A tick with so much in flight. */
  tick(now: number, inFlight = 0): this {
    return this.at(now, { kind: "tick", inFlight });
  }

  /** What the last event must have commanded. */
  expect(...commands: PhaseCommand[]): this {
    assertEquals(this.#commands, commands);
    return this;
  }

  is(phase: Phase): this {
    assertEquals(this.#phase, phase);
    assertEquals(claimsOpen(this.#phase), phase.kind === "running" || phase.kind === "reload-pending");
    return this;
  }
}
