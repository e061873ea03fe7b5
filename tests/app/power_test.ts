/** Asking the system what feeds the machine: real files as Linux has them. */
import { assertEquals } from "@std/assert";
import { onBatteryOf } from "../../lib/app/power.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { testHost } from "./test_host.ts";

Deno.test("onBatteryOf() reads the supplies anew each time, and does without what they do not tell", async () => {
  await using dir = await tempDirectory();
  const write = async (name: string, values: Record<string, string>) => {
    await Deno.mkdir(dir.at(name), { recursive: true });
    for (const [key, value] of Object.entries(values)) await Deno.writeTextFile(dir.at(`${name}/${key}`), `${value}\n`);
  };
  const { files, processes } = testHost();
  const ask = onBatteryOf({ os: "linux", files, processes, supplies: dir.path });
  assertEquals(await ask(), false);
  await write("BAT0", { type: "Battery", status: "Discharging" });
  await write("AC", { type: "Mains", online: "0" });
  await write("hidpp_battery_0", { type: "Battery", status: "Discharging", scope: "Device" });
  assertEquals(await ask(), true);
  await write("AC", { online: "1" });
  assertEquals(await ask(), false);
});

Deno.test("onBatteryOf() says nothing where the system tells nothing", async () => {
  const { files, processes } = testHost();
  assertEquals(await onBatteryOf({ os: "linux", files, processes, supplies: "/nowhere/at/all" })(), undefined);
});
