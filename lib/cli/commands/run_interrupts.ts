/** What signals mean to `drover run`, in each of its stages: leave, ask, cancel the task, stop following, or end everything. */
import type { RunSession } from "../../app/sessions.ts";
import type { SignalName } from "../../core/ports.ts";
import type { CommandContext } from "../command.ts";

/** `opening`: no task yet. `following`: the task runs. `leaving`: it is over, and tasks of runs that joined are waited for. */
export type RunStage = "opening" | "following" | "leaving";

export type RunAction = "leave" | "ask" | "cancel" | "detach" | "warn" | "abandon";

export interface InterruptState {
  readonly stage: RunStage;
  /** The task runs in this process, so it ends with it. */
  readonly own: boolean;
  /** How far the user went within the stage. */
  readonly asked: "nothing" | "once" | "to-end";
}

/** One signal. A closed terminal (SIGHUP) ends what runs here, and leaves alone what a daemon runs. */
export function onSignal(state: InterruptState, name: SignalName): { state: InterruptState; action: RunAction } {
  const next = (asked: InterruptState["asked"], action: RunAction) => ({ state: { ...state, asked }, action });
  switch (state.stage) {
    case "opening":
      return next("to-end", "leave");
    case "leaving":
      return state.asked === "nothing" && name === "SIGINT" ? next("once", "warn") : next("to-end", "abandon");
    case "following":
      if (state.asked === "to-end") return next("to-end", "abandon");
      if (name === "SIGHUP" && !state.own) return next("to-end", "detach");
      return state.asked === "nothing" && name === "SIGINT" ? next("once", "ask") : next("to-end", "cancel");
  }
}

/** The state at the begin of a stage. */
export function enter(stage: RunStage, own: boolean): InterruptState {
  return { stage, own, asked: "nothing" };
}

/** Carries out what a signal means at the moment it comes. */
export class Interrupts implements Disposable {
  readonly #context: CommandContext;
  readonly #signals: Disposable;
  readonly #leaving = new AbortController();
  readonly #detached = new AbortController();
  #state: InterruptState = enter("opening", true);
  #session: RunSession | undefined;
  #task = "";

  constructor(context: CommandContext) {
    this.#context = context;
    this.#signals = context.host.signals.on(["SIGINT", "SIGTERM", "SIGHUP"], (name) => {
      const { state, action } = onSignal(this.#state, name);
      this.#state = state;
      this.#perform(action);
    });
  }

  /** Aborts when the user left before there was a task. */
  get leaving(): AbortSignal {
    return this.#leaving.signal;
  }

  /** Aborts when following is to end before the task does. */
  get detached(): AbortSignal {
    return this.#detached.signal;
  }

  follow(session: RunSession, task: string): void {
    this.#session = session;
    this.#task = task;
    const early = this.#leaving.signal.aborted;
    this.#state = enter("following", session.kind === "own");
    // It came while the task was being created.
    if (early) this.#perform("cancel");
  }

  /** A later attempt has taken the task's place. */
  retarget(task: string): void {
    this.#task = task;
  }

  leave(session: RunSession): void {
    this.#session = session;
    this.#state = enter("leaving", session.kind === "own");
  }

  [Symbol.dispose](): void {
    this.#signals[Symbol.dispose]();
  }

  #perform(action: RunAction): void {
    const { output } = this.#context;
    switch (action) {
      case "leave":
        return this.#leaving.abort();
      case "ask":
        return output.note("\nctrl-C again cancels the task");
      case "cancel":
        output.note("\ncancelling the task …");
        return void this.#session?.api.cancelTask(this.#task)
          .catch((error) => output.note(`drover: ${(error as Error).message}`));
      case "detach":
        return this.#detached.abort();
      case "warn":
        return output.note("\nwaiting for tasks of other drover runs; ctrl-C again ends them");
      case "abandon":
        this.#session?.abandon();
        return this.#detached.abort();
    }
  }
}
