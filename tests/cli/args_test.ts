/** Reading a command line: what is understood, and what an error says. */
import { assertEquals, assertThrows } from "@std/assert";
import { closest, leadingWords, parseCommand } from "../../lib/cli/args.ts";
import type { Command } from "../../lib/cli/command.ts";
import { DroverError } from "../../lib/core/drover_error.ts";

const COMMAND: Command = {
  name: "run",
  operands: "PROMPT",
  minOperands: 1,
  maxOperands: 1,
  options: [
    { name: "agent", value: "NAME", short: "a", summary: "" },
    { name: "cwd", value: "DIR", summary: "" },
    { name: "scratch", summary: "" },
    { name: "worktree", short: "w", summary: "" },
    { name: "server", value: "[URL]", summary: "" },
  ],
  run: () => Promise.resolve(0),
};

function read(...args: string[]) {
  const { positional, values, switches } = parseCommand(COMMAND, args);
  return { positional: [...positional], values: { ...values }, switches: [...switches].sort() };
}

function refused(args: string[], command: Command = COMMAND): { message: string; hint: string | undefined } {
  const error = assertThrows(() => parseCommand(command, args), DroverError);
  assertEquals(error.code, "usage");
  return { message: error.message, hint: error.hint };
}

Deno.test("parseCommand() reads operands, options with and without a value, and short names", () => {
  const all = { positional: ["do it"], values: { agent: "bot", cwd: "/x" }, switches: ["json", "worktree"] };
  assertEquals(read("do it", "--agent", "bot", "--cwd=/x", "--worktree", "--json"), all);
  assertEquals(read("-a", "bot", "-w", "do it", "--cwd", "/x", "--json"), all);
  assertEquals(read("do it"), { positional: ["do it"], values: {}, switches: [] });
});

Deno.test("parseCommand() takes an option whose value may be left out for a switch, and only an address for its value", () => {
  const server = (...args: string[]) => {
    const { positional, values, switches } = read(...args);
    return [positional, values.server, switches.includes("server")];
  };
  assertEquals(server("--server", "do it"), [["do it"], undefined, true]);
  assertEquals(server("do it", "--server"), [["do it"], undefined, true]);
  assertEquals(server("--server", "https://a.example", "do it"), [["do it"], "https://a.example", false]);
  assertEquals(server("do it", "--server=a.example"), [["do it"], "a.example", false]);
  assertEquals(server("--server", "--", "http://do.it"), [["http://do.it"], undefined, true]);
  assertEquals(server("--", "--server"), [["--server"], undefined, false]);
  assertEquals(refused(["do it", "--server="]).message, "The option --server needs a value: --server [URL]");
  assertEquals(refused(["do it", "--server", "--server"]).message, "The option --server was given more than once");
});

Deno.test("leadingWords() finds the words of a verb behind and between what every verb takes", () => {
  const words = (...argv: string[]) => leadingWords(argv, 2).map(({ word, index }) => `${index} ${word}`);
  assertEquals(words("tasks", "list", "x"), ["0 tasks", "1 list"]);
  assertEquals(words("--json", "tasks", "--profile", "tasks", "list"), ["1 tasks", "4 list"]);
  assertEquals(words("--profile=run", "run", "--cwd"), ["1 run", "2 --cwd"]);
  assertEquals(words("--profile", "run"), []);
  assertEquals(words("--profile"), []);
  assertEquals(words(), []);
});

Deno.test("parseCommand() takes operands as they are typed", () => {
  for (const text of ["007", "1e3", "-", "true", "a=b", "", "  ", "0x10"]) assertEquals(read(text).positional, [text]);
  assertEquals(read("--scratch", "--", "--agent").positional, ["--agent"]);
  assertEquals(read("--", "-x").positional, ["-x"]);
});

Deno.test("parseCommand() takes values as they are typed", () => {
  for (const text of ["007", "a=b", "true", "-5", "x y", "/"]) {
    assertEquals(read("p", `--agent=${text}`).values, { agent: text });
  }
  assertEquals(read("p", "--agent", "-"), read("p", "--agent=-"));
});

Deno.test("parseCommand() does not take the word after a switch for its value", () => {
  assertEquals(read("--scratch", "do it"), { positional: ["do it"], values: {}, switches: ["scratch"] });
});

Deno.test("parseCommand() names an unknown option, and the one that was probably meant", () => {
  assertEquals(refused(["p", "--agnet", "x"]), {
    message: "Unknown option --agnet of drover run",
    hint: "did you mean --agent?",
  });
  assertEquals(refused(["p", "--agnet=secret"]).message, "Unknown option --agnet of drover run");
  assertEquals(refused(["p", "--zzzzzz"]), {
    message: "Unknown option --zzzzzz of drover run",
    hint: "drover run --help shows what it takes",
  });
  assertEquals(refused(["p", "-x"]).message, "Unknown option -x of drover run");
  assertEquals(refused(["p", "--constructor"]).message, "Unknown option --constructor of drover run");
});

Deno.test("parseCommand() asks for the value that is missing", () => {
  const message = "The option --agent needs a value: --agent NAME";
  for (const args of [["p", "--agent"], ["p", "--agent="], ["p", "--agent", "--json"], ["p", "-a"]]) {
    assertEquals(refused(args).message, message, args.join(" "));
  }
});

Deno.test("parseCommand() refuses an option that comes twice, as nobody could tell which one counts", () => {
  const message = "The option --agent was given more than once";
  for (const args of [["p", "--agent", "x", "--agent", "y"], ["p", "--agent=x", "-a", "x"]]) {
    assertEquals(refused(args).message, message, args.join(" "));
  }
  assertEquals(read("p", "--json", "--json").switches, ["json"]);
});

Deno.test("parseCommand() counts operands", () => {
  assertEquals(refused([]).message, "drover run needs PROMPT");
  assertEquals(
    refused(["fix", "the", "bug"]).message,
    'drover run takes PROMPT only, got "the bug" besides (quote a text of several words)',
  );
  const none: Command = { ...COMMAND, name: "version", minOperands: 0, maxOperands: 0, operands: "" };
  assertEquals(refused(["now"], none).message, 'drover version takes no operand, got "now"');
});

Deno.test("parseCommand() lets --help through whatever else is missing", () => {
  assertEquals(read("--help").switches, ["help"]);
  assertEquals(read("-h").switches, ["help"]);
});

Deno.test("closest() finds what differs little, and nothing else", () => {
  const rows: [string, string | undefined][] = [
    ["agnet", "agent"],
    ["agents", "agent"],
    ["scrach", "scratch"],
    ["worktre", "worktree"],
    ["agent", "agent"],
    ["xyz", undefined],
    ["", undefined],
    ["completely", undefined],
  ];
  for (const [word, found] of rows) assertEquals(closest(word, ["agent", "scratch", "worktree"]), found, word);
  assertEquals(closest("x", []), undefined);
});
