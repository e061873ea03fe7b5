/** The version handshake as a truth table, and the decisions of the life cycle over every observation there can be. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { BUILD } from "../../lib/core/build_info.ts";
import {
  compareBuilds,
  COMPATIBLE_PROTOCOLS,
  decide,
  type Decision,
  type HomeState,
  type Observation,
  type SeenControl,
  type SeenRecord,
  stateOf,
  type Verb,
} from "../../lib/core/handshake.ts";
import { CONTROL_PROTOCOL } from "../../lib/wire/control.ts";
import { randomFrom, seedOfRun } from "./seed.ts";

function judge(cli: string, daemon: string, protocols: { cli?: number; daemon?: number } = {}): string {
  const result = compareBuilds(
    { version: cli, protocol: protocols.cli ?? 1 },
    { version: daemon, protocol: protocols.daemon ?? 1 },
  );
  return `${result.kind}: ${result.why}`;
}

Deno.test("compareBuilds() decides by the truth table of releases, pre-releases and dev builds", () => {
  const rows: [cli: string, daemon: string, expected: string][] = [
    ["0.1.0", "0.1.0", "use: equal"],
    ["v0.1.0", "0.1.0", "use: equal"],
    ["0.1.0-rc.1", "0.1.0-rc.1", "use: equal"],
    ["0.2.0", "0.1.9", "replace: daemon-older"],
    ["0.1.10", "0.1.9", "replace: daemon-older"],
    ["0.1.0", "0.1.0-rc.1", "replace: daemon-older"],
    ["0.1.0-rc.2", "0.1.0-rc.1", "replace: daemon-older"],
    ["0.1.0", "0.2.0", "use: cli-older-compatible"],
    ["0.1.0-rc.1", "0.1.0", "use: cli-older-compatible"],
    // Both dev: the whole text decides, and whoever calls wins.
    ["0.1.0-dev", "0.1.0-dev", "use: equal"],
    ["0.1.0-dev+abc123", "0.1.0-dev+abc123", "use: equal"],
    ["0.1.0-dev+abc123", "0.1.0-dev+def456", "replace: dev-differs"],
    ["0.1.0-dev+abc123.dirty", "0.1.0-dev+abc123", "replace: dev-differs"],
    ["0.1.0-dev", "0.1.0-dev+abc123", "replace: dev-differs"],
    ["0.1.0-dev+abc123", "0.9.0-dev+abc123", "replace: dev-differs"],
    ["0.1.0-5-gabc1234", "0.1.0-6-gdef5678", "replace: dev-differs"],
    ["0.1.0+abc123", "0.1.0+def456", "replace: dev-differs"],
    ["0.1.0-dirty", "0.1.0-5-gabc1234", "replace: dev-differs"],
    // Exactly one dev: only the three numbers count.
    ["0.1.0-dev+abc123", "0.1.0", "use: same-base"],
    ["0.1.0", "0.1.0-dev+abc123.dirty", "use: same-base"],
    ["0.1.0-rc.1", "0.1.0-dev+abc123", "use: same-base"],
    ["0.1.0-dev", "0.1.0-rc.1", "use: same-base"],
    ["0.2.0-dev+abc123", "0.1.0", "replace: daemon-older"],
    ["0.2.0", "0.1.0-dev+abc123", "replace: daemon-older"],
    ["0.1.0-dev+abc123", "0.2.0", "use: cli-older-compatible"],
    ["0.1.0", "0.2.0-dev+abc123", "use: cli-older-compatible"],
    // A name that only looks like a dev build's is a pre-release like any other.
    ["0.1.0-devel.2", "0.1.0-devel.1", "replace: daemon-older"],
    ["0.1.0-1-gamma", "0.1.0-2-gamma", "use: cli-older-compatible"],
  ];
  for (const [cli, daemon, expected] of rows) assertEquals(judge(cli, daemon), expected, `${cli} calls ${daemon}`);
});

Deno.test("compareBuilds() never replaces a daemon when one of the versions cannot be read", () => {
  for (const text of ["", "unknown", "1.2", "drover 1.2.3", "1.2.3 ", "1.2.3.4", "1.2.3-", "-1.2.3", "1.2.3+"]) {
    assertEquals(judge("9.9.9", text), "refuse: unknown-version", `the daemon says "${text}"`);
    assertEquals(judge(text, "0.0.1"), "refuse: unknown-version", `the command says "${text}"`);
    assertEquals(judge(text, text), "refuse: unknown-version", `both say "${text}"`);
  }
});

Deno.test("compareBuilds() names an older command as too old when it does not speak the daemon's protocol", () => {
  assertEquals(judge("0.1.0", "0.2.0", { daemon: COMPATIBLE_PROTOCOLS.max + 1 }), "refuse: cli-too-old");
  assertEquals(judge("0.1.0", "0.2.0", { cli: 7, daemon: 7 }), "use: cli-older-compatible");
});

Deno.test("compareBuilds() uses any protocol of the range, and none beside it", () => {
  const use = (protocol: number) =>
    compareBuilds({ version: "0.1.0", protocol: 4 }, { version: "0.2.0", protocol }, { protocols: { min: 2, max: 4 } })
      .kind;
  assertEquals([1, 2, 3, 4, 5, NaN].map(use), ["refuse", "use", "use", "use", "refuse", "refuse"]);
});

Deno.test("compareBuilds() does not take builds of one version for the same when they do not speak to each other", () => {
  assertEquals(judge("0.1.0", "0.1.0", { daemon: 2 }), "refuse: protocol-differs");
  assertEquals(judge("0.1.0-dev", "0.1.0", { daemon: 2 }), "refuse: protocol-differs");
});

Deno.test("compareBuilds() replaces an older daemon and another dev build whatever protocol they speak", () => {
  assertEquals(judge("0.2.0", "0.1.0", { cli: 9, daemon: 1 }), "replace: daemon-older");
  assertEquals(judge("0.2.0-dev+a", "0.2.0-dev+b", { cli: 1, daemon: 9 }), "replace: dev-differs");
});

Deno.test("COMPATIBLE_PROTOCOLS holds the protocol that this program serves, and its own version can be read", () => {
  assert(CONTROL_PROTOCOL >= COMPATIBLE_PROTOCOLS.min && CONTROL_PROTOCOL <= COMPATIBLE_PROTOCOLS.max);
  assertEquals(judge(BUILD.version, BUILD.version), "use: equal");
});

Deno.test("compareBuilds() lets clients in any order replace the daemon only upwards, dev builds among each other aside", () => {
  const seed = seedOfRun();
  const random = randomFrom(seed);
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)]!;
  let replaced = 0;
  for (let history = 0; history < 500; history++) {
    // At most one dev build, so that nothing in the crowd is without an order.
    const number = () => Math.floor(random() * 3);
    const release = () => `0.${number()}.${number()}${pick(["", "", "-rc.1", "-rc.2"])}`;
    const crowd = [`0.${number()}.${number()}-dev+abc123`, release(), release(), release(), release()];
    let daemon = pick(crowd);
    const served = new Set([daemon]);
    for (let call = 0; call < 40; call++) {
      const cli = pick(crowd);
      if (!judge(cli, daemon).startsWith("replace")) continue;
      assert(!served.has(cli), `seed ${seed}, history ${history}: ${cli} came back, after ${[...served].join(", ")}`);
      served.add(cli);
      daemon = cli;
      replaced++;
    }
  }
  assert(replaced > 100, `seed ${seed}: only ${replaced} restarts`);
});

const PID = 4242;
const PHASES = ["starting", "running", "reload-pending", "draining", "stopped"] as const;

const RECORDS: Record<string, SeenRecord> = {
  none: { kind: "none" },
  corrupt: { kind: "corrupt" },
  live: { kind: "live", mode: "daemon", pid: PID },
  "live-run": { kind: "live", mode: "run", pid: PID },
  stale: { kind: "stale", mode: "daemon", pid: PID },
  "stale-run": { kind: "stale", mode: "run", pid: PID },
};

const CONTROLS: Record<string, SeenControl> = {
  absent: { kind: "absent" },
  silent: { kind: "silent" },
  ...Object.fromEntries(
    PHASES.flatMap((phase) => [
      [`own-${phase}`, { kind: "answers", phase, instance: "matches" }],
      [`other-${phase}`, { kind: "answers", phase, instance: "differs" }],
    ]),
  ),
};

interface Case {
  readonly name: string;
  readonly observation: Observation;
}

const CASES: readonly Case[] = (["free", "held"] as const).flatMap((lock) =>
  Object.entries(RECORDS).flatMap(([recordName, record]) =>
    Object.entries(CONTROLS).map(([controlName, control]) => ({
      name: `${lock} ${recordName} ${controlName}`,
      observation: { lock, record, control },
    }))
  )
);

function brief(decision: Decision): string {
  switch (decision.kind) {
    case "reuse":
    case "start":
      return decision.kind;
    case "clean":
      return `clean ${decision.what}`;
    case "stop-first":
      return `stop by ${decision.by}`;
    default:
      return `${decision.kind} ${decision.why}`;
  }
}

/** What an unrecorded answer is: nobody's record names it, or the record that it would match is not readable. */
const UNRECORDED = "(?:(?:none|corrupt) (?:own|other)|(?:live|stale)(?:-run)? other)";
const ANY_UP = "(?:running|reload-pending)";
const EXISTS = "(?:running|reload-pending|draining)";

