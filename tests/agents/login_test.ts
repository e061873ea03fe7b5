/** Whether somebody is logged in: real files and commands, and no word where nothing is certain. */
import { assertEquals, assertNotEquals } from "@std/assert";
import { join } from "@std/path";
import { checkLogin, howToLogIn, lookAtLogin } from "../../lib/agents/login.ts";
import type { LoginCheck } from "../../lib/agents/provider_row.ts";
import { PROVIDERS } from "../../lib/agents/registry.ts";
import { createClock } from "../../lib/host/clock.ts";
import { createFiles } from "../../lib/host/files.ts";
import { createProcesses } from "../../lib/host/process.ts";
import { fingerprints } from "./program_layouts.ts";
import { placeScript } from "../support/program_file.ts";

const processes = createProcesses({ clock: createClock() });
const files = createFiles();

/** A CLI whose status command does `status`, with a HOME of its own. */
async function cli(status = "exit 3") {
  const root = await Deno.realPath(await Deno.makeTempDir({ prefix: "drover-login-" }));
  const executable = join(root, "tool");
  await placeScript(executable, `#!/bin/sh\necho asked >> ${root}/asked\n${status}\n`);
  return {
    root,
    asked: async () => (await Deno.readTextFile(join(root, "asked")).catch(() => "")).split("\n").length - 1,
    check: (check: Omit<LoginCheck, "how">, env: Record<string, string> = {}, version = "1.5.0") =>
      checkLogin({ how: "tool login", ...check }, { executable, fixedArgs: [], version }, {
        processes,
        files,
        fingerprints,
        env: { HOME: root, PATH: "/usr/bin:/bin", ...env },
      }),
    [Symbol.asyncDispose]: () => Deno.remove(root, { recursive: true }),
  };
}

Deno.test("checkLogin() takes a variable or a file for a login, and asks no command then", async () => {
  await using tool = await cli();
  const check = { variables: ["TOOL_KEY"], files: ["$TOOL_HOME/auth.json", ".tool/auth.json"], status: ["status"] };
  const none = await tool.check(check);
  assertEquals([none.verdict, await tool.asked()], ["unknown", 1]);
  const key = await tool.check(check, { TOOL_KEY: "k1" });
  assertEquals(key.verdict, "in");
  assertNotEquals(key.signs, (await tool.check(check, { TOOL_KEY: "k2" })).signs);
  assertEquals(key.signs, (await tool.check(check, { TOOL_KEY: "k1" })).signs);
  await Deno.mkdir(join(tool.root, ".tool"));
  await Deno.writeTextFile(join(tool.root, ".tool/auth.json"), "");
  assertEquals((await tool.check({ files: check.files })).verdict, "unknown", "an empty file is no login");
  await Deno.writeTextFile(join(tool.root, ".tool/auth.json"), "{}");
  const file = await tool.check(check);
  assertEquals([file.verdict, await tool.asked()], ["in", 1]);
  await Deno.writeTextFile(join(tool.root, ".tool/auth.json"), "{ }");
  assertNotEquals((await tool.check(check)).signs, file.signs);
  await Deno.mkdir(join(tool.root, "moved"));
  await Deno.rename(join(tool.root, ".tool/auth.json"), join(tool.root, "moved/auth.json"));
  assertEquals((await tool.check({ files: check.files }, { TOOL_HOME: join(tool.root, "moved") })).verdict, "in");
});

Deno.test("checkLogin() believes that nobody is logged in only from the very words for it", async () => {
  const rows: [script: string, check: Partial<LoginCheck>, verdict: string][] = [
    ["echo yes", { loggedOut: "Logged out" }, "in"],
    ["echo Logged out; exit 1", { loggedOut: "Logged out" }, "out"],
    ["echo Logged out >&2; exit 1", { loggedOut: "Logged out" }, "out"],
    ["echo Logged out; exit 1", {}, "unknown"],
    ["echo unknown command; exit 1", { loggedOut: "Logged out" }, "unknown"],
    ["kill -9 $$", { loggedOut: "Logged out" }, "unknown"],
  ];
  for (const [script, check, verdict] of rows) {
    await using tool = await cli(script);
    assertEquals((await tool.check({ status: ["auth", "status"], ...check })).verdict, verdict, script);
  }
});

Deno.test("checkLogin() says nothing of a version that does not know the command, of a CLI that is gone, without signs", async () => {
  await using tool = await cli("echo Logged out; exit 1");
  const check = { status: ["status"], statusSince: "2.0.0", loggedOut: "Logged out" };
  assertEquals([(await tool.check(check)).verdict, await tool.asked()], ["unknown", 0]);
  assertEquals((await tool.check(check, {}, "2.0.0")).verdict, "out");
  assertEquals((await tool.check(check, {}, "")).verdict, "unknown");
  await Deno.remove(join(tool.root, "tool"));
  assertEquals((await tool.check(check, {}, "2.0.0")).verdict, "unknown");
  assertEquals((await tool.check({})).verdict, "unknown");
});

Deno.test("lookAtLogin() sees a key only where the agent would get it, and nothing for a row without a check", async () => {
  const runtime = {
    provider: "demo",
    family: "claude-stream-json",
    executable: "/x",
    fixedArgs: [],
    version: "",
  } as const;
  const options = { processes, files, fingerprints, env: { ANTHROPIC_API_KEY: "k" } };
  assertEquals(await lookAtLogin(runtime, options), { verdict: "unknown", signs: "" });
  assertEquals((await lookAtLogin({ ...runtime, provider: "claude" }, options)).verdict, "in");
  assertEquals([howToLogIn("claude"), howToLogIn("nobody")], ["claude /login", ""]);
});

Deno.test("Every row that believes a status command says since which version there is one, and what to type", () => {
  for (const { provider, login } of PROVIDERS) {
    if (login) assertNotEquals(login.how, "", provider);
    if (login?.loggedOut !== undefined) {
      assertEquals([typeof login.statusSince, Boolean(login.status)], ["string", true], provider);
    }
  }
});
