/** Logging in at a team server, the owner's consent, and a daemon that follows both without a restart. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { eventually, TestHome } from "../support/drover.ts";
import { FakeMultica } from "../support/fake_multica.ts";
import { programForms } from "../support/program.ts";

const form = programForms().at(-1)!;
/** Every request would fail there: what is for this machine must not pass. */
const NO_WAY_OUT = { HTTP_PROXY: "http://127.0.0.1:1", http_proxy: "http://127.0.0.1:1" };

interface Team extends AsyncDisposable {
  readonly server: FakeMultica;
  readonly url: string;
}

function team(workspaces: readonly string[] = ["w1", "w2"]): Team {
  const server = new FakeMultica({ workspaces });
  const url = server.listen();
  server.fault = (call) => {
    if (call.headers.get("authorization") !== `Bearer ${server.token}`) return undefined;
    if (call.route === "GET /api/me") return Response.json({ id: "u1", name: "Ann", email: "ann@team.example" });
    if (call.route !== "POST /api/tokens/current/renew") return undefined;
    return Response.json({ expires_at: "2099-01-01T00:00:00Z", renewed: true });
  };
  return {
    server,
    url,
    async [Symbol.asyncDispose]() {
      await server.close();
      assertEquals(server.violations, []);
    },
  };
}

// deno-lint-ignore no-explicit-any
async function remoteOf(home: TestHome): Promise<any> {
  return (await home.json(["status"])).value.remote;
}

/** Of the login, and of what is watched. */
async function seen(home: TestHome): Promise<unknown[]> {
  const { connection } = await remoteOf(home);
  return [
    connection?.login,
    ...(connection?.workspaces ?? []).map((one: { id: string; policy: string }) => `${one.id} ${one.policy}`),
  ];
}

Deno.test("login keeps a token that the server takes, where only its owner can read it, and no other", async () => {
  await using home = await TestHome.create(form);
  await using t = team();
  const login = (token: string, more: string[] = ["--server", t.url]) =>
    home.json(["login", ...more, "--token", "-"], { stdin: token, env: NO_WAY_OUT });
  const file = join(home.home, "credentials.json");
  const there = () => Deno.stat(file).then(() => true, () => false);

  const nobody = await home.json(["whoami"]);
  assertEquals([nobody.code, nobody.value.error.code], [EXIT_CODES.login.code, "login_needed"]);
  assertStringIncludes(nobody.value.error.hint, "drover login --server");
  const wrong = await login("mul_wrong");
  assertEquals([wrong.code, wrong.value.error.code, await there()], [EXIT_CODES.login.code, "login_refused", false]);
  const refusals = [
    await home.json(["login", "--server", t.url, "--token", t.server.token]),
    await home.json(["login", "--server", t.url]),
    await login("two words"),
    await login("mat_0000"),
    await login(t.server.token, []),
    await login(t.server.token, ["--server", "http://team.example"]),
  ];
  assertEquals(refusals.map(({ code }) => code), refusals.map(() => EXIT_CODES.usage.code));
  assertEquals([t.server.calls.length, await there()], [2, false], "only the wrong token was shown to anybody");

  const done = await login(`${t.server.token}\n`);
  assertEquals([done.code, done.value.user.name, done.value.workspaces.length], [0, "Ann", 2]);
  assertEquals((await Deno.stat(file)).mode! & 0o777, 0o600);
  const { stdout } = await home.drover(["whoami"], { env: NO_WAY_OUT });
  assertStringIncludes(stdout, `Ann <ann@team.example> at ${t.url}`);
  assert(!JSON.stringify([done, stdout]).includes(t.server.token));
  assert(!(await Deno.readTextFile(join(home.home, "config.json"))).includes("mul_"));

  assertEquals((await home.json(["logout"])).value.loggedOut, true);
  assertEquals([(await home.json(["logout"])).value.loggedOut, await there()], [false, false]);
});

