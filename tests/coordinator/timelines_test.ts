/** What the coordinator does with tasks over time, as timelines: claims, re-delivery, retries, resume, sweeps, cancellation. */
import {
  ack,
  cancel,
  claim,
  claimOne,
  comeBack,
  complete,
  deregister,
  fail,
  fallSilent,
  lease,
  offered,
  pin,
  purge,
  recover,
  runtimeState,
  start,
  status,
  submit,
  sweep,
  view,
  wait,
} from "./actions.ts";
import { isLong } from "../support/length.ts";
import { storeKind } from "./stores.ts";
import { at, play, type Step } from "./world.ts";

const HOUR = 3_600;
const DAY = 24 * HOUR;

/** Submits, claims and starts the tasks, all at once. */
function running(...aliases: string[]): Step[] {
  return aliases.flatMap((alias) => [
    at(0).call(submit(alias)),
    at(0).call(claim()).expect([alias]),
    at(0).call(start(alias)).expect("running"),
  ]);
}

interface Timeline {
  readonly steps: readonly Step[];
  readonly providers?: readonly string[];
}

const CLAIMS: Record<string, Timeline> = {
  "claim() hands a queued task to one of two claimers": {
    steps: [
      at(0).call(submit("a")).expect("queued"),
      at(1).call(claim()).expect(["a"]),
      at(1).call(claim()).expect([]),
      at(1).call(status("a")).expect("dispatched"),
    ],
  },
  "claim() hands out one fresh task per agent and call, and of two agents in the order of the daemon": {
    providers: ["claude", "codex"],
    steps: [
      at(0).call(submit("a", { agent: "claude" })),
      at(0).call(submit("b", { agent: "claude" })),
      at(0).call(submit("c", { agent: "codex" })),
      at(1).call(claim(32, ["codex", "claude"])).expect(["c", "a"]),
      at(1).call(claim(32, ["codex", "claude"])).expect(["b"]),
    ],
  },
  "claim() hands out no more than max_tasks": {
    providers: ["claude", "codex"],
    steps: [
      at(0).call(submit("a", { agent: "claude" })),
      at(0).call(submit("b", { agent: "codex" })),
      at(1).call(claim(0, ["claude", "codex"])).expect([]),
      at(1).call(claim(1, ["codex", "claude"])).expect(["b"]),
      at(1).call(claim(5, ["codex", "claude"])).expect(["a"]),
    ],
  },
  "claim() passes over one runtime named twice": {
    steps: [at(0).call(submit("a")), at(0).call(submit("b")), at(1).call(claim(5, ["claude", "claude"])).expect(["a"])],
  },
  "claim() prefers priority, then age": {
    steps: [
      at(0).call(submit("old")),
      at(1).call(submit("older low", { priority: 1 })),
      at(2).call(submit("low", { priority: 1 })),
      at(3).call(submit("urgent", { priority: 4 })),
      at(4).call(claim()).expect(["urgent"]),
      at(4).call(claim()).expect(["older low"]),
      at(4).call(claim()).expect(["low"]),
      at(4).call(claim()).expect(["old"]),
    ],
  },
  "claim() keeps to the agent's cap of 6, counting claimed, waiting and running tasks": {
    steps: [
      ...running("a", "b", "c", "d"),
      at(1).call(submit("e")),
      at(1).call(submit("f")),
      at(1).call(submit("g")),
      at(2).call(claim()).expect(["e"]),
      at(2).call(wait("e")).expect("waiting_local_directory"),
      at(2).call(claim()).expect(["f"]),
      at(2).call(claim()).expect([]),
      at(3).call(complete("a")).expect("completed"),
      at(3).call(claim()).expect(["g"]),
    ],
  },
  "claim() frees a place of the cap as soon as a task is cancelled": {
    steps: [
      ...running("a", "b", "c", "d", "e", "f"),
      at(1).call(submit("g")),
      at(1).call(claim()).expect([]),
      at(2).call(cancel("b")).expect("cancelled"),
      at(2).call(claim()).expect(["g"]),
    ],
  },
  "claim() gives nothing to a runtime that has been silent for more than 150 s, and again after a beat": {
    steps: [
      at(0).call(submit("a")),
      at(0).call(fallSilent()),
      at(151).call(claim()).expect([]),
      at(151).call(claimOne()).expect(null),
      at(152).call(comeBack()),
      at(152).call(claim()).expect(["a"]),
    ],
  },
  "claim() still serves a runtime that has been silent for 150 s": {
    steps: [at(0).call(submit("a")), at(0).call(fallSilent()), at(150).call(claim()).expect(["a"])],
  },
  "claim() gives nothing to a runtime that was deregistered": {
    steps: [at(0).call(submit("a")), at(1).call(deregister()).expect(200), at(1).call(claim()).expect([])],
  },
  "claim() runs the tasks of a thread one after the other": {
    steps: [
      ...running("a"),
      at(1).call(submit("b", { resume: "a" })).expect("queued"),
      at(1).call(submit("c")),
      at(2).call(claim()).expect(["c"]),
      at(2).call(claim()).expect([]),
      at(3).call(complete("a")),
      at(3).call(claim()).expect(["b"]),
    ],
  },
  "claim() runs a thread's tasks of two agents beside each other": {
    providers: ["claude", "codex"],
    steps: [
      ...running("a"),
      at(1).call(submit("b", { resume: "a", agent: "codex" })).expect("queued"),
      at(1).call(claim(1, ["codex"])).expect(["b"]),
    ],
  },
  "claim() with submitted_to takes only what was submitted to that instance": {
    steps: [
      at(0).call(submit("a")),
      at(1).call(claim(1, ["claude"], { submitted_to: "i1" })).expect([]),
      at(1).call(claim()).expect(["a"]),
    ],
  },
  "claim() of one runtime gives a task or null": {
    steps: [
      at(0).call(submit("a")),
      at(1).call(claimOne()).expect("a"),
      at(1).call(claimOne()).expect(null),
      at(1).call(claimOne("00000000-0000-4000-8000-00000000dead")).expect("runtime not found"),
    ],
  },
};

