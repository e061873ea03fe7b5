/** What the build knew about this program; running from source has the values below. */

export interface BuildInfo {
  /** Semantic version without a leading `v`. Between releases the next release's with `-dev`, then `+commit`. */
  readonly version: string;
  /** Twelve hex digits of the commit, empty when it is not known. */
  readonly commit: string;
  /** Target triple of the executable, e.g. `x86_64-unknown-linux-gnu`; empty when run from source. */
  readonly target: string;
  /** True for an executable over a runtime that is not the compiler's own: for trying drover out, not for passing on. */
  readonly local: boolean;
  /** Address below which releases lie (`lib/core/release.ts`); empty when none was named at build. */
  readonly releases: string;
}

/** `scripts/build.ts` puts its own values in the place of this module. */
export const BUILD: BuildInfo = { version: "0.1.0-dev", commit: "", target: "", local: false, releases: "" };
