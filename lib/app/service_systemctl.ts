/** systemd's words: what `systemctl --user` is asked and told about a service, and what its answers mean. */
import type { CommandResult } from "../core/ports.ts";
import { lastWords, type ManagerCall, type ManagerCommands, type ServiceState, unreachable } from "./service_state.ts";

const PROPERTIES = ["LoadState", "ActiveState", "SubState", "UnitFileState", "Result", "ExecMainStatus"];

export function systemdCommands(): ManagerCommands {
  const call = (...words: string[]): ManagerCall => ({ args: ["--user", ...words] });
  const unit = ({ label }: { label: string }) => `${label}.service`;
  return {
    program: "systemctl",
    inspect: (service) => call("show", `--property=${PROPERTIES.join(",")}`, unit(service)),
    read,
    enable: (service) => [call("daemon-reload"), call("enable", unit(service))],
    // A unit that gave up would refuse; and one whose process is on its way out still counts as active.
    start: (service) => [
      { ...call("reset-failed", unit(service)), mayFail: true },
      call("restart", unit(service)),
    ],
    stop: (service) => [call("stop", unit(service))],
    disable: (service) => [call("disable", unit(service))],
    forget: (service) => [call("daemon-reload"), { ...call("reset-failed", unit(service)), mayFail: true }],
    enabledBy: ({ file, label }) => [
      `${file.slice(0, file.lastIndexOf("/"))}/default.target.wants/${label}.service`,
    ],
  };
}

type Activity = Extract<ServiceState, { kind: "known" }>["activity"];

const ACTIVITIES: Readonly<Record<string, Activity>> = {
  active: "active",
  reloading: "active",
  activating: "starting",
  deactivating: "stopping",
  failed: "failed",
};

function read(result: CommandResult): ServiceState {
  if (result.exit.code !== 0) return unreachable(lastWords(result));
  const values = new Map(
    result.stdout.split("\n").map((line) => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)] as const;
    }),
  );
  const retrying = values.get("SubState") === "auto-restart";
  const activity = retrying ? "failing" : ACTIVITIES[values.get("ActiveState") ?? ""] ?? "inactive";
  const status = values.get("ExecMainStatus") ?? "0";
  const failed = activity === "failing" || activity === "failed";
  return {
    kind: "known",
    enabled: values.get("UnitFileState") === "enabled",
    activity,
    why: failed ? `${values.get("Result") || "failed"}${status === "0" ? "" : `, exit code ${status}`}` : "",
  };
}
