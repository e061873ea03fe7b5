/** Installs the real agent CLIs that tests/real runs, each in one exact version from npm, below the tools folder. */
import { join } from "@std/path";
import { capture, runScript } from "../../scripts/command.ts";
import { makeFolderOnce, sha256OfFile, toolsDir } from "../../scripts/project.ts";

interface RealCli {
  readonly package: string;
  readonly version: string;
  /** Below the installation, as `npm install --global --prefix` lays it out. */
  readonly executable: string;
  /**
   * The package's own install script, run by hand: npm is told to run none, because which flag lets a single one
   * through differs between npm 10, 11 and 12.
   */
  readonly afterwards?: string;
  /** SHA-256 of the executable by `os-arch`; where none is listed, npm's own integrity check has to do. */
  readonly sha256: Readonly<Record<string, string>>;
}

const CLIS = {
  claude: {
    package: "@anthropic-ai/claude-code",
    version: "2.1.328",
    executable: "bin/claude",
    // Links the platform's executable over a stub that only says how to install it.
    afterwards: "lib/node_modules/@anthropic-ai/claude-code/install.cjs",
    sha256: { "linux-x86_64": "a982d38030b97e750848add2cbb2df6d9a70d5544a22ca9b216a349ba25865e8" },
  },
} as const satisfies Record<string, RealCli>;

export type RealCliName = keyof typeof CLIS;

function folderOf(name: RealCliName): string {
  return join(toolsDir(), "real", `${name}-${CLIS[name].version}`);
}

/** Path of the command that a user of this CLI would have on PATH. Throws when it is not installed. */
export async function realCli(name: RealCliName): Promise<string> {
  const path = join(folderOf(name), CLIS[name].executable);
  try {
    await Deno.stat(path);
  } catch (cause) {
    throw new Error(`Cannot find ${name} at ${path}: run "deno task test:real", which installs it`, { cause });
  }
  return path;
}

/** The version that `realCli` has, as its `--version` begins. */
export function realCliVersion(name: RealCliName): string {
  return CLIS[name].version;
}

/** Installs it unless it is there. Throws when the executable is not the pinned one. */
export async function installRealCli(name: RealCliName): Promise<void> {
  const cli: RealCli = CLIS[name];
  await makeFolderOnce(folderOf(name), async (folder) => {
    console.error(`installing ${cli.package}@${cli.version} from npm`);
    await capture([
      ...["npm", "install", "--global", "--prefix", folder, "--ignore-scripts"] as const,
      ...["--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error", `${cli.package}@${cli.version}`],
    ], { timeoutMs: 600_000 });
    if (cli.afterwards) await capture(["node", join(folder, cli.afterwards)], { cwd: folder, timeoutMs: 60_000 });
    const wanted = cli.sha256[`${Deno.build.os}-${Deno.build.arch}`];
    const found = wanted && await sha256OfFile(join(folder, cli.executable));
    if (found !== wanted) {
      throw new Error(
        `Refused ${cli.package}@${cli.version}: its executable has SHA-256 ${found}, not the pinned ${wanted}`,
      );
    }
  });
}

if (import.meta.main) {
  await runScript(async () => {
    for (const name of Object.keys(CLIS) as RealCliName[]) await installRealCli(name);
    return 0;
  });
}
