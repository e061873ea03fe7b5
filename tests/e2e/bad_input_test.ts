/** What users get wrong: each is refused with a code of its own and a message that says what, which, and what to do. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { EXIT_CODES } from "../../lib/cli/exit_code.ts";
import { TestHome } from "../support/drover.ts";
import { compiledForm } from "../support/program.ts";

interface Refusal {
  readonly what: string;
  readonly args: readonly string[];
  readonly stdin?: string;
  /** Variables besides the test's own; they may depend on where the test is. */
  readonly env?: (home: TestHome) => Record<string, string>;
  readonly arrange?: (home: TestHome) => unknown;
  readonly exit: { readonly code: number };
  readonly code: string;
  /** What the message or its hint must name: the subject, the value, the way out. */
  readonly says: (home: TestHome) => readonly string[];
}

const RUN = ["run", "--agent", "demo", "--scratch"];
const write = (path: string, text: string) => Deno.writeTextFile(path, text);

async function writeConfig(home: TestHome, text: string): Promise<void> {
  await Deno.mkdir(home.home, { mode: 0o700 });
  await write(join(home.home, "config.json"), text);
}

async function gitWithoutCommit(home: TestHome): Promise<void> {
  const { success } = await new Deno.Command("git", { args: ["init", "-q"], cwd: home.cwd }).output();
  assert(success, "git init");
}

const PROMPTS: readonly Refusal[] = [
  {
    what: "an empty prompt",
    args: [...RUN, ""],
    exit: EXIT_CODES.usage,
    code: "usage",
    says: () => ["empty prompt", "drover run"],
  },
  {
    what: "a prompt of blanks",
    args: [...RUN, " \t\n "],
    exit: EXIT_CODES.usage,
    code: "usage",
    says: () => ["empty prompt"],
  },
  {
    what: "an empty prompt on standard input",
    args: [...RUN, "-"],
    stdin: "\n",
    exit: EXIT_CODES.usage,
    code: "usage",
    says: () => ["empty prompt", "standard input"],
  },
  {
    what: "a prompt over 4 MiB on standard input",
    args: [...RUN, "-"],
    stdin: "p".repeat(4 * 1024 * 1024 + 1),
    exit: EXIT_CODES.usage,
    code: "usage",
    says: () => ["standard input", "4 MiB", "file"],
  },
];

const OPTIONS: readonly Refusal[] = [
  {
    what: "an unknown agent",
    args: ["run", "--agent", "cluade", "--scratch", "hi"],
    exit: EXIT_CODES.unknown,
    code: "agent_unknown",
    says: () => ['"cluade"', "demo", "drover agents --all"],
  },
  {
    what: "no --agent where only the demo is there",
    args: ["run", "--scratch", "hi"],
    exit: EXIT_CODES.preflight,
    code: "no_agent",
    says: () => ["no agent CLI was found", "install one", "--agent demo"],
  },
  {
    what: "a nonsense --permission",
    args: [...RUN, "--permission", "sudo", "hi"],
    exit: EXIT_CODES.usage,
    code: "usage",
    says: () => ["--permission sudo", "full, ask or read-only"],
  },
  ...["soon", "0s", "-5m", "90"].map((text): Refusal => ({
    what: `--time-limit ${text}`,
    args: [...RUN, `--time-limit=${text}`, "hi"],
    exit: EXIT_CODES.usage,
    code: "usage",
    says: () => [`--time-limit ${text}`, "30m"],
  })),
  {
    what: "two directory wishes",
    args: ["run", "--agent", "demo", "--scratch", "--cwd", ".", "hi"],
    exit: EXIT_CODES.usage,
    code: "usage",
    says: () => ["--cwd and --scratch", "choose one"],
  },
  {
    what: "a task to resume that does not exist",
    args: ["run", "--resume", "ffffffff", "hi"],
    exit: EXIT_CODES.unknown,
    code: "task_unknown",
    says: () => ["ffffffff"],
  },
];

