/** `drover config` and `drover completions` as people use them. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { TestHome } from "../support/drover.ts";
import { compiledForm } from "../support/program.ts";

async function write(home: TestHome, text: string): Promise<string> {
  const path = join(home.home, "config.json");
  await Deno.mkdir(home.home, { recursive: true, mode: 0o700 });
  await Deno.writeTextFile(path, text);
  return path;
}

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  Deno.test(name("drover config set, get, list and unset agree with each other and with the file"), async () => {
    await using home = await TestHome.create(form);
    const set = await home.json(["config", "set", "tasks.time_limit", "5400s"]);
    assertEquals([set.code, set.value.status, set.value.value], [0, "set", "90m"]);
    const path = join(home.home, "config.json");
    assertEquals(await Deno.readTextFile(path), '{\n  "tasks": {\n    "time_limit": "90m"\n  }\n}\n');
    assertEquals((await Deno.stat(path)).mode! & 0o777, 0o600);
    assertEquals((await home.json(["config", "set", "tasks.time_limit", "1.5h"])).value.status, "unchanged");
    assertEquals((await home.drover(["config", "get", "tasks.time_limit"])).stdout, "90m\n");
    const { value } = await home.json(["config", "list"], { env: { DROVER_LOG_LEVEL: "debug" } });
    const sources = value.settings.map((row: { key: string; value: unknown; source: string }) => [
      row.key,
      row.value,
      row.source,
    ]);
    assertEquals(sources, [
      ["tasks.max_concurrent", 4, "default"],
      ["tasks.time_limit", "90m", "file"],
      ["run.silence_limit", "30m", "default"],
      ["run.tool_limit", "2h", "default"],
      ["agents.limits", "", "default"],
      ["agents.login_check", true, "default"],
      ["retention.days", 30, "default"],
      ["log.level", "debug", "environment"],
      ["health.port", 0, "default"],
      ["agents.login_path", false, "environment"],
      ["agents.env", "", "default"],
      ["permission.ask_timeout", "10m", "default"],
      ["remote.enabled", false, "default"],
      ["server.url", "", "default"],
      ["workspaces.watched", "", "default"],
      ["workspaces.auto", false, "default"],
      ["workspaces.policy", "ask", "default"],
      ["remote.demo", false, "default"],
      ["limits.tasks_per_day", "none", "default"],
      ["limits.tokens_per_day", "none", "default"],
      ["limits.usd_per_day", "none", "default"],
      ["power.claim_on_battery", true, "default"],
      ["repos.allow_file", false, "default"],
      ["gc.enabled", true, "default"],
      ["gc.discard_unpushed", false, "default"],
      ["usage.scan", true, "default"],
      ["usage.report_remote", false, "default"],
      ["update.auto", false, "default"],
      ["update.url", "", "default"],
      ["update.interval", "1h", "default"],
      ["reload.binaries", "runtime", "default"],
      ["reload.self", "restart", "default"],
      ["reload.interval", "30s", "default"],
      ["reload.patience", "0s", "default"],
    ]);
    assertEquals((await home.json(["config", "unset", "tasks.time_limit"])).value.status, "unset");
    const again = await home.json(["config", "unset", "tasks.time_limit"]);
    assertEquals([again.value.status, again.value.value, again.value.source], ["notSet", "2h", "default"]);
    assertEquals(await Deno.readTextFile(path), "{}\n");
  });

  Deno.test(
    name("drover config set refuses what is out of range, and an unknown key with the one that was meant"),
    async () => {
      await using home = await TestHome.create(form);
      const wrong = await home.json(["config", "set", "tasks.max_concurrent", "65"]);
      assertEquals([wrong.code, wrong.value.error.code], [EXIT_CODES.config.code, "config_invalid"]);
      assertStringIncludes(wrong.value.error.message, "1 to 64");
      const unknown = await home.json(["config", "set", "max_concurent", "3"]);
      assertEquals([unknown.code, unknown.value.error.code], [EXIT_CODES.usage.code, "usage"]);
      assertEquals(unknown.value.error.hint, "did you mean tasks.max_concurrent?");
      const left = await Deno.stat(home.home).then(() => true, () => false);
      assertEquals(left, false, "a refusal makes no home");
    },
  );

  Deno.test(
    name("drover completions prints a script that bash reads, and finds tasks through the program"),
    async () => {
      await using home = await TestHome.create(form);
      const { code, stdout } = await home.drover(["completions", "bash"]);
      assertEquals(code, 0);
      assertEquals((await home.json(["completions", "bash"])).value.script, stdout);
      const script = join(home.root, "script");
      await Deno.writeTextFile(script, stdout);
      const argv = form.argv.map((word) => `'${word}'`).join(" ");
      await home.script("drover", `exec ${argv} "$@"`);
      const task = (await home.json(["run", "--agent", "demo", "--scratch", "hello"])).value.task.id;
      const { stdout: offered } = await new Deno.Command("bash", {
        args: [
          "--norc",
          "-c",
          `source ${script}; COMP_WORDS=(drover tasks show ''); COMP_CWORD=3; _drover drover; printf '%s\\n' "\${COMPREPLY[@]}"`,
        ],
        env: home.env,
        clearEnv: true,
      }).output();
      assertEquals(new TextDecoder().decode(offered).trim(), task);
    },
  );
}

Deno.test("drover config list shows what cannot be used and what is no setting; get and every start refuse it", async () => {
  await using home = await TestHome.create(compiledForm().at(-1)!);
  await write(home, '{"tasks":{"max_concurrent":0,"max_concurent":3},"server":{"port":1}}');
  const { code, value } = await home.json(["config", "list"]);
  assertEquals([code, value.ignored], [0, ["tasks.max_concurent", "server.port"]]);
  assertEquals(value.settings[0].value, 0);
  assertStringIncludes(value.settings[0].problem, "tasks.max_concurrent = 0 from config.json");
  const { stdout } = await home.drover(["config", "list"]);
  assertStringIncludes(stdout, "did you mean tasks.max_concurrent?");
  const got = await home.json(["config", "get", "tasks.max_concurrent"]);
  assertEquals([got.code, got.value.error.message], [EXIT_CODES.config.code, value.settings[0].problem]);
  assertEquals((await home.json(["config", "set", "tasks.max_concurrent", "3"])).value.status, "set");
  assertEquals((await home.drover(["config", "get", "tasks.max_concurrent"])).stdout, "3\n");
});

Deno.test("drover config set says when a variable hides what was set, and when a daemon takes it", async () => {
  await using home = await TestHome.create(compiledForm().at(-1)!);
  const env = { DROVER_RETENTION_DAYS: "9" };
  assertEquals(
    (await home.json(["config", "set", "retention.days", "5"], { env })).value.hiddenBy,
    "DROVER_RETENTION_DAYS",
  );
  const { stdout } = await home.drover(["config", "set", "retention.days", "6"], { env });
  assertStringIncludes(stdout, "retention.days is 6 now. A running daemon takes it at its next start");
  assertStringIncludes(stdout, "DROVER_RETENTION_DAYS is set and comes before config.json");
});

Deno.test("drover config explains a file that is no JSON, and never overwrites it", async () => {
  await using home = await TestHome.create(compiledForm().at(-1)!);
  const path = await write(home, "{ tasks: ");
  const verbs = [["list"], ["get", "log.level"], ["set", "log.level", "info"], ["unset", "log.level"]];
  for (const words of verbs) {
    const { code, value } = await home.json(["config", ...words]);
    assertEquals([code, value.error.code], [EXIT_CODES.config.code, "config_invalid"], words[0]);
    assertStringIncludes(value.error.message, path);
    assertStringIncludes(value.error.hint, "mend the file");
    assertEquals(await Deno.readTextFile(path), "{ tasks: ");
  }
});

Deno.test("drover config and completions leave no home behind where they only look", async () => {
  await using home = await TestHome.create(compiledForm().at(-1)!);
  for (const words of [["config", "list"], ["config", "get", "log.level"], ["config", "unset", "log.level"]]) {
    assertEquals((await home.drover(words)).code, 0, words.join(" "));
  }
  for (const what of ["tasks", "agents", "constructor", ""]) {
    assertEquals(await home.drover(["__complete", what]), { code: 0, stdout: "", stderr: "" });
  }
  assertEquals(await Deno.stat(home.home).then(() => true, () => false), false);
});

Deno.test("drover completions refuses a shell it has no script for, and names the ones it has", async () => {
  await using home = await TestHome.create(compiledForm().at(-1)!);
  for (const shell of ["nu", "bsh", "toString"]) {
    const { code, value } = await home.json(["completions", shell]);
    assertEquals([code, value.error.code], [EXIT_CODES.usage.code, "usage"], shell);
    assertStringIncludes(value.error.message, "bash, zsh, fish");
    assert(value.error.hint.length > 0);
  }
});
