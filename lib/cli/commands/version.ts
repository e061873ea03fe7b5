/** `drover version`: what this program is. */
import { BUILD } from "../../core/build_info.ts";
import type { Command } from "../command.ts";
import { EXIT_CODES } from "../exit_code.ts";

export const version: Command = {
  name: "version",
  summary: "print the version",
  options: [],
  run({ host, output }) {
    const { system } = host;
    const target = BUILD.target || `${system.arch}-${system.os}`;
    output.result({
      version: BUILD.version,
      commit: BUILD.commit,
      target,
      runtime: `deno ${system.denoVersion}`,
      compiled: system.compiled,
      localBuild: BUILD.local,
    }, () => {
      const kind = system.compiled ? BUILD.local ? "local build" : "release build" : "from source";
      output.line(`drover ${BUILD.version} (${target}, deno ${system.denoVersion}, ${kind})`);
    });
    return Promise.resolve(EXIT_CODES.ok.code);
  },
};
