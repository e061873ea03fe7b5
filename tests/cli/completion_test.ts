/** The completion scripts, in the shells themselves: what is offered at each place of a command line. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { completionPlaces } from "../../lib/cli/completion.ts";
import { fishCompletion } from "../../lib/cli/completion_fish.ts";
import { bashCompletion, zshCompletion } from "../../lib/cli/completion_posix.ts";
import { rowOf, SETTING_NAMES } from "../../lib/core/config.ts";
import { loadCommands } from "../../lib/cli/verbs.ts";
import { tempDirectory } from "../host/temp_directory.ts";
import { placeScript } from "../support/program_file.ts";

const COMMANDS = await loadCommands();
const PLACES = completionPlaces(COMMANDS);
const SCRIPTS = { bash: bashCompletion(PLACES), zsh: zshCompletion(PLACES), fish: fishCompletion(PLACES) };
type Shell = keyof typeof SCRIPTS;

/** Prints what each shell would offer for the words in its arguments, the last of them being typed. */
const DRIVERS: Record<Shell, (script: string, words: readonly string[]) => string[]> = {
  bash: (script, words) => [
    "--norc",
    "-c",
    `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _drover drover; printf '%s\\n' "\${COMPREPLY[@]}"`,
    "bash",
    script,
    ...words,
  ],
  // The widgets exist only while a key is handled: these stand in for them, and filter as they do.
  zsh: (script, words) => [
    "-f",
    "-c",
    `compdef() { : }
     compset() { PREFIX=\${PREFIX#*=} }
     compadd() { shift; local w; for w; do [[ $w == $PREFIX* ]] && print -r -- $w; done }
     _describe() { local w; for w in \${(P)2}; do compadd -- \${w%%:*}; done }
     _files() { local d; for d in $PREFIX*(N/); do print -r -- $d; done }
     source "$1"; shift; words=("$@"); CURRENT=$#; PREFIX=$words[-1]; _drover`,
    "zsh",
    script,
    ...words,
  ],
  fish: (script, words) => [
    "--no-config",
    "-c",
    `source $argv[1]; set -l line (string escape -- $argv[2..-2]) $argv[-1]; complete -C "$line"`,
    script,
    ...words,
  ],
};

async function run(shell: Shell, args: string[], cwd: string): Promise<{ code: number; out: string; err: string }> {
  const { code, stdout, stderr } = await new Deno.Command(shell, {
    args,
    cwd,
    env: { PATH: `${cwd}/bin:${Deno.env.get("PATH")}`, HOME: cwd },
    clearEnv: true,
    stdin: "null",
  }).output();
  return { code, out: new TextDecoder().decode(stdout), err: new TextDecoder().decode(stderr) };
}

function installed(shell: Shell): boolean {
  return (Deno.env.get("PATH") ?? "").split(":").some((directory) => {
    try {
      return Deno.statSync(`${directory}/${shell}`).isFile;
    } catch {
      return false;
    }
  });
}

