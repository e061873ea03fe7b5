/** The daemon's phase: when it claims, drains, hands off and ends. The one machine behind "may we take work?". */

export type Ending = "exit" | "restart";

/** Opaque mark of a binary, compared for equality only. */
export type BinaryMark = string;

export type Phase =
  | { readonly kind: "starting" }
  /** `refused`: a binary whose hand-off failed is not tried again until it changes. */
  | { readonly kind: "running"; readonly refused?: BinaryMark }
  | { readonly kind: "reload-pending"; readonly since: number; readonly binary: BinaryMark }
  | {
    readonly kind: "draining";
    readonly to: Ending;
    readonly since: number;
    readonly binary?: BinaryMark;
    readonly cancelled?: true;
  }
  | { readonly kind: "stopped"; readonly to: Ending; readonly binary?: BinaryMark };

export type PhaseEvent =
  | { readonly kind: "ready" }
  | { readonly kind: "binary-changed"; readonly binary: BinaryMark }
  | { readonly kind: "binary-restored" }
  | { readonly kind: "drain-cancelled" }
  | { readonly kind: "stop-requested" }
  /** `inFlight`: tasks, claims, and reports that are not yet durable. */
  | { readonly kind: "tick"; readonly inFlight: number }
  | { readonly kind: "hand-off-failed"; readonly binary: BinaryMark }
  /** Somebody else is at work on the home: it was not tried, and may be at any time. */
  | { readonly kind: "hand-off-put-off" };

export type PhaseCommand = "resume-claims" | "pause-claims" | "hand-off" | "exit" | "cancel-tasks";

/** All in ms. */
export interface PhaseLimits {
  /** How long a pending reload lets the daemon claim on before it drains. */
  readonly patienceMs: number;
  /** How long a drain waits before `cancelAfterGrace` applies. */
  readonly graceMs: number;
  /** Off by default: a drain waits for running tasks however long they take. */
  readonly cancelAfterGrace: boolean;
}

export interface PhaseStep {
  readonly phase: Phase;
  readonly commands: readonly PhaseCommand[];
}

type EventOf<K extends PhaseEvent["kind"]> = Extract<PhaseEvent, { kind: K }>;

/** One transition. An event that a phase does not know changes nothing. */
export function step(phase: Phase, event: PhaseEvent, now: number, limits: PhaseLimits): PhaseStep {
  if (event.kind === "stop-requested") return stop(phase, now);
  switch (phase.kind) {
    case "starting":
      return event.kind === "ready" ? to({ kind: "running" }, "resume-claims") : to(phase);
    case "running":
      return event.kind === "binary-changed" && event.binary !== phase.refused
        ? to({ kind: "reload-pending", since: now, binary: event.binary })
        : to(phase);
    case "reload-pending":
      return pending(phase, event, now, limits);
    case "draining":
      return draining(phase, event, now, limits);
    case "stopped":
      if (phase.to !== "restart") return to(phase);
      if (event.kind === "hand-off-failed") return to({ kind: "running", refused: event.binary }, "resume-claims");
      return event.kind === "hand-off-put-off" ? to({ kind: "running" }, "resume-claims") : to(phase);
  }
}

/** Claims are open exactly while running or with a reload pending. */
export function claimsOpen(phase: Phase): boolean {
  return phase.kind === "running" || phase.kind === "reload-pending";
}

function to(phase: Phase, ...commands: PhaseCommand[]): PhaseStep {
  return { phase, commands };
}

/** A stop wins over a restart, and never turns back into one. */
function stop(phase: Phase, now: number): PhaseStep {
  if (phase.kind === "stopped") return to(phase.to === "restart" ? { ...phase, to: "exit" } : phase);
  if (phase.kind !== "draining") return to({ kind: "draining", to: "exit", since: now }, "pause-claims");
  if (phase.to === "exit") return to(phase);
  return to({ kind: "draining", to: "exit", since: phase.since });
}

function pending(
  phase: Extract<Phase, { kind: "reload-pending" }>,
  event: Exclude<PhaseEvent, EventOf<"stop-requested">>,
  now: number,
  limits: PhaseLimits,
): PhaseStep {
  if (event.kind === "binary-restored") return to({ kind: "running" });
  if (event.kind === "binary-changed") return to({ ...phase, binary: event.binary });
  if (event.kind !== "tick") return to(phase);
  if (event.inFlight > 0 && now - phase.since < limits.patienceMs) return to(phase);
  return to({ kind: "draining", to: "restart", since: now, binary: phase.binary }, "pause-claims");
}

function draining(
  phase: Extract<Phase, { kind: "draining" }>,
  event: Exclude<PhaseEvent, EventOf<"stop-requested">>,
  now: number,
  limits: PhaseLimits,
): PhaseStep {
  if (event.kind === "drain-cancelled") return to({ kind: "running" }, "resume-claims");
  if (event.kind === "binary-restored" && phase.to === "restart") return to({ kind: "running" }, "resume-claims");
  if (event.kind === "binary-changed" && phase.to === "restart") return to({ ...phase, binary: event.binary });
  if (event.kind !== "tick") return to(phase);
  if (event.inFlight === 0) {
    return to({ kind: "stopped", to: phase.to, binary: phase.binary }, phase.to === "restart" ? "hand-off" : "exit");
  }
  if (limits.cancelAfterGrace && !phase.cancelled && now - phase.since >= limits.graceMs) {
    return to({ ...phase, cancelled: true }, "cancel-tasks");
  }
  return to(phase);
}