/** Every observation falls under exactly one row. `stop` is also what `restart` does, unless a fifth column says else. */
const TABLE: readonly [pattern: string, HomeState, start: string, stop: string, restart?: string][] = [
  ["free none (?:absent|silent)", "stopped", "start", "nothing not-running", "start"],
  ["free corrupt (?:absent|silent)", "crashed", "clean corrupt-record", "clean corrupt-record"],
  ["free stale(?:-run)? (?:absent|silent)", "crashed", "clean stale-record", "clean stale-record"],
  ["free live (?:absent|silent)", "stopping", "wait stopping", "stop by signal"],
  ["free live-run (?:absent|silent)", "stopping", "wait stopping", "refuse run-holds-home"],
  ["held (?:none|corrupt|stale|stale-run) absent", "starting", "wait starting", "wait starting"],
  ["held (?:none|corrupt|stale|stale-run) silent", "unmanaged", "refuse unidentified", "refuse unidentified"],
  ["held live (?:absent|silent)", "degraded", "wait unresponsive", "stop by signal"],
  ["held live-run (?:absent|silent)", "degraded", "wait unresponsive", "refuse run-holds-home"],
  [`(?:free|held) ${UNRECORDED}-starting`, "starting", "wait starting", "wait starting"],
  [`(?:free|held) ${UNRECORDED}-stopped`, "stopping", "wait stopping", "wait stopping"],
  [`(?:free|held) ${UNRECORDED}-${EXISTS}`, "unmanaged", "refuse unmanaged", "refuse unmanaged"],
  ["(?:free|held) live own-starting", "starting", "wait starting", "stop by asking-then-signal"],
  ["(?:free|held) stale own-starting", "starting", "wait starting", "stop by asking"],
  ["(?:free|held) (?:live|stale)-run own-starting", "starting", "wait starting", "refuse run-holds-home"],
  ["(?:free|held) live own-stopped", "stopping", "wait stopping", "stop by asking-then-signal"],
  ["(?:free|held) stale own-stopped", "stopping", "wait stopping", "stop by asking"],
  ["(?:free|held) (?:live|stale)-run own-stopped", "stopping", "wait stopping", "refuse run-holds-home"],
  [`held live own-${ANY_UP}`, "running", "reuse", "stop by asking-then-signal"],
  [`held stale own-${ANY_UP}`, "running", "reuse", "stop by asking"],
  [`held (?:live|stale)-run own-${ANY_UP}`, "running", "wait run-holds-home", "refuse run-holds-home"],
  ["held live own-draining", "draining", "wait draining", "stop by asking-then-signal"],
  ["held stale own-draining", "draining", "wait draining", "stop by asking"],
  ["held (?:live|stale)-run own-draining", "draining", "wait draining", "refuse run-holds-home"],
  [`free live own-${EXISTS}`, "degraded", "refuse lock-lost", "stop by asking-then-signal"],
  [`free stale own-${EXISTS}`, "degraded", "refuse lock-lost", "stop by asking"],
  [`free (?:live|stale)-run own-${EXISTS}`, "degraded", "refuse lock-lost", "refuse run-holds-home"],
];