const SLOT: Record<string, Timeline> = {
  "submit() refuses a second pending task of a thread while the first is queued or dispatched": {
    steps: [
      ...running("a"),
      at(1).call(submit("b", { resume: "a" })).expect("queued"),
      at(1).call(submit("c", { resume: "a" })).expect("thread_busy"),
      at(2).call(complete("a")),
      at(2).call(claim()).expect(["b"]),
      at(2).call(submit("c", { resume: "a" })).expect("thread_busy"),
      at(3).call(start("b")),
      at(3).call(submit("c", { resume: "a" })).expect("queued"),
    ],
  },
  "submit() accepts a second task of a thread while the first waits for its directory": {
    steps: [
      at(0).call(submit("a")),
      at(0).call(claim()),
      at(0).call(wait("a")),
      at(1).call(submit("b", { resume: "a" })).expect("queued"),
    ],
  },
};

const REDELIVERY: Record<string, Timeline> = {
  "claim() hands a task out again when nobody prepared it for 90 s": {
    steps: [
      at(0).call(submit("a")),
      at(0).call(claim()).expect(["a"]),
      at(90).call(claim()).expect([]),
      at(91).call(claim()).expect(["a"]),
      at(91).call(status("a")).expect("dispatched"),
      at(181).call(claim()).expect([]),
      at(182).call(claim()).expect(["a"]),
      at(182).call(start("a")).expect("running"),
      at(400).call(claim()).expect([]),
    ],
  },
  "claim() leaves a task to the daemon that renews its lease": {
    steps: [
      at(0).call(submit("a")),
      at(0).call(claim()).expect(["a"]),
      at(80).call(lease("a")).expect("dispatched"),
      at(124).call(claim()).expect([]),
      at(125).call(claim()).expect(["a"]),
    ],
  },
  "claim() never hands out again a task that waits for its directory": {
    steps: [
      at(0).call(submit("a")),
      at(0).call(claim()),
      at(1).call(wait("a")),
      at(1_000).call(sweep()),
      at(1_000).call(claim()).expect([]),
      at(1_000).call(start("a")).expect("running"),
    ],
  },
  "claim() counts re-deliveries against max_tasks and hands them out first": {
    steps: [
      at(0).call(submit("a")),
      at(0).call(claim()).expect(["a"]),
      at(1).call(submit("b", { priority: 4 })),
      at(91).call(claim(1)).expect(["a"]),
      at(91).call(claim(1)).expect(["b"]),
    ],
  },
  "claim() gives an agent's lost task and a fresh one in one call": {
    steps: [
      at(0).call(submit("a")),
      at(0).call(claim()).expect(["a"]),
      at(1).call(submit("b")),
      at(91).call(claim(5)).expect(["a", "b"]),
    ],
  },
  "claim() hands out only as many lost tasks as there are free slots": {
    steps: [
      at(0).call(submit("a")),
      at(0).call(submit("b")),
      at(0).call(claim()).expect(["a"]),
      at(1).call(claim()).expect(["b"]),
      at(100).call(claim(1)).expect(["a"]),
      at(100).call(claim(1)).expect(["b"]),
    ],
  },
};