Deno.test("nothing is registered or claimed before the owner's yes, and then what it says", async () => {
  await using home = await TestHome.create(form);
  await using t = team();
  await home.json(["login", "--server", t.url, "--token", "-"], { stdin: t.server.token });
  await home.json(["config", "set", "remote.demo", "true"]);
  await home.json(["start"], { env: NO_WAY_OUT });
  const unasked = [
    await home.json(["enable", "remote", "--policy", "ask"]),
    await home.json(["enable", "remote", "--workspace", "w1"]),
    await home.json(["enable", "remote", "--workspace", "w9", "--policy", "ask", "--yes"]),
    await home.json(["enable", "remote", "--policy", "everything", "--yes"]),
  ];
  assertEquals(unasked.map(({ code }) => code), unasked.map(() => EXIT_CODES.usage.code));
  assertEquals([t.server.count("/register"), (await remoteOf(home)).enabled], [0, false]);

  const yes = await home.drover(["enable", "remote", "--workspace", "name of w1", "--policy", "read-only", "--yes"]);
  assertEquals(yes.code, 0, yes.stderr);
  assertStringIncludes(yes.stderr, "every member of name of w1 may send them");
  assertStringIncludes(yes.stderr, "agents: demo; at most 4 tasks at once");
  await eventually(() => t.server.count("/register") > 0, "it is registered with what is watched");
  assertEquals(t.server.calls.filter(({ route }) => route.endsWith("/register")).map(({ body }) => body.workspace_id), [
    "w1",
  ]);
  assertEquals(await seen(home), ["accepted", "w1 read-only", "w2 null"]);
  const inside = await home.json(["enable", "remote"], { env: { DROVER_TASK_ID: "t1" } });
  assertEquals(inside.code, EXIT_CODES.usage.code, "an agent does not give its owner's consent");
  const again = await home.json(["enable", "remote"]);
  assertEquals([again.code, again.value.changed, again.value.daemon], [0, false, "unchanged"], "yes is said once");

  const { value: { pid } } = await home.json(["status"]);
  assertEquals((await home.json(["enable", "remote", "--workspace", "w2", "--policy", "full", "--yes"])).code, 0);
  assertEquals(await seen(home), ["accepted", "w1 read-only", "w2 full"]);
  await eventually(() => t.server.calls.some(({ body }) => body?.workspace_id === "w2"), "it is registered, too");
  assertEquals((await home.json(["disable", "remote", "--workspace", "w1"])).value.unwatched, ["w1"]);
  assertEquals(await seen(home), ["accepted", "w1 null", "w2 full"]);
  assertEquals((await home.json(["status"])).value.pid, pid, "none of it needs a restart");
  await home.json(["stop"]);
  await home.assertNoProcessLeft();
});

Deno.test("a daemon says how a revoked token is mended, uses the next one at once, and takes limits by hand", async () => {
  await using home = await TestHome.create(form);
  await using t = team(["w1"]);
  const login = (url = t.url, { server } = t) =>
    home.json(["login", "--server", url, "--token", "-"], { stdin: server.token });
  await login();
  await home.json(["enable", "remote", "--policy", "ask", "--yes"]);
  await home.json(["start"]);
  await eventually(async () => (await seen(home))[0] === "accepted", "it is connected");
  await eventually(
    async () => (await home.json(["whoami"])).value.expiresAt === "2099-01-01T00:00:00Z",
    "the token was renewed, and its end written down",
  );

  t.server.token = `mul_${"b".repeat(40)}`;
  // Any change makes the daemon look at the server again.
  await home.json(["config", "set", "tasks.max_concurrent", "5"]);
  await eventually(async () => (await seen(home))[0] === "refused", "the next call is refused");
  const { stdout } = await home.drover(["status"]);
  assertStringIncludes(stdout, "log in again: drover login");
  assertEquals((await home.json(["whoami"])).code, EXIT_CODES.login.code);
  const { value: { pid } } = await home.json(["status"]);
  assertEquals((await login()).value.daemon, "told");
  await eventually(async () => (await seen(home))[0] === "accepted", "it uses the new token");

  const config = join(home.home, "config.json");
  const held = JSON.parse(await Deno.readTextFile(config));
  await Deno.writeTextFile(config, JSON.stringify({ ...held, tasks: { max_concurrent: 9 }, health: { port: 1 } }));
  await eventually(async () => (await home.json(["status"])).value.slots.total === 9, "it has found the change");
  const now = (await home.json(["status"])).value;
  assertEquals([now.pid, now.config], [pid, { problem: null, waiting: ["health.port"] }]);

  await using other = team(["w1"]);
  assertEquals((await login(other.url, other)).value.consentTakenBack, true);
  assertEquals((await seen(home))[0], "elsewhere");
  assertEquals(other.server.count("/register"), 0, "what was allowed to one server is not allowed to the next");
  await home.json(["stop"]);
  await home.assertNoProcessLeft();
});

