/** The environment of an agent: what it inherits, what it must not, and who wins. */
import { assertEquals } from "@std/assert";
import { agentEnv, type AgentEnvInput } from "../../lib/core/agent_env.ts";

function made(input: Partial<AgentEnvInput>) {
  return agentEnv({
    inherited: {},
    sessionVariables: [],
    secrets: [],
    custom: {},
    adapter: {},
    task: {},
    binDirectory: "/h/bin",
    ...input,
  });
}

Deno.test("agentEnv() passes on what drover was started with, proxies included", () => {
  const inherited = { HOME: "/home/me", https_proxy: "http://proxy", LANG: "C", PATH: "/bin" };
  assertEquals(made({ inherited }), { ...inherited, PATH: "/h/bin:/bin" });
});

Deno.test("agentEnv() puts the home's own directory first on PATH, and a usual PATH behind it where there is none", () => {
  assertEquals(made({}).PATH, "/h/bin:/usr/local/bin:/usr/bin:/bin");
  assertEquals(made({ inherited: { PATH: "" } }).PATH, "/h/bin:/usr/local/bin:/usr/bin:/bin");
  assertEquals(made({ inherited: { PATH: "/a" }, adapter: { PATH: "/b" } }).PATH, "/h/bin:/b");
});

Deno.test("agentEnv() keeps drover's own variables and those of other agent sessions from the agent", () => {
  const inherited = { DROVER_HOME: "/x", MULTICA_TOKEN: "t", CLAUDECODE: "1", CLAUDE_CODE_X: "1", CLAUDE: "kept" };
  assertEquals(made({ inherited, sessionVariables: ["CLAUDECODE", "CLAUDE_CODE_*"] }), {
    CLAUDE: "kept",
    PATH: "/h/bin:/usr/local/bin:/usr/bin:/bin",
  });
});

Deno.test("agentEnv() keeps from the agent what binds git to the repository drover was started in", () => {
  const inherited = { GIT_DIR: "/r/.git", GIT_WORK_TREE: "/r", GIT_INDEX_FILE: "/r/.git/index", GIT_PREFIX: "a/" };
  const kept = { GIT_AUTHOR_NAME: "Me", GIT_SSH_COMMAND: "ssh -x", GIT_CONFIG_COUNT: "0" };
  const { PATH: _, ...rest } = made({ inherited: { ...inherited, ...kept } });
  assertEquals(rest, kept);
});

Deno.test("agentEnv() takes the server's variables except those that would break the run", () => {
  const custom = {
    EXTRA: "1",
    LANG: "de",
    HOME: "/evil",
    PATH: "/evil",
    TMPDIR: "/evil",
    DROVER_TOKEN: "evil",
    MULTICA_X: "evil",
    "BAD NAME": "x",
    "1ST": "x",
    "A=B": "x",
    "": "x",
  };
  assertEquals(made({ inherited: { HOME: "/home/me", PATH: "/bin", LANG: "C" }, custom }), {
    HOME: "/home/me",
    LANG: "de",
    EXTRA: "1",
    PATH: "/h/bin:/bin",
  });
});

Deno.test("agentEnv() lets the task's variables win over the adapter's, and those over the server's", () => {
  const env = made({
    custom: { A: "custom", B: "custom" },
    adapter: { B: "adapter", C: "adapter" },
    task: { C: "task" },
  });
  assertEquals([env.A, env.B, env.C], ["custom", "adapter", "task"]);
});

Deno.test("agentEnv() passes an inherited secret on only where it is named, and what the agent or its task brings always", () => {
  const inherited = { GH_TOKEN: "t", AWS_REGION: "r", OPENAI_API_KEY: "k", SSH_AUTH_SOCK: "/s", EDITOR: "vi" };
  const { PATH: _, ...rest } = made({
    inherited,
    secrets: ["OPENAI_API_KEY", "AWS_*"],
    custom: { NPM_TOKEN: "custom" },
    adapter: { ROW_KEY: "adapter" },
    task: { DROVER_TOKEN: "task" },
  });
  assertEquals(rest, {
    AWS_REGION: "r",
    OPENAI_API_KEY: "k",
    EDITOR: "vi",
    NPM_TOKEN: "custom",
    ROW_KEY: "adapter",
    DROVER_TOKEN: "task",
  });
});
