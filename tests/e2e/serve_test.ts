/** A team server of one's own, a machine that works for it and a person elsewhere; what each is refused, and a server that is killed. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually, RunningDaemon, TestHome } from "../support/drover.ts";
import { FakeMultica } from "../support/fake_multica.ts";
import { compiledForm } from "../support/program.ts";

async function serve(home: TestHome, listen = "127.0.0.1:0"): Promise<{ server: RunningDaemon; url: string }> {
  const server = new RunningDaemon(home.spawn(["serve", "--quiet", "--listen", listen]));
  await server.ready();
  return { server, url: /http:\/\/[\d.]+:\d+/.exec(server.stdout)![0] };
}

/** A token alone on standard output, for a pipe. */
async function newToken(home: TestHome, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await home.drover(["token", "create", ...args]);
  assertEquals(code, 0, stderr);
  assertEquals(/^m(ul|dt)_[0-9a-f]{40}\n$/.test(stdout), true, stdout);
  assert(!stderr.includes(stdout.trim()));
  return stdout.trim();
}

async function logIn(home: TestHome, url: string, token: string): Promise<void> {
  const { code, stderr } = await home.drover(["login", "--server", url, "--token", "-"], { stdin: token });
  assertEquals(code, 0, stderr);
}

for (const form of compiledForm()) {
  Deno.test(`a person's task is done on another machine, also when the server is killed in the middle [${form.kind}]`, async () => {
    await using office = await TestHome.create(form);
    await using machine = await TestHome.create(form);
    await using laptop = await TestHome.create(form);
    let { server, url } = await serve(office);
    // Made beside the server that works already.
    await logIn(machine, url, await newToken(office, "box", "--workspace", "web"));
    await logIn(laptop, url, await newToken(office, "ann", "--workspace", "web"));
    assertEquals((await machine.json(["enable", "remote", "--policy", "full", "--yes"])).code, 0);
    await machine.json(["config", "set", "remote.demo", "true"]);
    await machine.json(["start"]);
    const agents = async () => (await laptop.json(["agents", "--server"])).value.agents;
    await eventually(async () => (await agents()).length === 1, "the machine offers its agent");

    const done = await laptop.json(["run", "--server", "--agent", "demo", "@demo:fast say so"]);
    assertEquals([done.code, done.value.task.status, done.value.task.directory.mode], [0, "completed", "scratch"]);
    assertStringIncludes(done.value.task.output, "say so");
    assert(done.value.task.work_dir.startsWith(machine.home), done.value.task.work_dir);

    const following = laptop.json(["run", "--server", url, "--agent", "demo", "@demo:sleep=1500 late"]);
    const running = async () =>
      (await laptop.json(["tasks", "list", "--server", "--status", "running"])).value.tasks[0];
    let late = await running();
    await eventually(async () => (late = await running())?.work_dir != null, "it is at work");
    await server.kill();
    // The last thing that it does; its end has nobody to be told to.
    const file = join(late.work_dir, "drover-demo.md");
    await eventually(() => Deno.stat(file).then(() => true, () => false), "the agent goes on");
    const away = await laptop.json(["tasks", "show", late.id, "--server"]);
    assertEquals([away.code, away.value.error.code], [EXIT_CODES.server.code, "server_unreachable"]);
    ({ server } = await serve(office, new URL(url).host));
    const ended = await following;
    assertEquals([ended.code, ended.value.task.id, ended.value.task.status], [0, late.id, "completed"]);
    const seqs = ended.value.messages.map(({ seq }: { seq: number }) => seq);
    assertEquals(seqs, seqs.map((_: number, index: number) => index + 1), "each message once and in order");
    const { tasks } = (await laptop.json(["tasks", "list", "--server"])).value;
    assertEquals(tasks.map(({ status, attempt }: { status: string; attempt: number }) => [status, attempt]), [
      ["completed", 1],
      ["completed", 1],
    ]);
    assertEquals((await laptop.json(["tasks", "follow", late.id.slice(0, 8), "--server"])).code, 0);
    const queued = laptop.spawn(["run", "--server", "--agent", "demo", "@demo:hang"]);
    await eventually(async () => await running() !== undefined, "another one is at work");
    const { id } = await running();
    assertEquals((await laptop.json(["tasks", "cancel", id, "--server"])).value.task.status, "cancelled");
    await queued.stdout.cancel();
    await queued.stderr.cancel();
    assertEquals((await queued.status).code, EXIT_CODES.taskCancelled.code);

    assertEquals((await office.drover(["token", "revoke", "ann"])).code, 0);
    const revoked = await laptop.json(["tasks", "list", "--server"]);
    assertEquals([revoked.code, revoked.value.error.code], [EXIT_CODES.login.code, "login_refused"]);
    const { tokens } = (await office.json(["token", "list"])).value;
    assertEquals(tokens.map(({ name, state }: { name: string; state: string }) => `${name} ${state}`), [
      "box live",
      "ann revoked",
    ]);
    await machine.json(["stop", "--now"]);
    server.signal("SIGTERM");
    assertEquals(await server.ended(), 0, server.stderr);
    for (const home of [office, machine, laptop]) await home.assertNoProcessLeft();
  });

  Deno.test(`what a server and those who ask one are refused, they are told with a way out [${form.kind}]`, async () => {
    await using home = await TestHome.create(form);
    const refused = async (args: string[], code: string, says: readonly string[], env: Record<string, string> = {}) => {
      const { value } = await home.json(args, { env });
      const text = JSON.stringify(value);
      assertEquals(value.error?.code, code, text);
      for (const part of says) assertStringIncludes(text, part);
      assert(!text.includes("hunter2"), text);
    };
    await refused(["serve", "--listen", "0.0.0.0:0"], "usage", ["drover token create NAME"]);
    await refused(["serve", "--listen", "somewhere"], "usage", ["HOST:PORT"]);
    await refused(["serve", "--retention", "soon"], "usage", ["whole number of days"]);
    await refused(["serve", "--database", "postgres://u:hunter2@127.0.0.1:1/x"], "usage", ["env:"]);
    const secret = { DROVER_DATABASE: "postgres://u:hunter2@127.0.0.1:1/x" };
    await refused(["serve", "--listen", "127.0.0.1:0"], "store_unusable", ["postgres://127.0.0.1:1/x"], secret);
    await refused(["token", "create", "x", "--scope", "admin"], "usage", ["user or daemon"]);
    await refused(["token", "create", "x", "--daemon-id", "d1"], "usage", ["--scope daemon"]);
    await refused(["token", "revoke", "nobody"], "usage", ["nobody"]);
    await refused(["run", "--server", "x"], "login_needed", ["drover login"]);
    await refused(["run", "--server", "--cwd", ".", "x"], "usage", ["--directory-mode in-place"]);
    await refused(["run", "--directory-mode", "scratch", "x"], "usage", ["--server"]);

    const multica = new FakeMultica({ workspaces: ["w1"] });
    const url = multica.listen();
    await logIn(home, url, multica.token);
    await refused(["tasks", "list", "--server"], "invalid_request", [url, "multica issue create"]);
    await refused(["run", "--server", "--agent", "demo", "x"], "invalid_request", ["no drover user API"]);
    await multica.close();
    await refused(["agents", "--server"], "server_unreachable", [url]);

    const { server } = await serve(home);
    await refused(["serve", "--listen", "127.0.0.1:0"], "already_running", ["server.db", "PostgreSQL"]);
    server.signal("SIGHUP");
    server.signal("SIGINT");
    assertEquals(await server.ended(), 0);
    assertStringIncludes(await Deno.readTextFile(join(home.home, "server/logs/server.log")), "the terminal is closed");
    await home.assertNoProcessLeft();
  });
}
