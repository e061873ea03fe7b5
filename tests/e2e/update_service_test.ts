/** An update of a daemon that a service manager runs: by an updater that outlives the service, and by the manager's own start. */
import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { eventually } from "../support/drover.ts";
import { fakeSystemd } from "../support/fake_systemd.ts";
import { isLong } from "../support/length.ts";
import { Released } from "../support/released.ts";

const PATIENCE_MS = 60_000;

Deno.test({
  name: "the updater of a service does not end with the service that it restarts, and comes back when it was killed",
  ignore: Deno.build.os !== "linux" || !isLong(),
  async fn() {
    await using released = await Released.create("1.0.0");
    const { home, env } = released;
    const systemd = await fakeSystemd({ bin: home.bin, user: join(home.root, "user") });
    const until = (what: string, condition: () => Promise<boolean>) =>
      eventually(condition, what, PATIENCE_MS).catch(async (error) => {
        const log = await Deno.readTextFile(join(home.home, "logs", "updater.log")).catch(() => "no log of an updater");
        throw new Error(`${error.message}\n${log}\n${await home.log()}\n${await systemd.journal()}`);
      });
    const updater = async () => (await released.json(["status"])).value.update?.updater;
    const { value: { file } } = await released.json(["service", "install"]);
    await released.json(["stop"]);
    // A service has nothing of the terminal's environment.
    const own = { ...env, DROVER_UPDATE_AUTO: "true", DROVER_UPDATE_INTERVAL: "1s" };
    const lines = Object.entries(own).map(([name, value]) => `Environment="${name}=${value}"\n`);
    const unit = (await Deno.readTextFile(file)).replace(/^Restart=/m, `${lines.join("")}Restart=`);
    await Deno.writeTextFile(file, unit);
    assertEquals((await released.json(["start"])).value.status, "started");
    await until("the daemon has its updater", async () => await updater() > 0);
    Deno.kill(await updater(), "SIGKILL");
    await until("there is another one", async () => await updater() > 0);
    const first = await updater();
    await released.publish("1.1.0");
    await until("the new release serves, and has proved itself", async () => {
      const { value } = await released.json(["status"]);
      return value.version === "1.1.0" && value.phase === "running" && value.update.trial === null;
    });
    const { value } = await released.json(["status"]);
    assertEquals([value.update.updater, value.update.lastGood], [first, "1.1.0"], "by the updater of before");
    assertEquals((await released.json(["service", "status"])).value.daemon, { pid: value.pid, supervised: true });
    assertEquals((await released.json(["service", "uninstall"])).value.status, "uninstalled");
    Deno.kill(first, "SIGTERM");
    await home.assertNoProcessLeft();
  },
});
