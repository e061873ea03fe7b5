/** What is in the program besides its own sources, as a CycloneDX list: packages with version, digest and licence, and the runtime. */
import { join } from "@std/path";
import { capture } from "./command.ts";
import { ROOT } from "./project.ts";

interface Package {
  readonly name: string;
  readonly version: string;
  readonly localPath?: string;
}

export interface Component {
  readonly type: "library" | "platform";
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses?: readonly { readonly license: { readonly id: string } }[];
  readonly hashes?: readonly { readonly alg: "SHA-512"; readonly content: string }[];
}

/** `runtime`: version of Deno whose runtime the executables are over. `time`: seconds since 1970. */
export async function dependencyList(
  release: { readonly version: string; readonly time: number; readonly runtime: string },
): Promise<string> {
  const components = [...await packages(), {
    type: "platform",
    name: "deno",
    version: release.runtime,
    purl: `pkg:github/denoland/deno@v${release.runtime}`,
    licenses: [{ license: { id: "MIT" } }],
  }];
  const list = {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      timestamp: new Date(release.time * 1_000).toISOString(),
      component: { type: "application", name: "drover", version: release.version },
    },
    components,
  };
  return JSON.stringify(list, null, 2) + "\n";
}

/** Those that the program imports, not those of tests and scripts; digests as the lock file has them. */
async function packages(): Promise<Component[]> {
  const graph = JSON.parse(await capture([Deno.execPath(), "info", "--json", join(ROOT, "main.ts")], { cwd: ROOT }));
  const lock = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.lock")));
  const found = await Promise.all(
    Object.entries<Package>(graph.npmPackages).map(async ([id, one]): Promise<Component> => {
      const integrity: string = lock.npm[id]?.integrity ?? "";
      if (!integrity.startsWith("sha512-")) throw new Error(`Cannot list ${id}: deno.lock has no SHA-512 of it`);
      const content = Uint8Array.fromBase64(integrity.slice("sha512-".length)).toHex();
      const license = one.localPath ? await licenseIn(one.localPath) : undefined;
      return {
        type: "library",
        name: one.name,
        version: one.version,
        purl: `pkg:npm/${one.name.replace("@", "%40")}@${one.version}`,
        ...(license ? { licenses: [{ license: { id: license } }] } : {}),
        hashes: [{ alg: "SHA-512", content }],
      };
    }),
  );
  return found.toSorted((a, b) => a.purl < b.purl ? -1 : 1);
}

async function licenseIn(folder: string): Promise<string | undefined> {
  const { license } = JSON.parse(await Deno.readTextFile(join(folder, "package.json")));
  return typeof license === "string" ? license : undefined;
}
