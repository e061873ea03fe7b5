/** Lint rule `layers`: who may import whom; and the plugin that joins it with drover's other rules. */
import { EFFECTS } from "./lint_effects.ts";
import { ERROR_TEXT, FILE_SIZE, FIRST_LINE, NO_VAGUE_NAME } from "./lint_files.ts";
import { projectPath } from "./lint_path.ts";

/** A folder may import itself and these. Tests and scripts may import anything, and nothing here may import them. */
const MAY_IMPORT: ReadonlyMap<string, readonly string[]> = new Map([
  ["core", []],
  ["wire", ["core"]],
  ["agents", ["core"]],
  ["host", ["core"]],
  ["lifecycle", ["core", "wire"]],
  ["coordinator", ["core", "wire"]],
  ["daemon", ["core", "wire", "agents"]],
  ["app", ["core", "wire", "agents", "daemon", "coordinator", "lifecycle"]],
  ["cli", ["app", "lifecycle", "core", "wire"]],
  ["main.ts", ["cli", "host", "core"]],
]);

/** `lib/core/x.ts` is in `core`, `main.ts` in `main.ts`; anything else is in no layer. */
function layerOf(path: string): string | undefined {
  if (path === "main.ts") return path;
  return /^lib\/([^/]+)\//.exec(path)?.[1];
}

/** The project path that a relative specifier in `from` leads to. */
function target(from: string, specifier: string): string {
  return new URL(specifier, `file:///${from}`).pathname.slice(1);
}

function objection(path: string, specifier: string): string | undefined {
  const layer = layerOf(path);
  if (layer === undefined) return undefined;
  const allowed = MAY_IMPORT.get(layer);
  if (!allowed) return `The folder lib/${layer} is not in the table of who may import whom, in scripts/lint_layers.ts`;
  if (/^(npm|jsr|https?|file):/.test(specifier)) {
    return `"${specifier}" bypasses the pinned versions: name it under "imports" in deno.json and import that name`;
  }
  if (!specifier.startsWith(".")) return undefined;
  const other = target(path, specifier);
  const otherLayer = layerOf(other);
  if (otherLayer === layer || (otherLayer && allowed.includes(otherLayer))) return undefined;
  const list = allowed.length > 0 ? `only ${allowed.join(", ")} and itself` : "only itself";
  return `${layer} may import ${list}, not ${other}`;
}

const LAYERS: Deno.lint.Rule = {
  create(context) {
    const path = projectPath(context.filename);
    const visit = (node: Deno.lint.Node, source: Deno.lint.Node | null | undefined) => {
      if (!source) return;
      // In `import("./x.ts").X`, the type, the literal is wrapped once more.
      const inner = source.type === "TSLiteralType" ? source.literal : source;
      const literal = inner.type === "Literal" && typeof inner.value === "string" ? inner.value : undefined;
      if (literal === undefined) {
        if (layerOf(path) === undefined) return;
        const message = "The target of this import is computed: neither this rule nor the compiler can follow it";
        context.report({ node, message });
        return;
      }
      const message = objection(path, literal);
      if (message) context.report({ node, message });
    };
    return {
      ImportDeclaration: (node) => visit(node, node.source),
      ExportNamedDeclaration: (node) => visit(node, node.source),
      ExportAllDeclaration: (node) => visit(node, node.source),
      ImportExpression: (node) => visit(node, node.source),
      TSImportType: (node) => visit(node, node.argument),
    };
  },
};

const plugin: Deno.lint.Plugin = {
  name: "drover",
  rules: {
    "layers": LAYERS,
    "effects": EFFECTS,
    "first-line": FIRST_LINE,
    "file-size": FILE_SIZE,
    "no-vague-name": NO_VAGUE_NAME,
    "error-text": ERROR_TEXT,
  },
};

// The linter takes a plugin from the default export.
export default plugin;
