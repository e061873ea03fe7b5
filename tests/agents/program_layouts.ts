/** Trees of files as package managers and version managers lay them out, each in two versions. */
import { assertEquals } from "@std/assert";
import { dirname } from "@std/path";
import { type WhatRuns, whatRuns } from "../../lib/agents/what_runs.ts";
import { type FileRole, ROLES, sightOf } from "../../lib/core/reload_sight.ts";
import { createFiles } from "../../lib/host/files.ts";
import { createFingerprints } from "../../lib/host/fingerprint.ts";
import { placeScript } from "../support/program_file.ts";

export const ELF = "\x7fELF";
export const fingerprints = createFingerprints();
export const files = createFiles();

/** `path → content`; content that begins with `-> ` is a link, with `#!` or the ELF mark it is made executable. */
export type Tree = Readonly<Record<string, string>>;

export class Machine implements AsyncDisposable {
  private constructor(readonly root: string) {}

  static async of(tree: Tree): Promise<Machine> {
    const machine = new Machine(await Deno.realPath(await Deno.makeTempDir({ prefix: "drover-test-" })));
    await machine.put(tree);
    return machine;
  }

  at(path: string): string {
    return `${this.root}/${path}`;
  }

  /** Puts each in place at once, as installers do, or writes over what is there. */
  async put(tree: Tree, { inPlace = false } = {}): Promise<void> {
    for (const [name, content] of Object.entries(tree)) {
      const path = this.at(name);
      await Deno.mkdir(dirname(path), { recursive: true });
      const text = content.replaceAll("$ROOT", this.root);
      const isLink = text.startsWith("-> ");
      const target = inPlace && !isLink ? path : `${path}.new`;
      if (isLink) await Deno.symlink(text.slice(3), target);
      else if (text.startsWith("#!") && target !== path) await placeScript(target, text);
      else await Deno.writeTextFile(target, text, { mode: /^#!|^\x7f/.test(text) ? 0o755 : 0o644 });
      if (target !== path) await Deno.rename(target, path);
    }
  }

  /** Gives every file the time of another machine's clock, as archives do. */
  async stamp(tree: Tree, time: Date): Promise<void> {
    for (const name of Object.keys(tree)) {
      if ((await Deno.lstat(this.at(name))).isFile) await Deno.utime(this.at(name), time, time);
    }
  }

  async run(command: string, env: Record<string, string> = {}, hints: readonly string[] = []): Promise<WhatRuns> {
    const around = { fingerprints, files, env: { HOME: this.at("home"), ...env } };
    return await whatRuns(this.at(command), around, { hints });
  }

  /** `role path` of each file, below the root. */
  async sees(command: string, env: Record<string, string> = {}): Promise<string[]> {
    return this.short(await this.run(command, env));
  }

  short({ files }: WhatRuns): string[] {
    return files.map(({ role, path }) => `${role} ${path.replace(`${this.root}/`, "")}`);
  }

  /** What the daemon would compare. */
  async fingerprint(command: string): Promise<{ digest: string; whole: boolean }> {
    const found = await this.run(command);
    const seen = await Promise.all(
      found.files.map(async ({ path, role }) => ({ role, look: await fingerprints.look(path) })),
    );
    assertEquals(sightOf(seen).kind, "seen", JSON.stringify(found));
    const hashed = found.files.filter(({ role }) => ROLES[role].hashed);
    return {
      digest: (await Promise.all(hashed.map(({ path }) => fingerprints.hashFile(path)))).join(),
      whole: found.whole,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.root, { recursive: true });
  }
}

export const LAUNCHER = "#!/usr/bin/env node\nimport { spawn } from 'node:child_process';\n";

function npmShim(prefix: string, version: string): Tree {
  const owner = `${prefix}/lib/node_modules/@vendor/tool`;
  return {
    [`${prefix}/bin/tool`]: "-> ../lib/node_modules/@vendor/tool/bin/tool.js",
    [`${owner}/bin/tool.js`]: LAUNCHER,
    [`${owner}/package.json`]: JSON.stringify({
      name: "@vendor/tool",
      version,
      optionalDependencies: { "@vendor/tool-linux-x64": version, "@vendor/tool-darwin-arm64": version },
    }),
    [`${owner}/node_modules/@vendor/tool-linux-x64/package.json`]: JSON.stringify({ name: "@vendor/tool-linux-x64" }),
    [`${owner}/node_modules/@vendor/tool-linux-x64/vendor/x64/bin/tool`]: `${ELF} ${version}`,
    [`${owner}/node_modules/@vendor/tool-linux-x64/vendor/x64/lib/libvoice.so.0`]: `${ELF} ${version}`,
    [`${owner}/node_modules/@vendor/tool-linux-x64/README.md`]: version,
  };
}

/** Each in two versions: the second tree is put over the first, as the upgrade would. */
export interface Layout {
  readonly name: string;
  readonly command: string;
  readonly tree: (version: string) => Tree;
  readonly sees: readonly `${FileRole} ${string}`[];
  readonly whole: boolean;
}

export const LAYOUTS: readonly Layout[] = [
  {
    name: "a native program",
    command: "bin/tool",
    tree: (version) => ({ "bin/tool": `${ELF} ${version}` }),
    sees: ["program bin/tool"],
    whole: true,
  },
  {
    name: "a native installer with a folder per version",
    command: "home/.local/bin/tool",
    tree: (version) => ({
      [`home/.local/share/tool/versions/${version}`]: `${ELF} ${version}`,
      "home/.local/bin/tool": `-> ../share/tool/versions/${version}`,
    }),
    sees: ["program home/.local/bin/tool"],
    whole: true,
  },
  {
    name: "an npm package whose launcher is native",
    command: "usr/bin/tool",
    tree: (version) => ({
      "usr/bin/tool": "-> ../lib/node_modules/tool/bin/tool.exe",
      "usr/lib/node_modules/tool/bin/tool.exe": `${ELF} ${version}`,
      "usr/lib/node_modules/tool/package.json": JSON.stringify({ name: "tool", version }),
    }),
    sees: ["program usr/bin/tool"],
    whole: true,
  },
  {
    name: "an npm launcher that never changes and starts the program of its platform package",
    command: "usr/bin/tool",
    tree: (version) => npmShim("usr", version),
    sees: [
      "program usr/bin/tool",
      "code usr/lib/node_modules/@vendor/tool/package.json",
      "code usr/lib/node_modules/@vendor/tool/node_modules/@vendor/tool-linux-x64/package.json",
      "program usr/lib/node_modules/@vendor/tool/node_modules/@vendor/tool-linux-x64/vendor/x64/bin/tool",
    ],
    whole: true,
  },
  {
    name: "an npm launcher that never changes and loads code beside it",
    command: "usr/bin/tool",
    tree: (version) => ({
      "usr/bin/tool": "-> ../lib/node_modules/tool/dist/cli.js",
      "usr/lib/node_modules/tool/dist/cli.js": "#!/usr/bin/env -S node --no-warnings\nimport './runtime.js';\n",
      "usr/lib/node_modules/tool/dist/runtime.js": version,
      "usr/lib/node_modules/tool/dist/package.json": '{ "type": "module" }',
      "usr/lib/node_modules/tool/package.json": JSON.stringify({ name: "tool", version }),
    }),
    sees: ["program usr/bin/tool", "code usr/lib/node_modules/tool/package.json"],
    whole: true,
  },
  {
    name: "a platform package that was hoisted, and a program in a folder of its own",
    command: "usr/bin/tool",
    tree: (version) => ({
      "usr/bin/tool": "-> ../lib/node_modules/tool/cli.js",
      "usr/lib/node_modules/tool/cli.js": LAUNCHER,
      "usr/lib/node_modules/tool/vendor/tool-core": `${ELF} ${version}`,
      "usr/lib/node_modules/tool/package.json": '{ "name": "tool", "optionalDependencies": { "tool-x64": "*" } }',
      "usr/lib/node_modules/tool-x64/package.json": '{ "name": "tool-x64" }',
      "usr/lib/node_modules/tool-x64/tool": `${ELF} ${version}`,
      "usr/lib/node_modules/tool-x64/node_modules/builder/bin/builder": ELF,
    }),
    sees: [
      "program usr/bin/tool",
      "code usr/lib/node_modules/tool/package.json",
      "code usr/lib/node_modules/tool-x64/package.json",
      "program usr/lib/node_modules/tool/vendor/tool-core",
      "program usr/lib/node_modules/tool-x64/tool",
    ],
    whole: true,
  },
  {
    name: "pnpm, whose commands are shell scripts",
    command: "pnpm/tool",
    tree: (version) => ({
      "pnpm/tool": [
        "#!/bin/sh",
        `basedir=$(dirname "$(echo "$0" | sed -e 's,\\\\,/,g')")`,
        'if [ -x "$basedir/node" ]; then',
        '  exec "$basedir/node"  "$basedir/global/5/node_modules/tool/cli.js" "$@"',
        "else",
        '  exec node  "$basedir/global/5/node_modules/tool/cli.js" "$@"',
        "fi",
      ].join("\n"),
      "pnpm/global/5/node_modules/tool/cli.js": LAUNCHER,
      "pnpm/global/5/node_modules/tool/package.json": JSON.stringify({ name: "tool", version }),
    }),
    sees: [
      "program pnpm/tool",
      "code pnpm/global/5/node_modules/tool/cli.js",
      "code pnpm/global/5/node_modules/tool/package.json",
    ],
    whole: true,
  },
  {
    name: "Homebrew: a link into the Cellar, to a wrapper that starts the program in libexec",
    command: "brew/bin/tool",
    tree: (version) => ({
      "brew/bin/tool": `-> ../Cellar/tool/${version}/bin/tool`,
      [`brew/Cellar/tool/${version}/bin/tool`]:
        `#!/bin/bash\nTOOL_HOME="$ROOT/brew/opt/tool" exec "$ROOT/brew/opt/tool/libexec/bin/tool" "$@"\n`,
      [`brew/Cellar/tool/${version}/libexec/bin/tool`]: `${ELF} ${version}`,
      "brew/opt/tool": `-> ../Cellar/tool/${version}`,
    }),
    sees: ["program brew/bin/tool", "program brew/opt/tool/libexec/bin/tool"],
    whole: true,
  },
  {
    name: "a wrapper of somebody's own",
    command: "home/bin/tool",
    tree: (version) => ({
      "home/bin/tool":
        '#!/usr/bin/env bash\nset -eu\n# not "/opt/other/tool" "$@"\ncd "$(dirname "${BASH_SOURCE[0]}")/.."\n' +
        'export TOOL_KEY="$(cat ~/.key)"\nexec env -u DEBUG "$HOME/opt/tool/tool" --quiet \\\n  "$@"\n',
      "home/opt/tool/tool": `${ELF} ${version}`,
    }),
    sees: ["program home/bin/tool", "program home/opt/tool/tool"],
    whole: true,
  },
  {
    name: "pipx: the entry point of a Python distribution",
    command: "home/.local/bin/my-tool",
    tree: (version) => ({
      "home/.local/bin/my-tool": "-> ../share/pipx/venvs/my-tool/bin/my-tool",
      "home/.local/share/pipx/venvs/my-tool/bin/my-tool":
        "#!$ROOT/home/.local/share/pipx/venvs/my-tool/bin/python\nfrom my_tool.cli import cli\ncli()\n",
      [`home/.local/share/pipx/venvs/my-tool/lib/python3.12/site-packages/My_Tool-0.9.dist-info/RECORD`]: version,
      [`home/.local/share/pipx/venvs/my-tool/lib/python3.12/site-packages/other-1.dist-info/RECORD`]: "1",
    }),
    sees: [
      "program home/.local/bin/my-tool",
      "code home/.local/share/pipx/venvs/my-tool/lib/python3.12/site-packages/My_Tool-0.9.dist-info/RECORD",
    ],
    whole: true,
  },
  {
    name: "nvm: a directory for each version of node",
    command: "home/.nvm/versions/node/v22.1.0/bin/tool",
    tree: (version) => npmShim("home/.nvm/versions/node/v22.1.0", version),
    sees: [
      "program home/.nvm/versions/node/v22.1.0/bin/tool",
      "code home/.nvm/versions/node/v22.1.0/lib/node_modules/@vendor/tool/package.json",
      "code home/.nvm/versions/node/v22.1.0/lib/node_modules/@vendor/tool/node_modules/@vendor/tool-linux-x64/package.json",
      "program home/.nvm/versions/node/v22.1.0/lib/node_modules/@vendor/tool/node_modules/@vendor/tool-linux-x64/vendor/x64/bin/tool",
    ],
    whole: true,
  },
  {
    name: "fnm: a link to the directory of a version of node",
    command: "home/fnm/aliases/default/bin/tool",
    tree: (version) => ({
      [`home/fnm/node-versions/v${version}/installation/bin/tool`]: "-> ../lib/node_modules/tool/cli.js",
      [`home/fnm/node-versions/v${version}/installation/lib/node_modules/tool/cli.js`]: LAUNCHER,
      [`home/fnm/node-versions/v${version}/installation/lib/node_modules/tool/package.json`]: JSON.stringify({
        name: "tool",
        version,
      }),
      "home/fnm/aliases/default": `-> ../node-versions/v${version}/installation`,
    }),
    // The launcher is found by its real place, so a link that is retargeted leads to another file.
    sees: [
      "program home/fnm/aliases/default/bin/tool",
      "code home/fnm/node-versions/v1.0.0/installation/lib/node_modules/tool/package.json",
    ],
    whole: true,
  },
  {
    name: "asdf: a script that asks which version is wanted",
    command: "home/.asdf/shims/tool",
    tree: (version) => ({
      "home/.asdf/shims/tool": "#!/usr/bin/env bash\n" +
        ["0.9.0", "1.0.0", "2.0.0", "3.0.0"].map((one) => `# asdf-plugin: nodejs ${one}\n`).join("") +
        'exec $ROOT/home/.asdf/bin/asdf exec "tool" "$@"\n',
      "home/.tool-versions": `# mine\npython 3.12\nnodejs ${version} 18.0.0\n`,
      [`home/.asdf/installs/nodejs/${version}/bin/tool`]: `${ELF} ${version}`,
    }),
    sees: [
      "shim home/.asdf/shims/tool",
      "hint home/.tool-versions",
      "program home/.asdf/installs/nodejs/1.0.0/bin/tool",
    ],
    whole: false,
  },
  {
    name: "mise: a link to mise itself, which starts what its settings name",
    command: "home/.local/share/mise/shims/tool",
    tree: (version) => ({
      "home/.local/bin/mise": `${ELF} mise`,
      "home/.local/share/mise/shims/tool": "-> $ROOT/home/.local/bin/mise",
      "home/.config/mise/config.toml":
        '[tools]\nnode = ["22", "20"]\n"npm:@vendor/tool" = "2"\n[alias]\n"npm:@vendor/tool" = "9"\n',
      [`home/.local/share/mise/installs/npm-vendor-tool/${version}/bin/tool`]: `${ELF} ${version}`,
      "home/.local/share/mise/installs/npm-vendor-tool/2": `-> ./${version}`,
      "home/.local/share/mise/installs/node/22/bin/node": ELF,
    }),
    sees: [
      "shim home/.local/share/mise/shims/tool",
      "hint home/.config/mise/config.toml",
      "hint home/.tool-versions",
      "program home/.local/share/mise/installs/npm-vendor-tool/2/bin/tool",
    ],
    whole: false,
  },
  {
    name: "volta: a link to its shim, and a record of the package that has the command",
    command: "home/.volta/bin/tool",
    tree: (version) => ({
      "home/.volta/bin/volta-shim": `${ELF} volta`,
      "home/.volta/bin/tool": "-> volta-shim",
      "home/.volta/tools/user/bins/tool.json": JSON.stringify({ name: "tool", package: "@vendor/tool", version }),
      "home/.volta/tools/image/packages/@vendor/tool/bin/tool": `${ELF} ${version}`,
    }),
    sees: [
      "shim home/.volta/bin/tool",
      "hint home/.volta/tools/user/bins/tool.json",
      "program home/.volta/tools/image/packages/@vendor/tool/bin/tool",
    ],
    whole: false,
  },
];
