/** Whether a machine runs on its battery. */
import { assertEquals } from "@std/assert";
import { pmsetSaysBattery, type PowerSupply, suppliesSayBattery } from "../../lib/core/power.ts";

function supply(type: string, change: Partial<PowerSupply> = {}): PowerSupply {
  return { type, online: "", status: "", scope: "", ...change };
}

Deno.test("suppliesSayBattery() believes a plug before a battery, and takes no mouse for the machine", () => {
  const plug = (online: string) => supply("Mains", { online });
  const battery = (status: string) => supply("Battery", { status });
  const mouse = supply("Battery", { status: "Discharging", scope: "Device" });
  const rows: [string, PowerSupply[], boolean][] = [
    ["a desktop", [], false],
    ["a desktop with a mouse", [mouse], false],
    ["plugged in", [plug("1"), battery("Charging")], false],
    ["plugged in, and the charger is too weak", [plug("1"), battery("Discharging")], false],
    ["plugged in over USB", [plug("0"), supply("USB", { online: "1" }), battery("Full")], false],
    ["unplugged", [plug("0"), battery("Discharging")], true],
    ["unplugged this very moment", [plug("0"), battery("Full")], true],
    ["a tablet that tells of no plug", [battery("Discharging")], true],
    ["a virtual machine's full battery", [battery("Full")], false],
    ["an uninterruptible supply at work", [supply("UPS", { status: "Discharging" })], true],
    ["a plug alone that is off", [plug("0")], false],
  ];
  for (const [name, supplies, on] of rows) assertEquals(suppliesSayBattery(supplies), on, name);
});

Deno.test("pmsetSaysBattery() reads the first line, and says nothing where that says nothing", () => {
  const line = (source: string) => `Now drawing from '${source}'\n -InternalBattery-0 (id=1)\t93%; discharging`;
  assertEquals([line("Battery Power"), line("UPS Power"), line("AC Power"), "", "nonsense"].map(pmsetSaysBattery), [
    true,
    true,
    false,
    undefined,
    undefined,
  ]);
});
