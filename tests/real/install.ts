/** Installs the real agent CLIs that tests/real runs, each in one or two exact versions from npm, below the tools folder. */
import { dirname, join } from "@std/path";
import { capture, runScript } from "../../scripts/command.ts";
import { makeFolderOnce, sha256OfFile, toolsDir } from "../../scripts/project.ts";

interface RealCli {
  /** By `os-arch` where each platform has a package of its own. */
  readonly package: string;
  /** The one that tests run first, then those it is replaced by or replaces. */
  readonly versions: readonly [string, ...string[]];
  /** Below the installation, as `npm install --global --prefix` lays it out. */
  readonly executable: string;
  /**
   * The package's own install script, run by hand: npm is told to run none, because which flag lets a single one
   * through differs between npm 10, 11 and 12.
   */
  readonly afterwards?: string;
  /** Needs a newer Node.js than the oldest one still in use: it runs with the one installed here. */
  readonly node?: true;
  /** The file that says most of what runs: the program itself, where the launcher is the same in every version. */
  readonly pinned: string;
  /** SHA-256 of that file by version and platform; where none is listed, npm's own integrity check has to do. */
  readonly sha256: Readonly<Record<string, string>>;
}

const MODULES = "lib/node_modules";

const CLIS = {
  node: {
    // The package "node" only installs this one, by a script.
    package: `node-${Deno.build.os}-${Deno.build.arch === "x86_64" ? "x64" : "arm64"}`,
    versions: ["22.23.3"],
    executable: "bin/node",
    pinned: "bin/node",
    sha256: { "22.23.3 linux-x86_64": "fde6a4bf8d0562f7751d1a2d6cb9b417c4cfe107bbcb0aa3e9a24e125e348f48" },
  },
  claude: {
    package: "@anthropic-ai/claude-code",
    versions: ["2.1.328", "2.1.327"],
    executable: "bin/claude",
    // Links the platform's executable over a stub that only says how to install it.
    afterwards: `${MODULES}/@anthropic-ai/claude-code/install.cjs`,
    pinned: "bin/claude",
    sha256: {
      "2.1.328 linux-x86_64": "a982d38030b97e750848add2cbb2df6d9a70d5544a22ca9b216a349ba25865e8",
      "2.1.327 linux-x86_64": "343c744baa14bfd38286a7cb90871051f04379956da6c5b803a9e66019a76ac9",
    },
  },
  codex: {
    package: "@openai/codex",
    versions: ["0.169.0", "0.166.0"],
    executable: "bin/codex",
    pinned: `${MODULES}/@openai/codex/node_modules/@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex`,
    sha256: {
      "0.169.0 linux-x86_64": "b452ca20f838a8855a88a41050ee4a694033fff4ea3ecdad5633e6e0e8d13f2b",
      "0.166.0 linux-x86_64": "b8a11fedf24b2dfb59a70c9e52b030f9a508dcd49cd2dd0d41956f4c785156b8",
    },
  },
  gemini: {
    package: "@google/gemini-cli",
    versions: ["0.61.0"],
    executable: "bin/gemini",
    pinned: "bin/gemini",
    sha256: { "0.61.0 linux-x86_64": "0b6e283ae88682b0e27e8ef85a608ab74807a1513dc0c053e5aa80d5b80b29ab" },
  },
  opencode: {
    package: "opencode-ai",
    versions: ["1.18.33"],
    executable: "bin/opencode",
    afterwards: `${MODULES}/opencode-ai/postinstall.mjs`,
    pinned: "bin/opencode",
    sha256: { "1.18.33 linux-x86_64": "0abbb7c32ab0294c0a7bfa2705f9ff0df5dce5ab721d1f00cccfe393f2a11427" },
  },
  qwen: {
    package: "@qwen-code/qwen-code",
    versions: ["0.24.4"],
    executable: "bin/qwen",
    pinned: `${MODULES}/@qwen-code/qwen-code/cli.js`,
    sha256: { "0.24.4 linux-x86_64": "a5a3afec7465f36fc3e23c2d48be5f5b3101c0b5e37c6e2a434fe5df4f4f8ade" },
  },
  copilot: {
    package: "@github/copilot",
    versions: ["1.0.102"],
    executable: "bin/copilot",
    pinned: `${MODULES}/@github/copilot/node_modules/@github/copilot-linux-x64/copilot`,
    sha256: { "1.0.102 linux-x86_64": "b673fa072f7e9ec6d01dcef14ae22807beba4bcaa945f1d8c1518ec464cec9fd" },
  },
  pi: {
    package: "@earendil-works/pi-coding-agent",
    versions: ["0.87.1"],
    executable: "bin/pi",
    node: true,
    pinned: `${MODULES}/@earendil-works/pi-coding-agent/dist/bundle/cli-runtime.js`,
    sha256: { "0.87.1 linux-x86_64": "9ca136a7caa977d936aa789d7448a3dfb17851677ff5ac8c0dbcf23c31a02142" },
  },
  kimi: {
    package: "@moonshot-ai/kimi-code",
    versions: ["2.1.0"],
    executable: "bin/kimi",
    node: true,
    pinned: "bin/kimi",
    sha256: { "2.1.0 linux-x86_64": "6f801a114b5a5d708d9fec1ea0002ac42ec19841c088a96aecd7e6117b8b1d59" },
  },
  "claude-agent-acp": {
    package: "@agentclientprotocol/claude-agent-acp",
    versions: ["0.100.0"],
    executable: "bin/claude-agent-acp",
    node: true,
    pinned:
      `${MODULES}/@agentclientprotocol/claude-agent-acp/node_modules/@anthropic-ai/claude-agent-sdk-linux-x64/claude`,
    sha256: { "0.100.0 linux-x86_64": "fd13c70000fec3f2116dfbcbb6121210b4a29328bf0e46210a59dd594a67d824" },
  },
  "codex-acp": {
    package: "@zed-industries/codex-acp",
    versions: ["0.16.0"],
    executable: "bin/codex-acp",
    pinned: `${MODULES}/@zed-industries/codex-acp/node_modules/@zed-industries/codex-acp-linux-x64/bin/codex-acp`,
    sha256: { "0.16.0 linux-x86_64": "23a9f2af247fc61aa9a895d5ee91a62a35d05a883bddc2c85d1dc6b2be697087" },
  },
} as const satisfies Record<string, RealCli>;

