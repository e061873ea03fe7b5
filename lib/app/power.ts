/** Asks the system what feeds the machine: Linux by its files, macOS by its tool. */
import { pmsetSaysBattery, type PowerSupply, suppliesSayBattery } from "../core/power.ts";
import { type Files, HostError, type Processes } from "../core/ports.ts";

const SUPPLIES = "/sys/class/power_supply";
const PMSET_MS = 5_000;

/** `undefined` when nobody can tell. */
export function onBatteryOf(
  { os, files, processes, supplies = SUPPLIES }: {
    os: "linux" | "darwin";
    files: Files;
    processes: Processes;
    supplies?: string;
  },
): () => Promise<boolean | undefined> {
  const ask = {
    linux: async () => {
      const names = await files.list(supplies);
      return suppliesSayBattery(await Promise.all(names.map((name) => supplyAt(files, `${supplies}/${name}`))));
    },
    darwin: async () => {
      const command = { executable: "/usr/bin/pmset", args: ["-g", "batt"] };
      return pmsetSaysBattery((await processes.run(command, { timeoutMs: PMSET_MS })).stdout);
    },
  }[os];
  return async () => {
    try {
      return await ask();
    } catch (error) {
      // A container or a virtual machine may have none of it.
      if (error instanceof HostError) return undefined;
      throw error;
    }
  };
}

async function supplyAt(files: Files, path: string): Promise<PowerSupply> {
  const [type = "", online = "", status = "", scope = ""] = await Promise.all(
    ["type", "online", "status", "scope"].map(async (name) => {
      try {
        return (await files.readText(`${path}/${name}`)).trim();
      } catch (error) {
        // Not every supply has all of them, and it may be unplugged while we look.
        if (error instanceof HostError) return "";
        throw error;
      }
    }),
  );
  return { type, online, status, scope };
}
