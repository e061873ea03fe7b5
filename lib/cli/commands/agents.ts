/** `drover agents`: the agent CLIs found on this machine, which of them get no tasks for now, and taking a pause back. */
import { openLoginPath } from "../../app/login_path.ts";
import { readSettings } from "../../app/settings.ts";
import { dayLimitsOf } from "../../core/claim_settings.ts";
import type { ServerWish } from "../../app/server_api.ts";
import type { Runtime } from "../../core/model.ts";
import { pauseText, type PauseView } from "../../core/runtime_pause.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { paint, plain, table } from "../output.ts";
import { openServer, SERVER_OPTIONS, serverWish } from "../server_option.ts";

export const agents: Command = {
  name: "agents",
  options: [
    { name: "all", summary: "also every other one drover knows, and why it was skipped" },
    ...SERVER_OPTIONS,
  ],
  details: `
An agent that needs a login, or whose quota is spent, gets no tasks until that is over; they wait in the queue.
drover agents resume AGENT tries it at once. The settings limits.tasks_per_day, tokens_per_day and usd_per_day
limit what an agent begins on one day.

With --server these are the agents of all machines that work for a team server.`,
  run: show,
};

async function showServer(context: CommandContext, wish: ServerWish): Promise<number> {
  const { output } = context;
  using session = await openServer(context, wish);
  const agents = await session.agents();
  output.result({ server: session.server, agents }, () => {
    if (agents.length === 0) {
      return output.line(`no machine offers an agent at ${session.server}: drover enable remote, on one that is to`);
    }
    const rows = agents.map((
      { name, machine = "", version, status, running, queued },
    ) => [plain(name), plain(machine) || "-", plain(version) || "-", status, String(running), String(queued)]);
    const head = ["AGENT", "MACHINE", "VERSION", "STATE", "RUNNING", "QUEUED"];
    for (const line of table([head, ...rows])) output.line(line);
  });
  return EXIT_CODES.ok.code;
}

async function show(context: CommandContext): Promise<number> {
  const { host, output, args, home } = context;
  const wish = serverWish(args);
  if (wish) return await showServer(context, wish);
  const settings = await readSettings(host, home());
  const { loginPath, loginCheck, agentVariables: variables } = settings;
  // As the daemon sees it: with what the login shell told it last.
  const env = (await openLoginPath(host, home(), { enabled: loginPath })).env();
  const { agentsWithState } = await import("../../app/agent_states.ts");
  const { found, skipped } = await agentsWithState(host, home(), {
    env,
    variables,
    loginCheck,
    limits: dayLimitsOf(settings),
  });
  const { NAME_THEM, withheldHere, withheldText } = await import("../../app/secrets_view.ts");
  const withheld = withheldHere(env, { providers: found.map(({ provider }) => provider), variables });
  const all = args.switches.has("all");
  output.result({ agents: found, ...(all ? { skipped, withheld } : {}) }, () => {
    const rows = found.map((runtime) => [
      runtime.provider,
      runtime.version || "-",
      stateText(runtime, host.clock.now()),
      runtime.family,
      runtime.executable,
    ]);
    for (const line of table([["AGENT", "VERSION", "STATE", "PROTOCOL", "EXECUTABLE"], ...rows])) output.line(line);
    if (all && skipped.length > 0) {
      output.line();
      const why = skipped.map((row) => [row.provider, row.why, row.detail]);
      for (const line of table([["SKIPPED", "WHY", "DETAIL"], ...why])) output.line(paint.dim(line));
    } else if (skipped.length > 0) {
      output.line(paint.dim(`${skipped.length} more known, not usable here: drover agents --all`));
    }
    if (all && withheld.length > 0) {
      output.line();
      output.line(paint.dim(`kept from agents: ${withheldText(withheld)}; ${NAME_THEM}`));
    }
  });
  return EXIT_CODES.ok.code;
}

function stateText({ paused }: Runtime & { paused: PauseView | null }, now: number): string {
  return paused ? paint.yellow(pauseText(paused, now)) : "ready";
}

export const agentsResume: Command = {
  name: "agents resume",
  operands: "AGENT",
  minOperands: 1,
  maxOperands: 1,
  options: [],
  examples: [["drover agents resume claude", "the quota was raised, or somebody has logged in"]],
  async run({ host, output, args, home }) {
    const agent = args.positional[0]!;
    const { resumeAgent } = await import("../../app/agent_states.ts");
    const resumed = await resumeAgent(host, home(), agent);
    output.result({ agent, resumed }, () => {
      output.line(resumed ? `${agent} gets tasks again` : `${agent} is not paused: nothing to do`);
    });
    return EXIT_CODES.ok.code;
  },
};