export type RealCliName = keyof typeof CLIS;

/** Downloads wait for the network, so that several at once take hardly longer than one. */
const AT_ONCE = 3;

function folderOf(name: RealCliName, version: string): string {
  return join(toolsDir(), "real", `${name}-${version}`);
}

/** Path of the command that a user of this CLI would have on PATH. Throws when it is not installed. */
export async function realCli(name: RealCliName, version: string = realCliVersion(name)): Promise<string> {
  const path = join(folderOf(name, version), CLIS[name].executable);
  try {
    await Deno.stat(path);
  } catch (cause) {
    throw new Error(`Cannot find ${name} at ${path}: run "deno task test:real", which installs it`, { cause });
  }
  return path;
}

/** The version that `realCli` has, as its `--version` shows it. */
export function realCliVersion(name: RealCliName): string {
  return CLIS[name].versions[0];
}

/** The one that is installed as well, to be replaced. */
export function olderVersion(name: "claude" | "codex"): string {
  return CLIS[name].versions[1];
}

/** The Node.js it needs first on PATH, if the machine's may be too old. */
export function needsNode(name: RealCliName): boolean {
  return "node" in CLIS[name];
}

/** Installs it unless it is there. Throws when what runs is not what was pinned. */
async function installRealCli(name: RealCliName, version: string): Promise<void> {
  await makeFolderOnce(folderOf(name, version), async (prefix) => {
    console.error(`installing ${CLIS[name].package}@${version} from npm`);
    await npmInstall(name, version, prefix);
    const cli: RealCli = CLIS[name];
    const wanted = cli.sha256[`${version} ${Deno.build.os}-${Deno.build.arch}`];
    const found = wanted && await sha256OfFile(join(prefix, cli.pinned));
    if (found !== wanted) {
      throw new Error(
        `Refused ${cli.package}@${version}: ${cli.pinned} in it has SHA-256 ${found}, not the pinned ${wanted}`,
      );
    }
  });
}

/** As a user does it; into a prefix that has another version, this replaces that one. */
export async function npmInstall(name: RealCliName, version: string, prefix: string): Promise<void> {
  const cli: RealCli = CLIS[name];
  await capture([
    ...["npm", "install", "--global", "--prefix", prefix, "--ignore-scripts"] as const,
    ...["--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error", `${cli.package}@${version}`],
  ], { timeoutMs: 600_000 });
  if (cli.afterwards) {
    const script = join(prefix, cli.afterwards);
    await capture(["node", script], { cwd: dirname(script), timeoutMs: 60_000 });
  }
}

async function main(args: readonly string[]): Promise<number> {
  const names = Object.keys(CLIS) as RealCliName[];
  const unknown = args.filter((arg) => !names.some((name) => name === arg));
  if (unknown.length > 0) throw new Error(`Unknown agent CLI ${unknown[0]}: it can be ${names.join(", ")}`);
  const chosen = names.filter((name) => args.length === 0 || args.includes(name));
  const wanted = chosen.flatMap((name) => CLIS[name].versions.map((version) => [name, version] as const));
  const next = wanted.values();
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (const [name, version] of next) await installRealCli(name, version);
  }));
  return 0;
}

if (import.meta.main) await runScript(() => main(Deno.args));