/** A task fails for `reason`; what the next attempt is, at once and `later` seconds after when it was claimed for. */
function failing(reason: string, attempt: { now: string; later?: number }): Timeline {
  const { now, later } = attempt;
  return {
    steps: [
      ...running("a"),
      at(10).call(fail("a", reason)).expect("failed"),
      at(10).call(view("a", "failure_reason", "error", "attempt")).expect([reason, "it broke", 1]),
      at(10).call(status("a#2")).expect(now),
      ...(now === "none" ? [at(60).call(claim()).expect([])] : []),
      ...(now === "queued" ? [at(10).call(claim()).expect(["a#2"])] : []),
      ...(later === undefined ? [] : [
        at(10).call(claim()).expect([]),
        at(10 + later).call(claim()).expect(["a#2"]),
      ]),
      ...(now === "none" ? [] : [at(60).call(view("a#2", "attempt")).expect(2)]),
    ],
  };
}

const RETRIES: Record<string, Timeline> = {
  "fail() with runtime_recovery makes the next attempt at once": failing("runtime_recovery", { now: "queued" }),
  "fail() with timeout makes the next attempt at once": failing("timeout", { now: "queued" }),
  "fail() with skill_bundle_unavailable makes the next attempt at once": failing("skill_bundle_unavailable", {
    now: "queued",
  }),
  "fail() with codex_semantic_inactivity makes the next attempt at once": failing("codex_semantic_inactivity", {
    now: "queued",
  }),
  "fail() with provider_network makes the second attempt at once": failing("agent_error.provider_network", {
    now: "queued",
  }),
  "fail() with runtime_offline makes the next attempt a second later": failing("runtime_offline", {
    now: "deferred",
    later: 1,
  }),
  "fail() with agent_error.unknown makes no next attempt": failing("agent_error.unknown", { now: "none" }),
  "fail() with a reason nobody knows makes no next attempt": failing("constructor", { now: "none" }),
  "fail() of the second attempt makes no third": {
    steps: [
      ...running("a"),
      at(1).call(fail("a", "timeout")),
      at(1).call(claim()).expect(["a#2"]),
      at(1).call(start("a#2")),
      at(2).call(fail("a#2", "timeout")).expect("failed"),
      at(2).call(status("a#3")).expect("none"),
    ],
  },
  "fail() with provider_network makes a third attempt after 5 s and no fourth": {
    steps: [
      ...running("a"),
      at(1).call(fail("a", "agent_error.provider_network")),
      at(1).call(claim()).expect(["a#2"]),
      at(1).call(start("a#2")),
      at(2).call(fail("a#2", "agent_error.provider_network")),
      at(2).call(status("a#3")).expect("deferred"),
      at(6).call(claim()).expect([]),
      at(7).call(claim()).expect(["a#3"]),
      at(7).call(start("a#3")),
      at(8).call(fail("a#3", "agent_error.provider_network")).expect("failed"),
      at(8).call(status("a#4")).expect("none"),
    ],
  },
  "fail() makes no next attempt while another task of the thread is queued": {
    steps: [
      ...running("a"),
      at(1).call(submit("b", { resume: "a" })).expect("queued"),
      at(2).call(fail("a", "timeout")).expect("failed"),
      at(2).call(status("a#2")).expect("none"),
      at(2).call(claim()).expect(["b"]),
    ],
  },
  "fail() without a reason counts as agent_error.unknown": {
    steps: [
      ...running("a"),
      at(1).call(fail("a", "")).expect("failed"),
      at(1).call(view("a", "failure_reason")).expect("agent_error.unknown"),
    ],
  },
  "fail() keeps the work of the task for its next attempt": {
    steps: [
      at(0).call(
        submit("a", {
          prompt: "p",
          priority: 3,
          model: "m",
          effort: "high",
          sandbox: true,
          permission: "read-only",
          directory: { mode: "in-place", path: "/d" },
        }),
      ),
      at(0).call(claim()),
      at(0).call(start("a")),
      at(1).call(fail("a", "timeout")),
      at(1).call(view("a#2", "prompt", "priority", "permission", "effort", "sandbox", "directory", "max_attempts"))
        .expect(["p", 3, "read-only", "high", true, { mode: "in-place", path: "/d" }, 2]),
    ],
  },
  "A deferred attempt waits until the runtime beats again": {
    steps: [
      ...running("a"),
      at(1).call(fail("a", "runtime_offline")),
      at(1).call(fallSilent()),
      at(200).call(claim()).expect([]),
      at(200).call(status("a#2")).expect("deferred"),
      at(300).call(comeBack()),
      at(300).call(claim()).expect(["a#2"]),
    ],
  },
  "A deferred attempt waits while another task has the place of its thread": {
    steps: [
      ...running("a"),
      at(1).call(fail("a", "runtime_offline")),
      at(1).call(submit("b", { resume: "a" })).expect("queued"),
      at(5).call(claim()).expect(["b"]),
      at(5).call(status("a#2")).expect("deferred"),
      at(5).call(start("b")),
      at(6).call(claim()).expect([]),
      at(6).call(status("a#2")).expect("queued"),
      at(7).call(complete("b")),
      at(7).call(claim()).expect(["a#2"]),
    ],
  },
  "recover-orphans fails what was in flight and makes its next attempts at once": {
    steps: [
      ...running("a"),
      at(1).call(submit("b")),
      at(1).call(claim()).expect(["b"]),
      at(1).call(submit("c")),
      at(2).call(recover()).expect({ orphaned: 2, retried: 2 }),
      at(2).call(view("a", "failure_reason", "error"))
        .expect(["runtime_recovery", "daemon restarted while task was in flight"]),
      at(2).call(status("c")).expect("queued"),
      at(3).call(recover()).expect({ orphaned: 0, retried: 0 }),
      at(3).call(claim()).expect(["c"]),
      at(3).call(claim()).expect(["a#2"]),
      at(3).call(claim()).expect(["b#2"]),
      at(4).call(recover()).expect({ orphaned: 3, retried: 1 }),
    ],
  },
  "recover-orphans leaves the tasks of other runtimes alone": {
    providers: ["claude", "codex"],
    steps: [
      ...running("a"),
      at(1).call(recover("codex")).expect({ orphaned: 0, retried: 0 }),
      at(1).call(status("a")).expect("running"),
    ],
  },
};