Deno.test("a task of a team server gets what its owner allows, and a token of its own", async () => {
  await using home = await TestHome.create(form);
  await using t = team(["w1"]);
  await home.json(["login", "--server", t.url, "--token", "-"], { stdin: t.server.token });
  await home.json(["config", "set", "remote.demo", "true"]);
  await home.json(["enable", "remote", "--policy", "ask", "--yes"]);
  await home.json(["start"]);
  await eventually(() => t.server.runtimes.size > 0, "it is registered");
  const task = t.server.enqueue(t.server.runtimeOf("demo").id, { trigger_comment_content: "@demo:fast" });
  await eventually(async () => (await home.json(["status"])).value.tasks[0]?.asks.length === 1, "it asks the owner");
  const answered = await home.json(["tasks", "approve", task.id.slice(0, 13)]);
  assertEquals(answered.code, 0, JSON.stringify(answered.value));
  await eventually(() => task.status === "completed", `it is completed: ${JSON.stringify(task)}`);
  await home.json(["stop"]);
  await home.assertNoProcessLeft();
});

Deno.test("the demo agent takes a team's tasks only where that is configured, and leaves none in flight when it is killed", async () => {
  await using home = await TestHome.create(form);
  await using t = team(["w1"]);
  await home.json(["login", "--server", t.url, "--token", "-"], { stdin: t.server.token });
  const { stderr } = await home.drover(["enable", "remote", "--policy", "full", "--yes"]);
  assertStringIncludes(stderr, "agents: none found yet");
  await home.json(["start"]);
  await eventually(async () => (await seen(home))[0] === "accepted", "it is connected");
  await eventually(() => t.server.count("/runtime-profiles") > 0, "it has looked what there is to register");
  await home.json(["config", "set", "remote.demo", "true"]);
  assertEquals((await home.json(["status"])).value.config.waiting, ["remote.demo"]);
  assertEquals(t.server.count("/register"), 0);
  await home.json(["restart"]);
  await eventually(() => t.server.runtimes.size > 0, "it is registered");

  const task = t.server.enqueue(t.server.runtimeOf("demo").id, { trigger_comment_content: "@demo:hang" });
  await eventually(async () => (await home.json(["status"])).value.tasks[0]?.pid > 0, "its agent runs");
  Deno.kill((await home.json(["status"])).value.pid, "SIGKILL");
  await home.json(["start"]);
  const next = () => [...t.server.tasks.all.values()].find(({ more }) => more.parent_task_id === task.id);
  await eventually(() => next()?.status === "running", "the next attempt runs");
  assertEquals([task.status, task.failure_reason, next()!.attempt], ["failed", "runtime_recovery", 2]);
  t.server.tasks.cancel(next()!);
  await eventually(() => next()!.cancelAcks === 1, "it is stopped");
  await home.json(["stop"]);
  await home.assertNoProcessLeft();
});

function hasScript(): boolean {
  if (Deno.build.os !== "linux") return false;
  try {
    return new Deno.Command("script", { args: ["--version"], stdout: "null", stderr: "null" }).outputSync().success;
  } catch {
    return false;
  }
}

Deno.test({
  name: "login asks at a terminal, and nothing that is typed there is shown",
  ignore: !hasScript(),
  async fn() {
    await using home = await TestHome.create(form);
    await using t = team();
    const line = [...form.argv, "login", "--server", t.url].map((word) => `'${word}'`).join(" ");
    const inTerminal = { kind: form.kind, argv: ["script", "-qec", line, "/dev/null"] as [string, ...string[]] };
    const child = home.spawn([], { form: inTerminal, stdin: "" });
    const shown: string[] = [];
    const reading = child.stdout.pipeThrough(new TextDecoderStream()).pipeTo(
      new WritableStream({ write: (text) => void shown.push(text) }),
    );
    await eventually(() => shown.join("").includes("(not shown): "), "it asks");
    const writer = child.stdin.getWriter();
    // The first key is taken back.
    await writer.write(new TextEncoder().encode(`x\x7f${t.server.token}\r`));
    const { code } = await child.status;
    await writer.close().catch(() => {});
    await child.stderr.cancel();
    await reading;
    assertEquals(code, 0, shown.join(""));
    assertStringIncludes(shown.join(""), "as Ann <ann@team.example>");
    assert(!shown.join("").includes(t.server.token.slice(4, 12)));
  },
});

Deno.test("two logins at the same time leave one of them, whole", async () => {
  await using home = await TestHome.create(form);
  await using t = team();
  const login = () => home.json(["login", "--server", t.url, "--token", "-"], { stdin: t.server.token });
  const done = await Promise.all([login(), login(), login()]);
  assertEquals(done.map(({ code }) => code), [0, 0, 0], JSON.stringify(done));
  assertEquals((await home.json(["whoami"])).value.server, t.url);
});
