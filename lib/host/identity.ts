/** Process identity: pid, start time and boot id, so that a pid used again is never mistaken for the process that had it. */
import type { Env, ProcessIdentity } from "../core/ports.ts";

interface Source {
  bootId(): string;
  /** Opaque start time of a live process; `undefined` when there is none or it is a zombie. */
  startOf(pid: number): string | undefined;
}

const LINUX: Source = {
  bootId: () => Deno.readTextFileSync("/proc/sys/kernel/random/boot_id").trim(),
  startOf(pid) {
    let stat: string;
    try {
      stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    } catch {
      return undefined;
    }
    // The command name is in parentheses and may hold anything; fields count from behind its last parenthesis:
    // state is field 3, start time field 22 (proc(5)).
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
  },
};

const DARWIN: Source = {
  bootId: () => command("sysctl", ["-n", "kern.bootsessionuuid"]) ?? "",
  startOf(pid) {
    const line = command("ps", ["-o", "state=,lstart=", "-p", String(pid)]);
    if (!line) return undefined;
    const [state, ...start] = line.split(/\s+/);
    return state?.startsWith("Z") ? undefined : start.join(" ");
  },
};

function command(name: string, args: string[]): string | undefined {
  const { success, stdout } = new Deno.Command(name, {
    args,
    env: { LC_ALL: "C", TZ: "UTC" },
    stdin: "null",
    stderr: "null",
  }).outputSync();
  const text = new TextDecoder().decode(stdout).trim();
  return success && text ? text : undefined;
}

export function createIdentity(): {
  self: () => ProcessIdentity;
  identityOf: (pid: number) => ProcessIdentity | undefined;
  environmentOf: (pid: number) => Env | undefined;
} {
  const source = Deno.build.os === "darwin" ? DARWIN : LINUX;
  let bootId: string | undefined;
  const identityOf = (pid: number): ProcessIdentity | undefined => {
    const startTicks = source.startOf(pid);
    if (startTicks === undefined) return undefined;
    return { pid, startTicks, bootId: bootId ??= source.bootId() };
  };
  return {
    identityOf,
    environmentOf,
    self: () => identityOf(Deno.pid) ?? { pid: Deno.pid, startTicks: "", bootId: bootId ??= source.bootId() },
  };
}

/** As the process was started; not to be had on macOS, where `ps` does not tell one value from the next. */
function environmentOf(pid: number): Env | undefined {
  if (Deno.build.os === "darwin") return undefined;
  let text: string;
  try {
    text = Deno.readTextFileSync(`/proc/${pid}/environ`);
  } catch {
    return undefined;
  }
  const pairs = text.split("\0").flatMap((line): [string, string][] => {
    const at = line.indexOf("=");
    return at > 0 ? [[line.slice(0, at), line.slice(at + 1)]] : [];
  });
  return pairs.length > 0 ? Object.fromEntries(pairs) : undefined;
}