const DIRECTORIES: readonly Refusal[] = [
  {
    what: "a --cwd that does not exist",
    args: ["run", "--agent", "demo", "--cwd", "nowhere", "hi"],
    exit: EXIT_CODES.preflight,
    code: "directory_unusable",
    says: (home) => [join(home.cwd, "nowhere"), "does not exist", "--cwd"],
  },
  {
    what: "a --cwd that is a file",
    args: ["run", "--agent", "demo", "--cwd", "note.txt", "hi"],
    arrange: (home) => write(join(home.cwd, "note.txt"), "x"),
    exit: EXIT_CODES.preflight,
    code: "directory_unusable",
    says: (home) => [join(home.cwd, "note.txt"), "is not a directory", "--cwd"],
  },
  {
    what: "--worktree outside a repository",
    args: ["run", "--agent", "demo", "--worktree", "hi"],
    exit: EXIT_CODES.preflight,
    code: "directory_unusable",
    says: (home) => [home.cwd, "not in a git repository", "--scratch"],
  },
  {
    what: "--worktree in a repository without a commit",
    args: ["run", "--agent", "demo", "--worktree", "hi"],
    arrange: gitWithoutCommit,
    exit: EXIT_CODES.preflight,
    code: "directory_unusable",
    says: (home) => [home.cwd, "no commit yet", "--scratch"],
  },
];

const SETTINGS: readonly Refusal[] = [
  ...Object.entries({ "no JSON": "{ tasks: ", "a list": "[1]", "nothing at all": "" }).map(([what, text]): Refusal => ({
    what: `a config.json that holds ${what}`,
    args: [...RUN, "hi"],
    arrange: (home) => writeConfig(home, text),
    exit: EXIT_CODES.config,
    code: "config_invalid",
    says: (home) => [join(home.home, "config.json"), "mend the file"],
  })),
  {
    what: "a config.json that is a directory",
    args: [...RUN, "hi"],
    arrange: (home) => Deno.mkdir(join(home.home, "config.json"), { recursive: true, mode: 0o700 }),
    exit: EXIT_CODES.config,
    code: "config_invalid",
    says: (home) => [join(home.home, "config.json"), "mend the file"],
  },
  {
    what: "a setting in config.json that is out of range",
    args: [...RUN, "hi"],
    arrange: (home) => writeConfig(home, '{ "tasks": { "max_concurrent": 65 } }'),
    exit: EXIT_CODES.config,
    code: "config_invalid",
    says: () => ["tasks.max_concurrent", "65", "config.json", "1 to 64"],
  },
  {
    what: "a setting in the environment that is out of range",
    args: ["daemon"],
    env: () => ({ DROVER_MAX_CONCURRENT_TASKS: "0" }),
    exit: EXIT_CODES.config,
    code: "config_invalid",
    says: () => ["tasks.max_concurrent", '"0"', "DROVER_MAX_CONCURRENT_TASKS", "1 to 64"],
  },
  {
    what: "a setting on the command line that is out of range",
    args: ["daemon", "--log-level", "loud"],
    exit: EXIT_CODES.config,
    code: "config_invalid",
    says: () => ["log.level", '"loud"', "command line", "warning"],
  },
];

