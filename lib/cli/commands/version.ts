/** `drover version`: what this program is, and which version the daemon of this home is, when one runs. */
import type { DaemonVersion } from "../../app/daemon_version.ts";
import { BUILD } from "../../core/build_info.ts";
import { DroverError } from "../../core/drover_error.ts";
import { claimedVersion } from "../../core/launch.ts";
import { RELEASE_KEYS } from "../../core/release_keys.ts";
import type { Command, CommandContext } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";
import { paint } from "../output.ts";

/** No key is known whose releases it could accept. */
const UNSIGNED = RELEASE_KEYS.length === 0;

/** By whether it is local, and whether it is unsigned. */
const BUILDS = {
  "true-true": "unsigned local build",
  "true-false": "local build",
  "false-true": "unsigned build",
  "false-false": "release build",
} as const;

export const version: Command = {
  name: "version",
  options: [],
  details: "Starts nothing and changes nothing; a daemon that hangs is named by what its record says.",
  async run(context) {
    const { host: { system }, output } = context;
    const target = BUILD.target || `${system.arch}-${system.os}`;
    const own = claimedVersion(system.env, BUILD.version);
    const { daemon, unknown } = await lookForDaemon(context);
    output.result({
      version: own,
      commit: BUILD.commit,
      target,
      runtime: `deno ${system.denoVersion}`,
      compiled: system.compiled,
      localBuild: BUILD.local,
      unsignedBuild: UNSIGNED,
      daemon: daemon ?? null,
      daemonUnknown: unknown ?? null,
    }, () => {
      const kind = system.compiled ? BUILDS[`${BUILD.local}-${UNSIGNED}`] : "from source";
      output.line(`drover ${own} (${target}, deno ${system.denoVersion}, ${kind})`);
      if (daemon) output.line(described(daemon, own));
      if (unknown) output.line(paint.yellow(`daemon: not known. ${unknown}`));
    });
    return EXIT_CODES.ok.code;
  },
};

/** The version of this program is told in any case, whatever became of the home. */
async function lookForDaemon(context: CommandContext): Promise<{ daemon?: DaemonVersion; unknown?: string }> {
  const { host } = context;
  try {
    const home = context.home();
    // Where nothing ever ran there is nothing to load for.
    if (!await host.files.stat(home.runDirectory)) return {};
    const { daemonVersion } = await import("../../app/daemon_version.ts");
    return { daemon: await daemonVersion(host, home) };
  } catch (error) {
    if (error instanceof DroverError) return { unknown: error.message };
    throw error;
  }
}

function described({ version, pid, mode, answers }: DaemonVersion, own: string): string {
  const what = `${mode === "run" ? "run" : "daemon"} ${version} (pid ${pid}${answers ? "" : ", does not answer"})`;
  return version === own && answers ? what : paint.yellow(what);
}
