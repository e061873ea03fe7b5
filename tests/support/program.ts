/** The program as its users start it, in both forms: from source, and as the executable that the build makes. */
import { join } from "@std/path";
import { BINARY, ROOT } from "../../scripts/project.ts";

export interface ProgramForm {
  readonly kind: "source" | "compiled";
  /** What to run, before drover's own arguments. */
  readonly argv: readonly [string, ...string[]];
}

/**
 * Every end-to-end test runs over each of these. The executable is `DROVER_TEST_BINARY`, which `deno task test` sets to
 * the one it has just built; under a bare `deno test` it is `dist/drover`. Throws when there is none: a test that
 * skipped itself there would look like one that passed.
 */
export function programForms(): readonly ProgramForm[] {
  const binary = Deno.env.get("DROVER_TEST_BINARY") || BINARY;
  try {
    Deno.statSync(binary);
  } catch (cause) {
    throw new Error(`Cannot find the compiled program at ${binary}: run "deno task build" first`, { cause });
  }
  const main = join(ROOT, "main.ts");
  const run = ["run", "--allow-all", "--quiet", "--no-prompt", `--config=${join(ROOT, "deno.json")}`, main];
  return [
    { kind: "source", argv: [Deno.execPath(), ...run] },
    { kind: "compiled", argv: [binary] },
  ];
}

/**
 * Only the form that people have: for tests that take long and try what the form has no part in. The life cycle's own
 * tests show for both that a daemon is started, found and stopped. `DROVER_TEST_FORMS=both` runs all tests in both.
 */
export function compiledForm(): readonly ProgramForm[] {
  if (Deno.env.get("DROVER_TEST_FORMS") === "both") return programForms();
  return programForms().filter(({ kind }) => kind === "compiled");
}
