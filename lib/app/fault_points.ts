/** Named places where tests end, hold up or fail this process; inert unless a private file of the home asks for one. */
import { DroverError } from "../core/drover_error.ts";
import { type Checks, isObject, isOneOf, isText, pick } from "../core/fields.ts";
import type { Home } from "../core/home.ts";
import { type Host, HostError } from "../core/ports.ts";

const POLL_MS = 20;

interface Fault {
  /** `kill`: SIGKILL, as from a crash; `pause`: until `untilFile` is there; `fail`: an error, as from a bug. */
  readonly action: "kill" | "pause" | "fail";
  readonly untilFile: string | undefined;
}
type Faults = Readonly<Record<string, Fault>>;

const FAULT: Checks<Fault> = {
  action: isOneOf("kill", "pause", "fail"),
  untilFile: (value): value is string | undefined => value === undefined || isText(value),
};

export type FaultPoints = (name: string) => Promise<void>;

type Ports = Pick<Host, "files" | "clock" | "launcher" | "system">;

/** The file is read at the first point, once. Throws `config_invalid` when it is ours and says nothing of the kind. */
export function createFaultPoints(ports: Ports, home: Home): FaultPoints {
  const path = `${home.root}/fault-points.json`;
  let faults: Promise<Faults> | undefined;
  return async (name) => {
    faults ??= readFaults(ports, path);
    const fault = (await faults)[name];
    if (!fault) return;
    const { clock, files, launcher, system } = ports;
    switch (fault.action) {
      case "kill":
        launcher.signal(system.self(), "SIGKILL");
        // Nothing may happen between the signal and the end.
        return await new Promise<never>(() => {});
      case "pause":
        while (fault.untilFile && !await files.stat(fault.untilFile)) await clock.sleep(POLL_MS);
        return;
      case "fail":
        throw new DroverError("internal", `Cannot go on at ${name}: ${path} asks for a failure`, {
          hint: `remove ${path}`,
        });
    }
  };
}

/** Nobody else may make a drover end itself: the file must be ours and closed to everybody else. */
async function readFaults({ files, system }: Ports, path: string): Promise<Faults> {
  let text: string;
  try {
    const info = await files.stat(path, { link: true });
    if (!info?.isFile || info.uid !== system.uid || (info.mode & 0o077) !== 0) return {};
    text = await files.readText(path);
  } catch (error) {
    if (error instanceof HostError) return {};
    throw error;
  }
  try {
    return faultsIn(JSON.parse(text));
  } catch (error) {
    throw new DroverError("config_invalid", `Cannot read the fault points in ${path}: ${(error as Error).message}`, {
      hint: `remove ${path}`,
    });
  }
}

function faultsIn(value: unknown): Faults {
  if (!isObject(value)) throw new Error("It holds no object");
  return Object.fromEntries(
    Object.entries(value).map(([name, entry]) => {
      const fault = pick(entry, FAULT);
      if ("wrong" in fault) throw new Error(`The fault at ${name} is not as it must be: ${fault.wrong || "no object"}`);
      return [name, fault.value];
    }),
  );
}
