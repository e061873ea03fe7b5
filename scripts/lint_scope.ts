/** Whether a name in the source means the global of that name: what an import, parameter or variable hides is not it. */

type Node = Deno.lint.Node;

/** Expressions of TypeScript around a value; every other `TS…` parent makes the name a type or a label. */
const VALUE_WRAPPERS: ReadonlySet<string> = new Set([
  "TSAsExpression",
  "TSSatisfiesExpression",
  "TSNonNullExpression",
  "TSTypeAssertion",
  "TSInstantiationExpression",
]);

/** False for property names, types (`typeof fetch` is one) and names that the file itself declares around the place. */
export function isGlobal(context: Deno.lint.RuleContext, node: Deno.lint.Identifier): boolean {
  const ancestors = context.sourceCode.getAncestors(node);
  const parent = nearest(node, ancestors);
  if (!parent || !isReference(node, parent)) return false;
  return !ancestors.some((ancestor) => declares(ancestor, node.name));
}

/** The parent; the order in which the linter lists ancestors is no part of its contract, so the narrowest is taken. */
function nearest(node: Node, ancestors: readonly Node[]): Node | undefined {
  const width = (other: Node) => other.range[1] - other.range[0];
  return (node as { parent?: Node }).parent ?? [...ancestors].sort((a, b) => width(a) - width(b))[0];
}

function isReference(node: Deno.lint.Identifier, parent: Node): boolean {
  const is = (other: Node | null | undefined) =>
    other?.type === "Identifier" && other.range[0] === node.range[0] && other.range[1] === node.range[1];
  switch (parent.type) {
    case "MemberExpression":
      return parent.computed || !is(parent.property);
    case "Property":
      return parent.computed || parent.shorthand || !is(parent.key);
    case "PropertyDefinition":
    case "MethodDefinition":
      return parent.computed || !is(parent.key);
    case "ImportSpecifier":
    case "ImportDefaultSpecifier":
    case "ImportNamespaceSpecifier":
    case "LabeledStatement":
    case "BreakStatement":
    case "ContinueStatement":
    case "MetaProperty":
      return false;
    // `Deno.Conn` as a type ties a rule to the runtime just as a call does.
    case "TSQualifiedName":
      return is(parent.left);
    default:
      return !parent.type.startsWith("TS") || VALUE_WRAPPERS.has(parent.type);
  }
}

function declares(scope: Node, name: string): boolean {
  switch (scope.type) {
    case "FunctionDeclaration":
    case "FunctionExpression":
    case "ArrowFunctionExpression":
      return scope.params.some((param) => binds(param, name));
    case "CatchClause":
      return binds(scope.param, name);
    case "ForStatement":
      return statementDeclares(scope.init, name);
    case "ForInStatement":
    case "ForOfStatement":
      return statementDeclares(scope.left, name);
    case "Program":
    case "BlockStatement":
    case "StaticBlock":
      return scope.body.some((statement) => statementDeclares(statement, name));
    case "SwitchCase":
      return scope.consequent.some((statement) => statementDeclares(statement, name));
    default:
      return false;
  }
}

function statementDeclares(node: Node | null | undefined, name: string): boolean {
  switch (node?.type) {
    case "VariableDeclaration":
      return node.declarations.some((declarator) => binds(declarator.id, name));
    case "FunctionDeclaration":
    case "ClassDeclaration":
    case "TSEnumDeclaration":
      return node.id?.name === name;
    case "ImportDeclaration":
      return node.specifiers.some((specifier) => specifier.local.name === name);
    case "ExportNamedDeclaration":
      return statementDeclares(node.declaration, name);
    default:
      return false;
  }
}

function binds(pattern: Node | Deno.lint.Parameter | null | undefined, name: string): boolean {
  switch (pattern?.type) {
    case "Identifier":
      return pattern.name === name;
    case "AssignmentPattern":
      return binds(pattern.left, name);
    case "RestElement":
      return binds(pattern.argument, name);
    case "ArrayPattern":
      return pattern.elements.some((element) => binds(element, name));
    case "ObjectPattern":
      return pattern.properties.some((property) =>
        binds(property.type === "Property" ? property.value : property, name)
      );
    case "TSParameterProperty":
      return binds(pattern.parameter, name);
    default:
      return false;
  }
}
