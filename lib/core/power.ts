/** Whether a machine runs on its battery, by what the system says of its power supplies. */

/** As Linux describes one in `/sys/class/power_supply/NAME/`; empty where it does not say. */
export interface PowerSupply {
  /** `Mains`, `USB`, `Battery`, `UPS`, `Wireless`. */
  readonly type: string;
  /** `1` while it feeds the machine. */
  readonly online: string;
  /** Of a battery: `Discharging`, `Charging`, `Full`, `Not charging`, `Unknown`. */
  readonly status: string;
  /** `Device` for the battery of a mouse or a headset. */
  readonly scope: string;
}

const STORED: ReadonlySet<string> = new Set(["Battery", "UPS"]);

/** False where there is no battery. */
export function suppliesSayBattery(supplies: readonly PowerSupply[]): boolean {
  const ours = supplies.filter(({ scope }) => scope !== "Device");
  const lines = ours.filter(({ type }) => !STORED.has(type));
  if (lines.some(({ online }) => online === "1")) return false;
  const stored = ours.filter(({ type }) => STORED.has(type));
  // A full battery says nothing of what it does; a plug without power does.
  return stored.some(({ status }) => status === "Discharging") || (stored.length > 0 && lines.length > 0);
}

/** Of `pmset -g batt`; `undefined` when it says neither. */
export function pmsetSaysBattery(text: string): boolean | undefined {
  const source = /drawing from '([^']+)'/.exec(text)?.[1];
  return source === undefined ? undefined : source !== "AC Power";
}
