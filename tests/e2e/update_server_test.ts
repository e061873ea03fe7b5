/** An update that a team server asks for, over the wire: refused with a reason, or done, told, and seen through by an updater. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { eventually, RunningDaemon, TestHome } from "../support/drover.ts";
import { compiledForm } from "../support/program.ts";
import { Released } from "../support/released.ts";

const PATIENCE_MS = 60_000;

Deno.test({
  name:
    "a team server's update is reported as done, and its daemon is restarted; an older one is refused with the reason",
  ignore: Deno.build.os !== "linux",
  async fn() {
    await using office = await TestHome.create(compiledForm()[0]!);
    await using released = await Released.create("1.0.0");
    await released.publish("0.9.0");
    await released.publish("1.1.0");
    const server = new RunningDaemon(office.spawn(["serve", "--quiet", "--listen", "127.0.0.1:0"]));
    await server.ready();
    const url = /http:\/\/[\d.]+:\d+/.exec(server.stdout)![0];
    const token = (await office.drover(["token", "create", "ann"])).stdout.trim();
    const { code, stderr } = await released.home.drover(["login", "--server", url, "--token", "-"], { stdin: token });
    assertEquals(code, 0, stderr);
    await released.json(["config", "set", "remote.demo", "true"]);
    await released.json(["enable", "remote", "--policy", "full", "--yes"]);
    const { pid } = (await released.json(["start"])).value;

    // deno-lint-ignore no-explicit-any
    const call = async (path: string, body?: unknown): Promise<any> => {
      const init = body ? { method: "POST", body: JSON.stringify(body) } : {};
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      return await (await fetch(`${url}/api/runtimes${path}`, { ...init, headers })).json();
    };
    const updated = async (version: string) => {
      const runtimes = await call("");
      const { id } = await call(`/${runtimes[0].id}/update`, { target_version: version });
      let seen = await call(`/${runtimes[0].id}/update/${id}`);
      await eventually(
        async () => {
          seen = await call(`/${runtimes[0].id}/update/${id}`);
          return seen.status === "completed" || seen.status === "failed";
        },
        "the daemon says what came of it",
        PATIENCE_MS,
      );
      return seen;
    };
    await eventually(async () => (await call("")).length === 1, "the machine offers its agent", PATIENCE_MS);
    const older = await updated("v0.9.0");
    assertEquals([older.status, await released.version()], ["failed", "1.0.0"]);
    assertStringIncludes(older.error, "it is older than 1.0.0");
    const done = await updated("v1.1.0");
    assertEquals([done.status, await released.version()], ["completed", "1.1.0"], done.error);
    const serving = async () => {
      const seen = await released.home.seen();
      return seen?.version === "1.1.0" && seen.phase === "running" && seen.pid !== pid;
    };
    await eventually(serving, "the new daemon serves", PATIENCE_MS);
    // Nothing is left to try it with.
    await released.json(["stop"]);
    await eventually(async () => (await released.updates()).trial === null, "the trial is over", PATIENCE_MS);
    assertEquals((await released.updates()).rounds.at(-1).by, "server");
    await eventually(async () => (await released.home.processes()).length === 0, "the updater ends", PATIENCE_MS);
    await server.kill();
  },
});
