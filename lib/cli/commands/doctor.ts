/** `drover doctor`: what works here and what does not, as a list with advice; it changes nothing. */
import type { CheckResult } from "../../app/doctor.ts";
import { BUILD } from "../../core/build_info.ts";
import { DroverError } from "../../core/drover_error.ts";
import type { Home } from "../../core/home.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { paint, plain } from "../output.ts";

export const doctor: Command = {
  name: "doctor",
  options: [{ name: "verbose", short: "v", summary: "also every file of the home, and what lies behind each finding" }],
  details: `
Changes nothing: what the file system of the home can do is tried in a directory of its own in there, which is removed
again, and a home that is not there is not made. Exits with 0 when there is no problem, and with 1 when there is one;
warnings do not count.`,
  async run(context) {
    const { host, output, args } = context;
    const { diagnose } = await import("../../app/doctor.ts");
    const home = homeOrReason(context);
    const { checks, files, warnings, problems } = await diagnose(host, home);
    const root = home instanceof DroverError ? null : home.root;
    const verbose = args.switches.has("verbose");
    output.result(
      { healthy: problems === 0, problems, warnings, version: BUILD.version, home: root, checks, files },
      () => {
        output.line(`drover ${BUILD.version}, home ${root ?? "unknown"}`);
        for (const line of checklist(checks, verbose)) output.line(line);
        if (verbose) {
          for (const { mode, owner, kind, size, path } of files) {
            output.line(plain(`${mode.padStart(5)} ${owner} ${kind.padEnd(9)} ${String(size).padStart(9)}  ${path}`));
          }
        }
        output.line(`${counted(problems, "problem")}, ${counted(warnings, "warning")}`);
      },
    );
    return problems === 0 ? EXIT_CODES.ok.code : EXIT_CODES.unexpected.code;
  },
};

/** Without a home there is still a machine to look at. */
function homeOrReason({ home }: CommandContext): Home | DroverError {
  try {
    return home();
  } catch (error) {
    if (error instanceof DroverError) return error;
    throw error;
  }
}

/** Painted when printed: whether there is colour is not known before. */
const MARKS = {
  ok: () => paint.green("ok     "),
  warning: () => paint.yellow("warning"),
  problem: () => paint.red("PROBLEM"),
} as const;

function checklist(checks: readonly CheckResult[], verbose: boolean): string[] {
  const width = Math.max(...checks.map(({ name }) => name.length));
  return checks.flatMap(({ name, verdict, finding, advice, details }) => {
    const indent = " ".repeat(width + 11);
    return [
      `${MARKS[verdict]()}  ${name.padEnd(width)}  ${plain(finding)}`,
      ...(advice ? [`${indent}${paint.bold("→")} ${plain(advice)}`] : []),
      ...(verbose ? details.map((detail) => paint.dim(`${indent}${plain(detail)}`)) : []),
    ];
  });
}

function counted(number: number, noun: string): string {
  return `${number === 0 ? "no" : number} ${noun}${number === 1 ? "" : "s"}`;
}