/** A directory with a script, a stand-in for the program that knows two tasks, and two directories and a file. */
async function world(shell: Shell) {
  const directory = await tempDirectory();
  await Deno.mkdir(directory.at("bin"));
  const program = [
    "#!/bin/sh",
    "case $1 in --profile=*) profile=${1#*=}; shift ;; esac",
    '[ "$1" = __complete ] || exit 1',
    `case $2 in tasks) printf '0a-1\\tfailed $(touch evil): "it"\\n0b-2\\tcompleted\\n' ;; agents) printf "\${profile:-demo}\\tagent\\n" ;; profiles) printf 'default\\t/h\\nwork\\t/h/profiles/work\\n' ;; esac`,
  ];
  await placeScript(directory.at("bin/drover"), program.join("\n") + "\n");
  await Deno.mkdir(directory.at("one dir"));
  await Deno.mkdir(directory.at("other"));
  await Deno.writeTextFile(directory.at("file"), "");
  await Deno.writeTextFile(directory.at("script"), SCRIPTS[shell]);
  return {
    directory,
    async offered(words: readonly string[]): Promise<string[]> {
      const { out, err } = await run(shell, DRIVERS[shell](directory.at("script"), words), directory.path);
      assertEquals(err, "", `${shell}: ${words.join(" ")}`);
      return out.split("\n").filter(Boolean).map((line) => line.split("\t")[0]!.replace(/\/$/, "")).sort();
    },
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

const KEYS = SETTING_NAMES.map((name) => rowOf(name).key).sort();
const LEVELS = ["debug", "error", "info", "warning"];

const ROWS: readonly (readonly [line: string, words: readonly string[], offered: readonly string[]])[] = [
  ["a command", ["config"], ["config"]],
  ["the second word", ["service", ""], ["install", "status", "uninstall"]],
  ["the second word after one that is a command too", ["agents", ""], ["resume"]],
  ["an option of a command that begins others", ["agents", "--a"], ["--all"]],
  ["the second word, begun", ["config", "un"], ["unset"]],
  ["the second word, after an option", ["--json", "config", "u"], ["unset"]],
  ["an option", ["run", "--perm"], ["--permission"]],
  ["an option of a verb with two words", ["tasks", "list", "--s"], ["--server", "--status"]],
  ["the values of an option", ["run", "--permission", ""], ["ask", "full", "read-only"]],
  ["a level", ["daemon", "--log-level", "w"], ["warning"]],
  ["what comes after an option with its value", ["tasks", "list", "--limit", "config", "--l"], ["--limit"]],
  ["an agent", ["run", "-a", ""], ["demo"]],
  ["directories only", ["run", "--cwd", "o"], ["one dir", "other"]],
  ["the keys of the settings", ["config", "get", ""], KEYS],
  ["nothing after the only key", ["config", "get", "log.level", ""], []],
  ["the values of a setting", ["config", "set", "log.level", ""], LEVELS],
  ["no values where any number is one", ["config", "set", "retention.days", ""], []],
  ["a task", ["tasks", "show", "0b"], ["0b-2"]],
  ["every task, whatever its prompt says", ["tasks", "cancel", ""], ["0a-1", "0b-2"]],
  ["nothing for a prompt", ["run", ""], []],
  ["nothing for a command of the program's own", ["__"], []],
  ["shells", ["completions", ""], ["bash", "fish", "zsh"]],
  ["profiles, before the command", ["--profile", "w"], ["work"]],
  ["profiles, after it", ["tasks", "list", "--profile", ""], ["default", "work"]],
  ["a command behind a profile", ["--profile", "tasks", "config", "un"], ["unset"]],
  ["what that profile has", ["--profile", "p1", "run", "--agent", ""], ["p1"]],
  ["what a profile named later has", ["run", "--profile", "p2", "--agent", ""], ["p2"]],
];

for (const shell of ["bash", "zsh", "fish"] as const) {
  const ignore = shell !== "bash" && !installed(shell);

  Deno.test({
    name: `completion in ${shell} offers what fits the place, and runs nothing of what is listed`,
    ignore,
    fn: async () => {
      await using shellWorld = await world(shell);
      for (const [what, words, offered] of ROWS) {
        assertEquals(await shellWorld.offered(["drover", ...words]), [...offered].sort(), what);
      }
      const names = [...Deno.readDirSync(shellWorld.directory.path)].map((entry) => entry.name);
      assertEquals(names.includes("evil"), false);
    },
  });

  Deno.test({
    name: `completion in ${shell} has no error of syntax`,
    ignore,
    fn: async () => {
      await using shellWorld = await world(shell);
      const { path } = shellWorld.directory;
      assertEquals(await run(shell, ["-n", `${path}/script`], path), { code: 0, out: "", err: "" });
    },
  });

  Deno.test(`completion for ${shell} has every command, option and summary that people see, and none of the others`, () => {
    const script = SCRIPTS[shell];
    const names = COMMANDS.filter((command) => !command.hidden);
    assert(names.length > 10);
    for (const { name, options } of names) {
      assertStringIncludes(script, `'${name}'`);
      for (const option of options) {
        assertStringIncludes(script, shell === "fish" ? `-l ${option.name} ` : `--${option.name}`);
      }
    }
    assertEquals(script.includes("demo-agent"), false);
  });
}

Deno.test("completion in bash takes --name=value apart as bash does", async () => {
  await using bash = await world("bash");
  assertEquals(await bash.offered(["drover", "run", "--permission", "="]), ["ask", "full", "read-only"]);
  assertEquals(await bash.offered(["drover", "run", "--permission", "=", "r"]), ["read-only"]);
  assertEquals(await bash.offered(["drover", "tasks", "list", "--limit", "=", "5", "--st"]), ["--status"]);
  assertEquals(await bash.offered(["drover", "run", "--profile", "=", "p3", "--agent", ""]), ["p3"]);
});

Deno.test({
  name: "completion in zsh takes --name=value as one word",
  ignore: !installed("zsh"),
  fn: async () => {
    await using zsh = await world("zsh");
    assertEquals(await zsh.offered(["drover", "run", "--permission=r"]), ["read-only"]);
    assertEquals(await zsh.offered(["drover", "run", "--profile=p3", "--agent", ""]), ["p3"]);
    assertEquals(await zsh.offered(["drover", "tasks", "list", "--limit=5", "--st"]), ["--status"]);
  },
});
