/** Lint rules about files and texts: `first-line`, `file-size`, `no-vague-name` and `error-text`. */
import { isProgram, projectPath } from "./lint_path.ts";

const MAX_LINES = 400;
const VAGUE = /(^|\/)(utils?|helpers?|common|misc|shared)(_test)?\.ts$/;

function isScript(path: string): boolean {
  return path.startsWith("scripts/") && path.endsWith(".ts");
}

/** The map of the sources is made of these lines. */
export const FIRST_LINE: Deno.lint.Rule = {
  create(context) {
    const path = projectPath(context.filename);
    if (!isProgram(path) && !isScript(path)) return {};
    return {
      Program(node) {
        const text = context.sourceCode.text.replace(/^#![^\n]*\n/, "");
        const end = text.indexOf("\n");
        if (/^\/\*\* \S.*[^\s.]\. \*\/$/.test(end < 0 ? text : text.slice(0, end))) return;
        context.report({
          range: [node.range[0], node.range[0]],
          message: "The first line does not say what rule or role this file holds",
          hint: "Begin the file with one line: /** What it is for, as a sentence. */",
        });
      },
    };
  },
};

export const FILE_SIZE: Deno.lint.Rule = {
  create(context) {
    if (!isProgram(projectPath(context.filename))) return {};
    return {
      Program(node) {
        const lines = context.sourceCode.text.trimEnd().split("\n").length;
        if (lines <= MAX_LINES) return;
        context.report({
          range: [node.range[0], node.range[0]],
          message: `The file has ${lines} lines, more than ${MAX_LINES}`,
          hint: "It has two jobs: give the second one a file named after it",
        });
      },
    };
  },
};

export const NO_VAGUE_NAME: Deno.lint.Rule = {
  create(context) {
    if (!VAGUE.test(projectPath(context.filename))) return {};
    return {
      Program(node) {
        context.report({
          range: [node.range[0], node.range[0]],
          message: "The file's name says nothing about what is in it",
          hint: "Name it after its one job",
        });
      },
    };
  },
};

/** The message of `new SomethingError(…)` where it is written out there: a capital first letter, no final period. */
export const ERROR_TEXT: Deno.lint.Rule = {
  create(context) {
    const path = projectPath(context.filename);
    if (!isProgram(path) && !isScript(path)) return {};
    return {
      NewExpression(node) {
        if (node.callee.type !== "Identifier" || !node.callee.name.endsWith("Error")) return;
        const texts = node.arguments.map(writtenText).filter((text) => text !== undefined);
        // The message comes after the code that some classes take first, and is more than a word if only one is written.
        const isProse = (text: Written) => /\s/.test(text.first + text.last);
        const message = texts.find(isProse) ?? texts.at(-1);
        if (!message) return;
        if (/^\p{Ll}/u.test(message.first) && (texts.length > 1 || isProse(message))) {
          context.report({ node, message: "An error's text begins with a capital letter" });
        }
        if (/(?<!\.)\.$/.test(message.last)) {
          context.report({ node, message: "An error's text has no period at its end" });
        }
      },
    };
  },
};

/** The beginning and end of a text as they stand in the source; each is empty where a computed part stands there. */
interface Written {
  readonly first: string;
  readonly last: string;
}

function writtenText(node: Deno.lint.Node): Written | undefined {
  switch (node.type) {
    case "Literal":
      return typeof node.value === "string" ? { first: node.value, last: node.value } : undefined;
    case "TemplateLiteral":
      return { first: node.quasis[0]?.cooked ?? "", last: node.quasis.at(-1)?.cooked ?? "" };
    case "BinaryExpression": {
      if (node.operator !== "+") return undefined;
      const [left, right] = [writtenText(node.left), writtenText(node.right)];
      return left || right ? { first: left?.first ?? "", last: right?.last ?? "" } : undefined;
    }
    default:
      return undefined;
  }
}