/** `a` runs in session s1 and ends by `end`; what a follow-up in its thread is offered. */
function resumed(end: (alias: string) => Step["action"], offer: readonly (string | null)[]): Timeline {
  return {
    steps: [
      ...running("a"),
      at(1).call(pin("a", { session_id: "s1", work_dir: "/w" })).expect(204),
      at(2).call(end("a")),
      at(3).call(submit("b", { resume: "a" })),
      at(3).call(claim()).expect(["b"]),
      at(3).call(offered("b")).expect(offer),
    ],
  };
}
const S1 = { session_id: "s1", work_dir: "/w" };

const RESUME: Record<string, Timeline> = {
  "A follow-up continues the session and directory of a completed task": resumed((a) => complete(a, S1), ["s1", "/w"]),
  "A follow-up continues what a failed task had pinned": resumed((a) => fail(a, "agent_error.unknown"), ["s1", "/w"]),
  "A follow-up continues what a cancelled task had pinned": resumed(cancel, ["s1", "/w"]),
  "complete() without a session clears the one that was pinned": resumed((a) => complete(a), [null, null]),
  "complete() with session_rollout_missing clears the session": resumed(
    (a) => complete(a, { ...S1, session_rollout_missing: true }),
    [null, null],
  ),
  "fail() with session_rollout_missing clears the session": resumed(
    (a) => fail(a, "agent_error.unknown", { session_rollout_missing: true }),
    [null, null],
  ),
  "fail() replaces the session that was pinned by a new one": resumed(
    (a) => fail(a, "agent_error.unknown", { session_id: "s2" }),
    ["s2", "/w"],
  ),
  "A session is not offered again after a failure that would repeat": resumed(
    (a) => fail(a, "agent_error.context_overflow"),
    [null, null],
  ),
  "A session that was retired is not offered again": resumed(
    (a) => complete(a, { ...S1, retired_session_id: "s1" }),
    [null, null],
  ),
  "A task of a new thread is offered nothing": {
    steps: [
      ...running("a"),
      at(1).call(complete("a", S1)),
      at(2).call(submit("b")),
      at(2).call(claim()),
      at(2).call(offered("b")).expect([null, null]),
    ],
  },
  "Another agent of the thread is not offered the session": {
    providers: ["claude", "codex"],
    steps: [
      ...running("a"),
      at(1).call(complete("a", S1)),
      at(2).call(submit("b", { resume: "a", agent: "codex" })),
      at(2).call(claim(1, ["codex"])).expect(["b"]),
      at(2).call(offered("b")).expect([null, null]),
    ],
  },
  "The newest safe session of a thread wins": {
    steps: [
      ...running("a"),
      at(1).call(complete("a", { session_id: "s1", work_dir: "/w1" })),
      at(2).call(submit("b", { resume: "a" })),
      at(2).call(claim()),
      at(2).call(start("b")),
      at(3).call(complete("b", { session_id: "s2", work_dir: "/w2" })),
      at(4).call(submit("c", { resume: "a" })),
      at(4).call(claim()),
      at(4).call(offered("c")).expect(["s2", "/w2"]),
      at(4).call(start("c")),
      at(5).call(fail("c", "iteration_limit", { session_id: "s2" })),
      at(6).call(submit("d", { resume: "c" })),
      at(6).call(claim()),
      at(6).call(offered("d")).expect(["s1", "/w1"]),
    ],
  },
  "The next attempt continues the session of the one that failed": {
    steps: [
      ...running("a"),
      at(1).call(pin("a", S1)),
      at(2).call(fail("a", "timeout")),
      at(2).call(claim()).expect(["a#2"]),
      at(2).call(offered("a#2")).expect(["s1", "/w"]),
      at(2).call(view("a#2", "session_id", "work_dir")).expect(["s1", "/w"]),
    ],
  },
  "The next attempt after codex_semantic_inactivity starts afresh": {
    steps: [
      ...running("a"),
      at(1).call(complete("a", S1)),
      at(2).call(submit("b", { resume: "a" })),
      at(2).call(claim()),
      at(2).call(start("b")),
      at(3).call(fail("b", "codex_semantic_inactivity", { session_id: "s2" })),
      at(3).call(claim()).expect(["b#2"]),
      at(3).call(offered("b#2")).expect([null, null]),
    ],
  },
  "The next attempt goes on in the directory even where no session was known yet": {
    steps: [
      ...running("a"),
      at(1).call(pin("a", { work_dir: "/w" })),
      at(2).call(recover()),
      at(2).call(claim()).expect(["a#2"]),
      at(2).call(offered("a#2")).expect([null, "/w"]),
    ],
  },
  "The next attempt does not inherit a session that was retired": {
    steps: [
      ...running("a"),
      at(1).call(fail("a", "timeout", { session_id: "s1", retired_session_id: "s1" })),
      at(1).call(view("a#2", "session_id")).expect(null),
    ],
  },
  "session() writes while the task is claimed or running, and into the empty slot of a cancelled one": {
    steps: [
      at(0).call(submit("a")),
      at(0).call(pin("a", { session_id: "too early" })).expect(204),
      at(0).call(view("a", "session_id")).expect(null),
      at(0).call(claim()),
      at(1).call(pin("a", { session_id: "s1" })).expect(204),
      at(1).call(pin("a", { work_dir: "/w" })).expect(204),
      at(1).call(view("a", "session_id", "work_dir")).expect(["s1", "/w"]),
      at(2).call(cancel("a")),
      at(2).call(pin("a", { session_id: "s2" })).expect(204),
      at(2).call(view("a", "session_id")).expect("s1"),
      at(3).call(submit("b")),
      at(3).call(claim()),
      at(3).call(cancel("b")),
      at(3).call(pin("b", { session_id: "s3" })).expect(204),
      at(3).call(view("b", "session_id")).expect("s3"),
      at(4).call(pin("b", {})).expect(400),
    ],
  },
};

