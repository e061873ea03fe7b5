/** `drover daemon --supervised`: the daemon as systemd and launchd want it, with the exit codes that tell them what to do next. */
import type { Holder } from "../../app/daemon_host.ts";
import { admitSupervised, feedWatchdog, logStandDown, noteSupervised } from "../../app/service_run.ts";
import { DroverError } from "../../core/drover_error.ts";
import type { Home } from "../../core/home.ts";
import type { Host } from "../../core/ports.ts";
import { type ServiceKind, SUPERVISED_DRAIN_S, supervisedExit } from "../../core/service_unit_spec.ts";
import { type Admission, admit } from "../../core/supervised.ts";
import type { CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import type { Serving } from "./daemon_serve.ts";

const KINDS: readonly ServiceKind[] = ["systemd", "launchd"];

/** Throws `usage`. */
export function supervisedBy({ args }: CommandContext): ServiceKind | undefined {
  const given = args.values.supervised;
  const kind = KINDS.find((one) => one === given);
  if (given === undefined || kind) return kind;
  throw new DroverError("usage", `Cannot be supervised by ${JSON.stringify(given)}: it must be ${KINDS.join(" or ")}`, {
    hint: "drover service install writes the service that uses this option",
  });
}

type Serve = (serving: Serving) => Promise<number>;

/** No process of its own is ever started here: the manager is the one that starts, and starts again. */
export async function runSupervised(context: CommandContext, kind: ServiceKind, serve: Serve): Promise<number> {
  const { host, output } = context;
  const home = context.home();
  let said = "";
  for (;;) {
    const answer = await attempt(context, kind, serve);
    if (typeof answer === "number") return answer;
    if (answer.kind === "stand-down") return await standDown(context, kind, answer);
    if (answer.why !== said) output.note(`drover: waiting: ${answer.why} (home ${home.root})`);
    said = answer.why;
    host.notices.send(`STATUS=Waiting: ${answer.why}\nEXTEND_TIMEOUT_USEC=${(answer.ms + EXTRA_START_MS) * 1000}`);
    await host.clock.sleep(answer.ms);
  }
}

/** What a start may take after a wait, as the manager's own deadline runs all the time. */
const EXTRA_START_MS = 90_000;

async function attempt(
  context: CommandContext,
  kind: ServiceKind,
  serve: Serve,
): Promise<number | Exclude<Admission, { kind: "start" }>> {
  const { host, output } = context;
  const home = context.home();
  try {
    const answer = await admitSupervised(host, home, kind);
    if (answer.kind !== "start") return answer;
    return await serve(supervisedServing(host, home, kind));
  } catch (error) {
    if (!(error instanceof DroverError)) throw error;
    // Somebody was faster between the look and the lock: the next look tells who.
    if (error.code === "already_running") {
      return admit({ stopped: undefined, holder: { kind: "unknown" } }) as Exclude<Admission, { kind: "start" }>;
    }
    const code = supervisedExit(kind, "config");
    // Where every code but 0 means another try, what no try will mend has to end with 0.
    if (code === 0 && (error.code === "config_invalid" || error.code === "home_unusable")) {
      output.note(`drover: ${error.message}`);
      output.result({ status: "stoodDown", why: error.message });
      return code;
    }
    throw error;
  }
}

function supervisedServing(host: Host, home: Home, kind: ServiceKind): Serving {
  const counts = kind === "launchd";
  return {
    supervisor: kind,
    drainMs: SUPERVISED_DRAIN_S * 1000,
    codes: { exit: EXIT_CODES.ok.code, restart: supervisedExit(kind, "restart") },
    onReady(holder: Holder) {
      host.notices.send("READY=1\nSTATUS=Running");
      const watchdog = feedWatchdog(host, () => holder.daemon.stalledMs());
      // Not while it drains, which can be taken back: the manager's deadline would go on.
      void holder.daemon.ended.then(() => host.notices.send("STOPPING=1"));
      void holder.closed.then(() => watchdog[Symbol.dispose]());
      if (counts) void noteSupervised(host, home, "ready").catch(() => {});
    },
    async onWanted() {
      if (counts) await noteSupervised(host, home, "stopped");
    },
  };
}

async function standDown(
  { host, output, home }: CommandContext,
  kind: ServiceKind,
  { why, hint }: Extract<Admission, { kind: "stand-down" }>,
): Promise<number> {
  await logStandDown(host, home(), why).catch(() => {});
  host.notices.send(`STATUS=Stood down: ${why}`);
  output.note(`drover: standing down: ${why}`);
  output.note(`  ${hint}`);
  output.result({ status: "stoodDown", why });
  return supervisedExit(kind, "stoodDown");
}
