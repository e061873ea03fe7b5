/** How much of a long test runs: the suite takes a part that still meets every case once, `deno task soak` takes all of it. */

/** Set by the soak for its test runs; by hand it does the same for any of them. */
export const LONG_VARIABLE = "DROVER_TEST_LONG";

export function isLong(): boolean {
  return Deno.env.get(LONG_VARIABLE) === "1";
}