const SWEEPS: Record<string, Timeline> = {
  "sweep() marks a runtime offline after 150 s of silence": {
    steps: [
      at(0).call(fallSilent()),
      at(150).call(sweep()),
      at(150).call(runtimeState()).expect("online"),
      at(151).call(sweep()),
      at(151).call(runtimeState()).expect("offline"),
      at(160).call(comeBack()),
      at(160).call(runtimeState()).expect("online"),
    ],
  },
  "sweep() fails the tasks of a runtime that has been silent for 3 hours, and they are tried again when it is back": {
    steps: [
      ...running("a"),
      at(0).call(fallSilent()),
      at(3 * HOUR).call(sweep()),
      at(3 * HOUR).call(status("a")).expect("running"),
      at(3 * HOUR + 1).call(sweep()),
      at(3 * HOUR + 1).call(view("a", "status", "failure_reason")).expect(["failed", "runtime_offline"]),
      at(3 * HOUR + 1).call(status("a#2")).expect("deferred"),
      at(3 * HOUR + 60).call(comeBack()),
      at(3 * HOUR + 60).call(claim()).expect(["a#2"]),
    ],
  },
  "sweep() fails the tasks of a deregistered runtime only after the same 3 hours": {
    steps: [
      ...running("a"),
      at(0).call(fallSilent()),
      at(1).call(deregister()),
      at(60).call(sweep()),
      at(60).call(status("a")).expect("running"),
    ],
  },
  "sweep() never fails a running task whose daemon beats": {
    steps: [...running("a"), at(4 * HOUR).call(sweep()), at(4 * HOUR).call(status("a")).expect("running")],
  },
  "sweep() fails a claim that was not started for 300 s, and it is tried again": {
    steps: [
      at(0).call(submit("a")),
      at(0).call(claim()),
      at(300).call(sweep()),
      at(300).call(status("a")).expect("dispatched"),
      at(301).call(sweep()),
      at(301).call(view("a", "status", "failure_reason")).expect(["failed", "timeout"]),
      at(301).call(claim()).expect(["a#2"]),
    ],
  },
  "sweep() spares a claim whose lease is renewed": {
    steps: [
      at(0).call(submit("a")),
      at(0).call(claim()),
      at(290).call(lease("a")),
      at(335).call(sweep()),
      at(335).call(status("a")).expect("dispatched"),
      at(336).call(sweep()),
      at(336).call(status("a")).expect("failed"),
    ],
  },
  "sweep() spares a claim of a runtime that is silent within the grace": {
    steps: [
      at(0).call(submit("a")),
      at(0).call(claim()),
      at(0).call(fallSilent()),
      at(HOUR).call(sweep()),
      at(HOUR).call(status("a")).expect("dispatched"),
    ],
  },
  "sweep() fails a task that nobody could have claimed for 2 hours": {
    steps: [
      at(0).call(submit("a")),
      at(0).call(fallSilent()),
      at(2 * HOUR).call(sweep()),
      at(2 * HOUR).call(status("a")).expect("queued"),
      at(2 * HOUR + 1).call(sweep()),
      at(2 * HOUR + 1).call(view("a", "status", "failure_reason")).expect(["failed", "queued_expired"]),
      at(2 * HOUR + 1).call(status("a#2")).expect("none"),
    ],
  },
  "sweep() lets a task wait for as long as its daemon is there, which may have reasons to claim nothing": {
    steps: [
      at(0).call(submit("a")),
      at(20 * HOUR).call(sweep()),
      at(20 * HOUR).call(status("a")).expect("queued"),
      // The two hours begin with its silence.
      at(20 * HOUR).call(fallSilent()),
      at(22 * HOUR - 1).call(sweep()),
      at(22 * HOUR - 1).call(status("a")).expect("queued"),
      at(22 * HOUR + 1).call(sweep()),
      at(22 * HOUR + 1).call(view("a", "status", "failure_reason")).expect(["failed", "queued_expired"]),
    ],
  },
  "sweep() lets a next attempt after runtime_offline wait for longer than 2 hours": {
    steps: [
      ...running("a"),
      at(1).call(fail("a", "runtime_offline")),
      at(10).call(submit("b", { resume: "a", priority: 4 })),
      at(10).call(claim()).expect(["b"]),
      at(10).call(start("b")),
      at(11).call(claim()).expect([]),
      at(11).call(status("a#2")).expect("queued"),
      at(3 * HOUR).call(sweep()),
      at(3 * HOUR).call(status("a#2")).expect("queued"),
    ],
  },
  "sweep() gives up a deferred attempt whose runtime did not come back for 3 hours": {
    steps: [
      ...running("a"),
      at(1).call(fail("a", "runtime_offline")),
      at(1).call(fallSilent()),
      at(3 * HOUR + 1).call(sweep()),
      at(3 * HOUR + 1).call(status("a#2")).expect("deferred"),
      at(3 * HOUR + 2).call(sweep()),
      at(3 * HOUR + 2).call(view("a#2", "status", "failure_reason")).expect(["failed", "runtime_reconnect_timeout"]),
    ],
  },
  "sweep() keeps a deferred attempt after a network failure, as it waits for no daemon": {
    steps: [
      ...running("a"),
      at(1).call(fail("a", "agent_error.provider_network")),
      at(1).call(claim()).expect(["a#2"]),
      at(1).call(start("a#2")),
      at(2).call(fail("a#2", "agent_error.provider_network")),
      at(2).call(fallSilent()),
      at(4 * HOUR).call(sweep()),
      at(4 * HOUR).call(status("a#3")).expect("deferred"),
    ],
  },
  "sweep() keeps a deferred attempt of a runtime that beats": {
    steps: [
      ...running("a"),
      at(1).call(fail("a", "runtime_offline")),
      at(4 * HOUR).call(sweep()),
      at(4 * HOUR).call(status("a#2")).expect("deferred"),
    ],
  },
  "sweep() forgets a runtime that has been offline for a week and has no task": {
    steps: [
      at(0).call(submit("a")),
      at(0).call(cancel("a")),
      at(0).call(fallSilent()),
      at(7 * DAY + 1).call(sweep()),
      at(7 * DAY + 1).call(runtimeState()).expect("offline"),
      at(7 * DAY + 1).call(purge()).expect(1),
      at(7 * DAY + 1).call(sweep()),
      at(7 * DAY + 1).call(runtimeState()).expect("forgotten"),
      at(7 * DAY + 1).call(claimOne()).expect("runtime not found"),
    ],
  },
};

