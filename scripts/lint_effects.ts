/** Lint rule `effects`: the world is touched in lib/host only; everything else goes through the ports. */
import { isGlobal } from "./lint_scope.ts";
import { isProgram, projectPath } from "./lint_path.ts";

/** Global names that are an effect, and the port to use. */
const GLOBALS: ReadonlyMap<string, string> = new Map([
  ["Deno", "the port that does this"],
  ["fetch", "Network, or the fetch of the connection"],
  ["WebSocket", "Network"],
  ["EventSource", "Network"],
  ["setTimeout", "Clock.after or Clock.sleep"],
  ["setInterval", "Clock.sleep in a loop"],
  ["setImmediate", "Clock.after"],
  ["clearTimeout", "the Disposable of Clock.after"],
  ["clearInterval", "the signal of Clock.sleep"],
  ["performance", "Clock.monotonic"],
  ["console", "Logger or Terminal"],
  ["Worker", "a port"],
  ["localStorage", "Files"],
  ["sessionStorage", "Files"],
  ["caches", "Files"],
  ["process", "SystemInfo"],
  ["Buffer", "Uint8Array"],
  ["addEventListener", "Signals"],
  ["globalThis", "the port that does this"],
]);

/** Members of otherwise harmless globals. */
const MEMBERS: ReadonlyMap<string, string> = new Map([
  ["Date.now", "Clock.now"],
  ["Math.random", "Random.fraction"],
  ["crypto.randomUUID", "Random.uuid"],
  ["crypto.getRandomValues", "Random.hex"],
  ["AbortSignal.timeout", "Clock.after"],
  ["Temporal.Now", "Clock.now"],
  // Deno 2.6 forgets such a signal while only its own listener waits for it, so that an abort may never arrive.
  ["AbortSignal.any", "an AbortController that listens to both"],
]);

/** Packages that do nothing but effects. */
const PACKAGES: readonly { readonly pattern: RegExp; readonly instead: string }[] = [
  { pattern: /^node:/, instead: "the port that does this" },
  { pattern: /^@std\/fs(\/|$)/, instead: "Files" },
  { pattern: /^@std\/async(\/|$)/, instead: "Clock" },
  { pattern: /^@logtape\//, instead: "Logs" },
];

/** The two stores are files of our own, opened once, and a port in between would be SQLite again under other names. */
const MAY_USE_SQLITE = /^lib\/(coordinator\/store_sqlite|daemon\/(outbox|usage_store))\w*\.ts$/;

/** Hashes that must be there when the call returns; they touch nothing. */
const MAY_HASH = /^lib\/coordinator\/tokens\.ts$/;

/** main.ts is the one place that starts and ends the process, so it is free like lib/host. */
function applies(path: string): boolean {
  return isProgram(path) && path !== "main.ts" && !path.startsWith("lib/host/");
}

export const EFFECTS: Deno.lint.Rule = {
  create(context) {
    const path = projectPath(context.filename);
    if (!applies(path)) return {};

    // The name in `{ fetch }` is visited twice, as key and as value.
    const told = new Set<number>();
    const object = (node: Deno.lint.Node, what: string, instead: string) => {
      if (told.has(node.range[0])) return;
      told.add(node.range[0]);
      const message = `${what} is an effect and stands only in lib/host`;
      context.report({ node, message, hint: `Use ${instead} (lib/core/ports.ts)` });
    };
    const visitImport = (node: Deno.lint.Node, source: Deno.lint.Node | null | undefined) => {
      if (source?.type !== "Literal" || typeof source.value !== "string") return;
      const specifier = source.value;
      if (specifier === "node:sqlite" && MAY_USE_SQLITE.test(path)) return;
      if (specifier === "node:crypto" && MAY_HASH.test(path)) return;
      const found = PACKAGES.find(({ pattern }) => pattern.test(specifier));
      if (found) object(node, `"${specifier}"`, found.instead);
    };

    return {
      Identifier(node) {
        const instead = GLOBALS.get(node.name);
        if (instead && isGlobal(context, node)) object(node, node.name, instead);
      },
      MemberExpression(node) {
        if (node.object.type !== "Identifier") return;
        const property = node.property.type === "Identifier" && !node.computed
          ? node.property.name
          : node.property.type === "Literal"
          ? String(node.property.value)
          : "";
        const name = `${node.object.name}.${property}`;
        const instead = MEMBERS.get(name);
        if (instead && isGlobal(context, node.object)) object(node, name, instead);
      },
      NewExpression(node) {
        const isNow = node.callee.type === "Identifier" && node.callee.name === "Date" && node.arguments.length === 0;
        if (isNow && isGlobal(context, node.callee as Deno.lint.Identifier)) {
          object(node, "new Date() without a time", "new Date(clock.now())");
        }
      },
      CallExpression(node) {
        if (node.callee.type === "Identifier" && node.callee.name === "Date" && isGlobal(context, node.callee)) {
          object(node, "Date()", "new Date(clock.now())");
        }
      },
      ImportDeclaration: (node) => visitImport(node, node.source),
      ExportNamedDeclaration: (node) => visitImport(node, node.source),
      ExportAllDeclaration: (node) => visitImport(node, node.source),
      ImportExpression: (node) => visitImport(node, node.source),
      TSImportType: (node) => visitImport(node, node.argument),
    };
  },
};