const HOMES: readonly Refusal[] = [
  {
    what: "a DROVER_HOME that is relative",
    args: [...RUN, "hi"],
    env: () => ({ DROVER_HOME: "some/where" }),
    exit: EXIT_CODES.home,
    code: "home_unusable",
    says: () => ["DROVER_HOME", '"some/where"', "absolute"],
  },
  {
    what: "no home at all",
    args: [...RUN, "hi"],
    env: () => ({ DROVER_HOME: "", HOME: "" }),
    exit: EXIT_CODES.home,
    code: "home_unusable",
    says: () => ["DROVER_HOME", "HOME", "set DROVER_HOME"],
  },
  {
    what: "a DROVER_HOME that is a file",
    args: [...RUN, "hi"],
    arrange: (home) => write(home.home, "x"),
    exit: EXIT_CODES.home,
    code: "home_unusable",
    says: (home) => [home.home, "is not a directory", "set DROVER_HOME"],
  },
  {
    what: "a DROVER_HOME below a file",
    args: [...RUN, "hi"],
    arrange: (home) => write(home.home, "x"),
    env: (home) => ({ DROVER_HOME: join(home.home, "below") }),
    exit: EXIT_CODES.home,
    code: "home_unusable",
    says: (home) => [join(home.home, "below"), "set DROVER_HOME"],
  },
  // Also where nothing would be written: the socket that stands in it could be anybody's.
  ...[[...RUN, "hi"], ["tasks", "list"]].map((args): Refusal => ({
    what: "a DROVER_HOME that others may write",
    args,
    arrange: async (home) => {
      await Deno.mkdir(home.home);
      await Deno.chmod(home.home, 0o777);
    },
    exit: EXIT_CODES.home,
    code: "home_unusable",
    says: (home) => [home.home, "777", "chmod 700"],
  })),
  {
    what: "a lock file that is a directory",
    args: [...RUN, "hi"],
    arrange: (home) => Deno.mkdir(join(home.home, "daemon.lock"), { recursive: true, mode: 0o700 }),
    exit: EXIT_CODES.home,
    code: "home_unusable",
    says: (home) => [join(home.home, "daemon.lock"), "set DROVER_HOME"],
  },
  {
    what: "a pidfile that is a directory",
    args: [...RUN, "hi"],
    arrange: (home) => Deno.mkdir(join(home.home, "daemon.json"), { recursive: true, mode: 0o700 }),
    exit: EXIT_CODES.home,
    code: "home_unusable",
    says: (home) => [join(home.home, "daemon.json"), "set DROVER_HOME"],
  },
];

for (const form of compiledForm()) {
  const name = (sentence: string) => `[${form.kind}] ${sentence}`;

  for (const refusal of [...PROMPTS, ...OPTIONS, ...DIRECTORIES, ...SETTINGS, ...HOMES]) {
    const { what, args, stdin, exit, code, says } = refusal;
    Deno.test(name(`${args[0]} refuses ${what} with ${code}, and says which and what to do`), async () => {
      await using home = await TestHome.create(form);
      await refusal.arrange?.(home);
      const outcome = await home.json(args, { stdin, env: refusal.env?.(home) });
      const { error } = outcome.value;
      assertEquals([outcome.code, error?.code], [exit.code, code], JSON.stringify(outcome.value));
      assertMatch(error.message, /^[A-Z][^\n]*[^.\n]$/, "one line, and no full stop behind it");
      const text = `${error.message}\n${error.hint ?? ""}`;
      for (const part of says(home)) assertStringIncludes(text, part);
      await home.assertNoProcessLeft();
    });
  }

  Deno.test(name("run says in words what --json says, and nothing on stdout"), async () => {
    await using home = await TestHome.create(form);
    const { code, stdout, stderr } = await home.drover(["run", "--scratch", "hi"]);
    assertEquals([code, stdout], [EXIT_CODES.preflight.code, ""]);
    assertMatch(stderr, /^drover: Cannot choose an agent: [^\n]+\n {2}install one [^\n]+\n$/);
  });

  Deno.test(name("run takes a prompt of a megabyte from standard input and keeps all of it"), async () => {
    await using home = await TestHome.create(form);
    const prompt = `@demo:fast ${"long ".repeat(200_000)}ü€🐄`;
    const { code, value } = await home.json([...RUN, "-"], { stdin: prompt });
    assertEquals([code, value.task?.status], [0, "completed"], await home.log());
    assert(value.task.prompt === prompt, `${value.task.prompt.length} of ${prompt.length} characters came through`);
  });

  Deno.test(name("run in a repository without a commit works in an empty directory and says so"), async () => {
    await using home = await TestHome.create(form);
    await gitWithoutCommit(home);
    const { code, stdout } = await home.drover(["run", "--agent", "demo", "@demo:fast"]);
    assertEquals(code, 0, stdout);
    assertStringIncludes(stdout, "no commit yet; working in an empty directory");
  });
}