const CANCELLATION: Record<string, Timeline> = {
  "cancel() shows in the status at once, and what the daemon reports later changes nothing": {
    steps: [
      ...running("a"),
      at(1).call(cancel("a")).expect("cancelled"),
      at(1).call(status("a")).expect("cancelled"),
      at(2).call(complete("a")).expect("cancelled"),
      at(2).call(fail("a", "timeout")).expect("cancelled"),
      at(2).call(status("a#2")).expect("none"),
      at(3).call(cancel("a")).expect("cancelled"),
      at(3).call(view("a", "output", "error")).expect([null, null]),
    ],
  },
  "cancel() of a queued task means that nobody claims it": {
    steps: [
      at(0).call(submit("a")),
      at(1).call(cancel("a")).expect("cancelled"),
      at(2).call(claim()).expect([]),
      at(2).call(start("a")).expect(400),
    ],
  },
  "cancel-ack fills what is empty, once": {
    steps: [
      ...running("a"),
      at(0).call(ack("a", { error_message: "too early" })).expect(200),
      at(1).call(cancel("a")),
      at(2).call(ack("a", { error_message: "stopped", failure_reason: "cancelled", branch_name: "b1" })).expect(200),
      at(3).call(ack("a", { error_message: "again", branch_name: "b2", durable_work_dir: "/d" })).expect(200),
      at(3).call(view("a", "status", "error", "failure_reason", "branch_name", "work_dir"))
        .expect(["cancelled", "stopped", "cancelled", "b1", "/d"]),
    ],
  },
  "cancel-ack tolerates a body that cannot be read": {
    steps: [...running("a"), at(1).call(cancel("a")), at(2).call(ack("a", "no json")).expect(200)],
  },
};

