/** The service manager of this machine: asked and told through its own program, by argv and with a deadline. */
import { DroverError } from "../core/drover_error.ts";
import { type CommandResult, type Env, type Host, HostError } from "../core/ports.ts";
import { lastWords, type ManagerCommands, type Service, type ServiceState, unreachable } from "./service_state.ts";
import type { ServiceKind } from "../core/service_unit_spec.ts";
import { launchdCommands } from "./service_launchctl.ts";
import { systemdCommands } from "./service_systemctl.ts";

const COMMANDS: { readonly [K in ServiceKind]: (uid: number) => ManagerCommands } = {
  systemd: systemdCommands,
  launchd: launchdCommands,
};

const CALL_MS = 15_000;
/** A stop waits for the daemon to drain; a start for it to be ready, and whoever asked for it has a deadline as well. */
const PATIENCE_MS: Partial<Record<ManagerVerb, number>> = { stop: 150_000, start: 20_000 };

export type ManagerVerb = "enable" | "start" | "stop" | "disable" | "forget";

export interface ServiceManager {
  readonly commands: ManagerCommands;
  inspect(service: Service): Promise<ServiceState>;
  /** Throws `service_failed` with what the manager said; a start that takes long is left to go on. */
  tell(verb: ManagerVerb, service: Service): Promise<void>;
  /** Whether services of this user go on after logout; `undefined` where that cannot be told. */
  lingers(): Promise<boolean | undefined>;
}

export function serviceManager(host: Host, kind: ServiceKind): ServiceManager {
  const commands = COMMANDS[kind](host.system.uid);
  const call = async (program: string, args: readonly string[], timeoutMs: number): Promise<CommandResult> =>
    await host.processes.run({ executable: program, args, cwd: "/", env: await managerEnv(host) }, { timeoutMs });
  return {
    commands,
    async inspect(service) {
      try {
        const result = await call(commands.program, commands.inspect(service).args, CALL_MS);
        return result.timedOut ? unreachable(`${commands.program} does not answer`) : commands.read(result);
      } catch (error) {
        if (error instanceof HostError) return unreachable(`there is no ${commands.program} here`);
        throw error;
      }
    },
    async tell(verb, service) {
      for (const { args, mayFail } of commands[verb](service)) {
        const result = await call(commands.program, args, PATIENCE_MS[verb] ?? CALL_MS).catch((error) => {
          throw error instanceof HostError ? refused(verb, service, error.message) : error;
        });
        if (mayFail || (result.timedOut ? verb === "start" : result.exit.code === 0)) continue;
        const said = result.timedOut ? "it did not answer in time" : lastWords(result);
        throw refused(verb, service, `${commands.program} ${args.join(" ")}: ${said}`);
      }
    },
    async lingers() {
      if (kind !== "systemd") return undefined;
      const args = ["show-user", String(host.system.uid), "--property=Linger"];
      const result = await call("loginctl", args, CALL_MS).catch((error) => {
        if (error instanceof HostError) return undefined;
        throw error;
      });
      const [, answer] = /^Linger=(yes|no)$/m.exec(result?.stdout ?? "") ?? [];
      return answer === undefined ? undefined : answer === "yes";
    },
  };
}

function refused(verb: ManagerVerb, { label }: Service, why: string): DroverError {
  return new DroverError("service_failed", `Cannot ${verb} the service ${label}: ${why}`, {
    hint: "drover service status tells how it stands",
  });
}

/** A shell that was not opened by a login (su, ssh to some systems, cron) does not know where the user's manager listens. */
async function managerEnv({ system, files }: Host): Promise<Env> {
  if (system.os !== "linux" || system.env.XDG_RUNTIME_DIR) return system.env;
  const directory = `/run/user/${system.uid}`;
  return (await files.stat(directory))?.isDirectory ? { ...system.env, XDG_RUNTIME_DIR: directory } : system.env;
}
