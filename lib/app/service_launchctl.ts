/** launchd's words: what `launchctl` is asked and told about a service, and what its answers mean. Not yet tried on macOS. */
import type { CommandResult } from "../core/ports.ts";
import { lastWords, type ManagerCommands, type Service, type ServiceState, unreachable } from "./service_state.ts";

export function launchdCommands(uid: number): ManagerCommands {
  const domain = `gui/${uid}`;
  const target = ({ label }: Service) => `${domain}/${label}`;
  return {
    program: "launchctl",
    inspect: (service) => ({ args: ["print", target(service)] }),
    read,
    // A definition that is loaded already has to go first, or the new one is not looked at.
    enable: (service) => [
      { args: ["bootout", target(service)], mayFail: true },
      { args: ["enable", target(service)] },
      { args: ["bootstrap", domain, service.file] },
    ],
    start: (service) => [{ args: ["kickstart", "-k", target(service)] }],
    stop: (service) => [{ args: ["bootout", target(service)], mayFail: true }],
    disable: (service) => [{ args: ["bootout", target(service)], mayFail: true }],
    forget: () => [],
    enabledBy: () => [],
  };
}

/** What is loaded is started at login. */
function read(result: CommandResult): ServiceState {
  if (result.exit.code !== 0) {
    const missing = /could not find service/i.test(result.stderr + result.stdout);
    return missing ? { kind: "known", enabled: false, activity: "inactive", why: "" } : unreachable(lastWords(result));
  }
  const state = /^\s*state = (.+)$/m.exec(result.stdout)?.[1] ?? "";
  const code = /^\s*last exit code = (\d+)/m.exec(result.stdout)?.[1] ?? "0";
  if (state === "running") return { kind: "known", enabled: true, activity: "active", why: "" };
  return code === "0"
    ? { kind: "known", enabled: true, activity: "inactive", why: "" }
    : { kind: "known", enabled: true, activity: "failing", why: `exit code ${code}` };
}