const IDEMPOTENCY: Record<string, Timeline> = {
  "start() a second time is refused and changes nothing": {
    steps: [
      ...running("a"),
      at(1).call(start("a")).expect(400),
      at(1).call(status("a")).expect("running"),
    ],
  },
  "complete() a second time is answered with the task as it was": {
    steps: [
      ...running("a"),
      at(1).call(complete("a", { output: "first" })).expect("completed"),
      at(2).call(complete("a", { output: "second" })).expect("completed"),
      at(2).call(fail("a", "timeout")).expect("completed"),
      at(2).call(view("a", "output", "error")).expect(["first", null]),
    ],
  },
  "complete() without start leaves the task claimed": {
    steps: [
      at(0).call(submit("a")),
      at(0).call(claim()),
      at(1).call(complete("a")).expect("dispatched"),
      at(1).call(view("a", "output")).expect(null),
    ],
  },
  "fail() a second time makes no second next attempt": {
    steps: [
      ...running("a"),
      at(1).call(fail("a", "timeout")).expect("failed"),
      at(1).call(fail("a", "timeout")).expect("failed"),
      at(1).call(claim()).expect(["a#2"]),
      at(1).call(claim()).expect([]),
    ],
  },
  "wait-local-directory keeps the reason and hides one that is a path": {
    steps: [
      at(0).call(submit("a")),
      at(0).call(claim()),
      at(1).call(wait("a", "my-dir (held by task 12ab34cd)")).expect("waiting_local_directory"),
      at(1).call(view("a", "progress")).expect("my-dir (held by task 12ab34cd)"),
      at(2).call(start("a")),
      at(2).call(view("a", "progress")).expect(null),
      at(3).call(submit("b")),
      at(3).call(claim()),
      at(3).call(wait("b", "local_directory /home/me/secret")),
      at(3).call(view("b", "progress")).expect(null),
    ],
  },
  "prepare-lease of a task of another runtime is refused": {
    providers: ["claude", "codex"],
    steps: [at(0).call(submit("a")), at(0).call(claim()), at(0).call(lease("a", "codex")).expect(404)],
  },
};

const TABLES = [CLAIMS, SLOT, REDELIVERY, RETRIES, RESUME, SWEEPS, CANCELLATION, IDEMPOTENCY];
/** The same statements, and a database of its own for each: over PostgreSQL the suite plays some of every table, the soak all. */
const EVERY = storeKind() === "sqlite" || isLong() ? 1 : 3;
for (const table of TABLES) {
  for (const [i, [name, { steps, providers }]] of Object.entries(table).entries()) {
    if (i % EVERY === 0) Deno.test(name, () => play(steps, providers));
  }
}