Deno.test("decide() and stateOf() give each of all observations what its one row of the table says", () => {
  assertEquals(CASES.length, 144);
  const used = new Set<string>();
  for (const { name, observation } of CASES) {
    const rows = TABLE.filter(([pattern]) => new RegExp(`^${pattern}$`).test(name));
    assertEquals(rows.length, 1, `${name}: ${rows.map(([pattern]) => pattern).join(" and ")}`);
    const [pattern, state, start, stop, restart = stop] = rows[0]!;
    used.add(pattern);
    assertEquals(
      [
        stateOf(observation),
        ...(["start", "stop", "restart", "status"] as const).map((verb) => brief(decide(verb, observation))),
      ],
      [state, start, stop, restart, "nothing only-looking"],
      name,
    );
  }
  assertEquals(used.size, TABLE.length);
});

Deno.test("stateOf() shows every state for some observation", () => {
  assertEquals([...new Set(CASES.map(({ observation }) => stateOf(observation)))].sort(), [
    "crashed",
    "degraded",
    "draining",
    "running",
    "starting",
    "stopped",
    "stopping",
    "unmanaged",
  ]);
});

Deno.test("decide() ends a drover run only when it is to end at once", () => {
  for (const { name, observation } of CASES) {
    const mode = "mode" in observation.record ? observation.record.mode : undefined;
    for (const verb of ["stop", "restart"] as const) {
      const drain = decide(verb, observation);
      const now = decide(verb, observation, { mode: "now" });
      if (mode !== "run") assertEquals(now, drain, name);
      else assertNotEquals(drain.kind, "stop-first", name);
      if (drain.kind === "refuse" && drain.why === "run-holds-home") assertEquals(now.kind, "stop-first", name);
      else assertEquals(now, drain, name);
    }
  }
});

