/** The table of verbs: its names are the commands' own, and short commands load nothing that they do not need. */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { loadCommands, VERBS } from "../../lib/cli/verbs.ts";

const ROOT = new URL("../../", import.meta.url);

interface Graph {
  readonly roots: readonly string[];
  readonly redirects?: Readonly<Record<string, string>>;
  readonly modules: readonly {
    readonly specifier: string;
    readonly dependencies?: readonly { readonly code?: { readonly specifier: string }; readonly isDynamic?: boolean }[];
  }[];
}

/** Everything that is evaluated before the file itself is: what it imports, not counting dynamic imports and types. */
async function loadedWith(path: string): Promise<string[]> {
  const child = new Deno.Command(Deno.execPath(), { args: ["info", "--json", path], cwd: fromFileUrl(ROOT) });
  const { stdout } = await child.output();
  const graph = JSON.parse(new TextDecoder().decode(stdout)) as Graph;
  const modules = new Map(graph.modules.map((module) => [module.specifier, module]));
  const found = new Set<string>();
  const queue = [...graph.roots];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const specifier = graph.redirects?.[next] ?? next;
    if (found.has(specifier)) continue;
    found.add(specifier);
    for (const { code, isDynamic } of modules.get(specifier)?.dependencies ?? []) {
      if (code && !isDynamic) queue.push(code.specifier);
    }
  }
  return [...found].map((specifier) => specifier.replace(ROOT.href, "")).sort();
}

/** Each takes longer to load than all else that such a command does; zod/mini is quick. */
const HEAVY = /^node:|^npm:\/(hono|postgres|@logtape|zod@[\d.]+$)|^lib\/(coordinator\/embedded|daemon\/daemon)\.ts$/;

Deno.test("each verb stands in the table under its own name", async () => {
  assertEquals((await loadCommands()).map(({ name }) => name), Object.keys(VERBS));
});

Deno.test("neither the program's start nor any verb's file loads what is heavy before it is needed", async () => {
  const files = [...Deno.readDirSync(new URL("lib/cli/commands", ROOT))].map(({ name }) => `lib/cli/commands/${name}`);
  assert(files.includes("lib/cli/commands/status.ts"));
  for (const path of ["main.ts", ...files]) {
    const loaded = await loadedWith(path);
    assert(loaded.includes(path), `${path} is in ${loaded}`);
    assertEquals(loaded.filter((module) => HEAVY.test(module)), [], path);
  }
});

Deno.test("status, which is to answer at once, does without zod altogether", async () => {
  const loaded = await loadedWith("lib/cli/commands/status.ts");
  assertEquals(loaded.filter((module) => /zod/.test(module)), []);
});

Deno.test("the daemon does load what counts as heavy for other commands", async () => {
  const heavy = (await loadedWith("lib/app/daemon_host.ts")).filter((module) => HEAVY.test(module));
  for (const part of ["node:sqlite", "lib/daemon/daemon.ts", "lib/coordinator/embedded.ts", "npm:/hono"]) {
    assert(heavy.some((module) => module.startsWith(part)), part);
  }
});

Deno.test("only a coordinator over PostgreSQL loads the driver for it", async () => {
  const driver = async (path: string) =>
    (await loadedWith(path)).filter((module) => module.startsWith("npm:/postgres"));
  assertEquals(await driver("lib/coordinator/embedded.ts"), []);
  assertEquals((await driver("lib/coordinator/store_postgres.ts")).length, 1);
});
