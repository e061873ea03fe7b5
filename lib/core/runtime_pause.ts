/** When an agent CLI gets no tasks for a while: its quota is spent until some time, or nobody is logged in. */
import type { PersonPause } from "./claim_hold.ts";
import type { Outcome } from "./message.ts";

export type Pause =
  | {
    readonly kind: "quota";
    /** All times in ms since 1970. */
    readonly since: number;
    readonly until: number;
    /** For people: what the provider said. */
    readonly why: string;
  }
  | {
    readonly kind: "login";
    readonly since: number;
    readonly why: string;
    /** What to type. */
    readonly how: string;
    /** Of what was there to log in with when it failed; empty until that was looked at. */
    readonly signs: string;
    /** A check has said that nobody is logged in, so that one which says somebody is means a change. */
    readonly seenOut: boolean;
  };

/** By the name of the agent CLI. */
export type Pauses = Readonly<Record<string, Pause>>;

export const PAUSE = {
  /** For a quota without a time. */
  quotaMs: 15 * 60_000,
  /** For a time that is already over: the provider's clock and ours differ. */
  soonestMs: 60_000,
  /** No quota is longer than a week; a longer time is a mistake. */
  longestMs: 8 * 24 * 60 * 60_000,
  /** While nobody is logged in, that is looked at this often. */
  recheckMs: 60_000,
} as const;

/** `in`: somebody is logged in, as far as one can see here; `unknown`: nothing that can be seen says so or denies it. */
export interface LoginSight {
  readonly verdict: "in" | "out" | "unknown";
  /** Another text whenever the things to log in with are others; holds no secret. */
  readonly signs: string;
}

/** What a run's end means for the next tasks of its agent CLI. Only what all of them would fail for. */
export function pauseAfter(
  outcome: Outcome,
  { how, now }: { how: string; now: number },
): Pause | undefined {
  if (outcome.kind !== "failed") return undefined;
  const why = firstLine(outcome.detail);
  if (outcome.reason === "agent_error.provider_auth_or_access") {
    return { kind: "login", since: now, why, how, signs: "", seenOut: false };
  }
  if (outcome.reason !== "agent_error.provider_quota_limit") return undefined;
  return { kind: "quota", since: now, why, until: quotaEnd(outcome.retryAt, now) };
}

function quotaEnd(retryAt: number | undefined, now: number): number {
  if (retryAt === undefined || !Number.isFinite(retryAt)) return now + PAUSE.quotaMs;
  return Math.min(Math.max(retryAt, now + PAUSE.soonestMs), now + PAUSE.longestMs);
}

/** The pause after a look at the login; a spent quota has nothing to do with that. */
export function pauseAfterCheck(
  before: Pause | undefined,
  { verdict, signs }: LoginSight,
  { how, now }: { how: string; now: number },
): Pause | undefined {
  if (before?.kind === "quota" && verdict !== "out") return before;
  const login = before?.kind === "login" ? before : undefined;
  if (verdict === "out") {
    const why = login?.why ?? "nobody is logged in";
    return { kind: "login", since: login?.since ?? now, why, how, signs, seenOut: true };
  }
  if (!login) return undefined;
  // The first look after the failure says what has failed.
  if (login.signs === "" && !login.seenOut) return { ...login, signs };
  const mended = login.signs !== signs || (login.seenOut && verdict === "in");
  return mended ? undefined : login;
}

export function isOver(pause: Pause, now: number): boolean {
  return pause.kind === "quota" && pause.until <= now;
}

/** For people and programs; times in ms since 1970. */
export interface PauseView {
  /** `limit`: of the day; `person` and `battery` are everybody's. */
  readonly kind: Pause["kind"] | "limit" | "person" | "battery";
  readonly since: number;
  /** Null: until somebody has done what helps. */
  readonly until: number | null;
  readonly why: string;
  /** What to type; empty where time alone helps. */
  readonly how: string;
}

export function viewOf(pause: Pause): PauseView {
  const { kind, since, why } = pause;
  return kind === "quota"
    ? { kind, since, until: pause.until, why, how: "" }
    : { kind, since, until: null, why, how: pause.how };
}

export function personView({ since, until, reason }: PersonPause): PauseView {
  return { kind: "person", since, until, why: reason, how: "drover resume" };
}

/** One line for people. */
export function pauseText(
  pause: { readonly kind: string; readonly until?: number | null; readonly why?: string; readonly how?: string },
  now: number,
): string {
  const text = Object.hasOwn(PAUSE_TEXTS, pause.kind) ? PAUSE_TEXTS[pause.kind as PauseView["kind"]] : undefined;
  const until = pause.until ? ` until ${timeOfDay(pause.until, now)}` : "";
  return (text ?? PAUSE_TEXTS.person)({ until, why: pause.why ?? "", how: pause.how ?? "" });
}

type PauseText = (pause: { readonly until: string; readonly why: string; readonly how: string }) => string;

const PAUSE_TEXTS: { readonly [K in PauseView["kind"]]: PauseText } = {
  quota: ({ until }) => `paused${until}: quota`,
  login: ({ how }) => `needs login${how ? `: ${how}` : ""}`,
  limit: ({ why }) => `limit reached: ${why}, until midnight`,
  person: ({ until, why, how }) => `paused${until || (how ? ` until ${how}` : "")}${why ? `: ${why}` : ""}`,
  battery: () => "no tasks on battery",
};

/** In the time zone of this machine; with the day where that is another. */
function timeOfDay(at: number, now: number): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const day = (date: Date) => [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  const [then, today] = [new Date(at), new Date(now)];
  const time = `${two(then.getHours())}:${two(then.getMinutes())}`;
  return day(then) === day(today) ? time : `${day(then)} ${time}`;
}

function firstLine(text: string): string {
  return text.split("\n")[0]!.slice(0, 300);
}