Deno.test("decide() signals no process but that of a live record, and asks nobody who is not the recorded one", () => {
  let signals = 0;
  for (const { name, observation } of CASES) {
    for (const verb of ["start", "stop", "restart", "status"] as const) {
      for (const mode of ["drain", "now"] as const) {
        const decision = decide(verb, observation, { mode });
        if (decision.kind !== "stop-first") continue;
        assert(verb === "stop" || verb === "restart", `${name}: ${verb} ends something`);
        const { record, control } = observation;
        if (decision.by !== "signal") assert(control.kind === "answers" && control.instance === "matches", name);
        if (decision.by === "asking") continue;
        signals++;
        assertEquals(record.kind, "live", name);
        assertEquals(decision.pid, PID, name);
      }
    }
  }
  assert(signals > 0);
});

Deno.test("decide() starts a daemon and removes a record only while the lock is free and nobody is there", () => {
  for (const { name, observation } of CASES) {
    for (const verb of ["start", "stop", "restart", "status"] as const satisfies readonly Verb[]) {
      const { kind } = decide(verb, observation);
      if (kind !== "start" && kind !== "clean") continue;
      assertEquals(observation.lock, "free", `${verb}: ${name}`);
      assertNotEquals(observation.record.kind, "live", `${verb}: ${name}`);
      assertNotEquals(observation.control.kind, "answers", `${verb}: ${name}`);
      assert(kind === "clean" || verb === "start" || verb === "restart", `${verb} starts: ${name}`);
    }
  }
});

Deno.test("decide() reaches an end from each observation once what it asks for has happened", () => {
  const empty: Observation = { lock: "free", record: { kind: "none" }, control: { kind: "absent" } };
  const up: Observation = { lock: "held", record: RECORDS.live!, control: CONTROLS["own-running"]! };
  for (const { name, observation } of CASES) {
    for (const verb of ["start", "stop"] as const) {
      let seen = observation;
      let decision = decide(verb, seen, { mode: "now" });
      for (let round = 0; round < 4; round++) {
        if (decision.kind === "start") seen = up;
        // What is waited for, ended or cleaned is gone afterwards.
        else if (decision.kind === "wait" || decision.kind === "stop-first" || decision.kind === "clean") seen = empty;
        decision = decide(verb, seen, { mode: "now" });
      }
      const ends = verb === "start" ? ["reuse", "refuse"] : ["nothing", "refuse"];
      assert(ends.includes(decision.kind), `${verb}: ${name} ends as ${brief(decision)}`);
    }
  }
});
