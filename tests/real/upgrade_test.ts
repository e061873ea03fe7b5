/** Real agent CLIs that npm replaces under a daemon while a task runs: it ends well, nothing is killed, the new version is registered. */
import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { capture } from "../../scripts/command.ts";
import { eventually } from "../support/drover.ts";
import { compiledForm } from "../support/program.ts";
import { olderVersion, realCliVersion } from "./install.ts";
import { type Ran, RealHome } from "./real_home.ts";
import { REAL_PROVIDERS } from "./setups.ts";

const LINUX = Deno.build.os === "linux";
const SOON = { DROVER_RELOAD_INTERVAL: "200ms" };
const PATIENCE_MS = 60_000;

const [form] = compiledForm();

for (const provider of REAL_PROVIDERS.filter((name) => name === "claude" || name === "codex")) {
  const older = olderVersion(provider);
  const newer = realCliVersion(provider);

  Deno.test({
    name:
      `[${provider}] npm puts ${newer} over ${older} while a task runs: it ends well, and the next runs the new one`,
    ignore: !LINUX,
    async fn() {
      await using scene = await Scene.create(provider, older);
      const { real } = scene;
      const daemon = await real.daemon();
      const before = await scene.settled();
      assertEquals(before.version, older);
      const first = await scene.beginTask();
      const running = await real.home.processes();
      assert(running.length > 2, "drover, the agent and its tool");
      await real.npmInstall(newer);
      await scene.until("the new version is registered", async () => (await scene.runtime()).version === newer);
      const after = await scene.runtime();
      assertEquals([after.id, after.state], [before.id, before.state]);
      const alive = await real.home.processes();
      assertEquals(running.filter((pid) => !alive.includes(pid)), [], "nothing was ended");
      await scene.release();
      const { task } = await first();
      assertEquals([task.status, task.attempt, task.output], ["completed", 1, "Waited."], task.error ?? "");
      const { task: next } = await real.run("and then @fake:text");
      assertEquals([next.status, next.output], ["completed", "Just text."], next.error ?? "");
      assertEquals([scene.versionsAt("held"), scene.versionsAt("text")], [[older], [newer]]);
      const { pid, reloadPending } = await scene.status();
      assertEquals([pid, reloadPending], [daemon.pid, null], "the daemon is the same");
      await daemon.stop();
      await real.assertNothingLeft();
    },
  });

  Deno.test({
    name:
      `[${provider}] --auto-reload-binaries: the restart for ${newer} over ${older} waits until no task runs, and registers it`,
    ignore: !LINUX,
    async fn() {
      await using scene = await Scene.create(provider, older);
      const { real } = scene;
      const { pid } = await real.json(["start", "--auto-reload-binaries", "--max-concurrent-tasks", "2"]);
      const before = await scene.settled();
      assertEquals(before.version, older);
      const first = await scene.beginTask();
      const running = await real.home.processes();
      await real.npmInstall(newer);
      await scene.until("it takes no more", async () => (await scene.status()).holding === "paused");
      const waiting = await scene.status();
      assertEquals([waiting.pid, waiting.phase, waiting.slots.running], [pid, "reload-pending", 1]);
      assertEquals([waiting.reloadPending.provider, waiting.reloadPending.blockedBy.active], [provider, 1]);
      const second = real.run("and then @fake:text");
      await scene.until("the next task waits", async () => {
        return (await real.json(["tasks", "list", "--status", "queued"])).tasks.length === 1;
      });
      const alive = await real.home.processes();
      assertEquals(running.filter((one) => !alive.includes(one)), [], "nothing was ended");
      assertEquals([(await scene.status()).pid, real.asked("text")], [pid, []]);
      await scene.release();
      const { task } = await first();
      assertEquals([task.status, task.attempt, task.output], ["completed", 1, "Waited."], task.error ?? "");
      const { task: next } = await second;
      assertEquals([next.status, next.attempt, next.output], ["completed", 1, "Just text."], next.error ?? "");
      assertEquals([scene.versionsAt("held"), scene.versionsAt("text")], [[older], [newer]]);
      const now = await scene.status();
      assert(now.pid !== pid, "another daemon serves");
      assertEquals([now.startReason, now.phase, now.slots.total], ["agent_binary_changed", "running", 2]);
      assertEquals((await scene.runtime()).version, newer);
      await real.json(["stop"]);
      await real.assertNothingLeft();
    },
  });
}

/** A home with the older version, and a task whose tool waits for a file. */
class Scene implements AsyncDisposable {
  readonly real: RealHome;
  readonly #go = Promise.withResolvers<void>();

  private constructor(real: RealHome) {
    this.real = real;
  }

  static async create(provider: "claude" | "codex", older: string): Promise<Scene> {
    const real = await RealHome.create(provider, form!, { npm: older });
    Object.assign(real.env, SOON);
    const [begun, go] = [join(real.home.root, "begun"), join(real.home.root, "go")];
    await capture(["mkfifo", go]);
    const scene = new Scene(real);
    real.llm.setScenarios({
      // Some give a tool ten seconds and then tell the model that it still runs.
      held: [{ shell: `touch ${begun}; cat ${go}; echo over` }, { until: scene.#go.promise, text: "Waited." }],
      text: [{ text: "Just text." }],
    });
    return scene;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.real[Symbol.asyncDispose]();
  }

  /** Resolves when its tool runs; how it ended is for later. */
  async beginTask(): Promise<() => Promise<Ran>> {
    const run = this.real.run("wait @fake:held");
    run.catch(() => {});
    const begun = join(this.real.home.root, "begun");
    await this.until("the tool runs", () => Deno.stat(begun).then(() => true, () => false));
    return () => run;
  }

  async release(): Promise<void> {
    await Deno.writeTextFile(join(this.real.home.root, "go"), "go on\n");
    this.#go.resolve();
  }

  // deno-lint-ignore no-explicit-any
  status(): Promise<any> {
    return this.real.json(["status"]);
  }

  // deno-lint-ignore no-explicit-any
  async runtime(): Promise<any> {
    const { connections } = await this.status();
    return connections[0]?.runtimes.find((one: { provider: string }) => one.provider === this.real.provider);
  }

  /** The runtime, once its files were read: a change can only be told from what was there before. */
  async settled(): Promise<Awaited<ReturnType<Scene["runtime"]>>> {
    await this.until("its files were read", async () => !!(await this.runtime())?.digest);
    return await this.runtime();
  }

  async until(what: string, condition: () => Promise<boolean>): Promise<void> {
    await eventually(condition, what, PATIENCE_MS).catch(async (error) => {
      throw new Error(`${error.message}\n${await this.real.home.log()}`);
    });
  }

  /** The versions of the CLI that asked the model in a scenario, by what they call themselves. */
  versionsAt(scenario: string): string[] {
    const clients = this.real.llm.requests.filter(({ asked }) => asked?.scenario === scenario).map((one) => one.client);
    return [...new Set(clients.map((client) => /\/(\d+\.\d+\.\d+)/.exec(client)?.[1] ?? client))];
  }
}
