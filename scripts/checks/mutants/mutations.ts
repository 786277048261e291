import ts from "typescript";

/** One small change of a source: the characters from `start` to `end` become `replacement`. */
export interface Mutation {
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
}

/** What takes an operator's place: one for each kind of slip. Boundaries rather than opposites, which any test notices. */
const operators: Partial<Record<ts.SyntaxKind, string>> = {
  [ts.SyntaxKind.LessThanToken]: "<=",
  [ts.SyntaxKind.LessThanEqualsToken]: "<",
  [ts.SyntaxKind.GreaterThanToken]: ">=",
  [ts.SyntaxKind.GreaterThanEqualsToken]: ">",
  [ts.SyntaxKind.EqualsEqualsEqualsToken]: "!==",
  [ts.SyntaxKind.ExclamationEqualsEqualsToken]: "===",
  [ts.SyntaxKind.EqualsEqualsToken]: "!=",
  [ts.SyntaxKind.ExclamationEqualsToken]: "==",
  [ts.SyntaxKind.PlusToken]: "-",
  [ts.SyntaxKind.MinusToken]: "+",
  [ts.SyntaxKind.AsteriskToken]: "/",
  [ts.SyntaxKind.SlashToken]: "*",
  [ts.SyntaxKind.PercentToken]: "*",
  [ts.SyntaxKind.AsteriskAsteriskToken]: "*",
  [ts.SyntaxKind.AmpersandAmpersandToken]: "||",
  [ts.SyntaxKind.BarBarToken]: "&&",
  [ts.SyntaxKind.PlusEqualsToken]: "-=",
  [ts.SyntaxKind.MinusEqualsToken]: "+=",
  [ts.SyntaxKind.QuestionQuestionEqualsToken]: "=",
  [ts.SyntaxKind.PlusPlusToken]: "--",
  [ts.SyntaxKind.MinusMinusToken]: "++",
};

/** Methods, and those that do the like at the other end or the other way round. */
const methods: Readonly<Record<string, string>> = {
  some: "every",
  every: "some",
  min: "max",
  max: "min",
  floor: "ceil",
  ceil: "floor",
  push: "unshift",
  unshift: "push",
  shift: "pop",
  pop: "shift",
  find: "findLast",
  findLast: "find",
  findIndex: "findLastIndex",
  indexOf: "lastIndexOf",
};

/** Methods whose receiver can stand for what they give. */
const passable = new Set(["sort", "toSorted", "reverse", "toReversed", "filter", "slice", "toLowerCase", "trim"]);

/** Words within strings, Prisma's and SQL's, and what takes their place. */
const orders: Readonly<Record<string, string>> = { asc: "desc", desc: "asc" };
const clauses: readonly (readonly [RegExp, string])[] = [
  [/ FOR UPDATE/g, ""],
  [/(?<= )DISTINCT /g, ""],
  [/ DESC\b/g, ""],
  [/ LIMIT 1\b/g, ""],
];

/** A larger number is a setting, such as a time or a size: one more or less of it is no slip. */
const largestCount = 64;

const isText = (node: ts.Node): boolean => ts.isStringLiteralLike(node) || ts.isTemplateExpression(node);
const isFixed = (node: ts.Node): boolean => node.kind === ts.SyntaxKind.TrueKeyword || node.kind === ts.SyntaxKind.FalseKeyword;

/** Types, imports and names of properties are not mutated: the first two are gone at run time, the last are words. */
const isLeftAlone = (node: ts.Node): boolean =>
  ts.isTypeNode(node) ||
  ts.isInterfaceDeclaration(node) ||
  ts.isTypeAliasDeclaration(node) ||
  ts.isImportDeclaration(node) ||
  ts.isExportDeclaration(node) ||
  (ts.isPropertyName(node) && "name" in node.parent && node.parent.name === node);

/** The mutations of a TypeScript source, in order. */
export function mutationsOf(text: string): Mutation[] {
  const file = ts.createSourceFile("source.ts", text, ts.ScriptTarget.Latest, true);
  const found: Mutation[] = [];
  const replace = (node: ts.Node, ...replacements: readonly string[]) => {
    for (const replacement of replacements) found.push({ start: node.getStart(file), end: node.end, replacement });
  };
  const cut = (start: number, end: number, replacement = "") => found.push({ start, end, replacement });
  /** A condition that always holds, and one that never does. */
  const settle = (condition: ts.Expression) => {
    if (!isFixed(condition)) replace(condition, "true", "false");
  };

  const visit = (node: ts.Node): void => {
    if (isLeftAlone(node)) return;
    if (ts.isBinaryExpression(node)) {
      const other = operators[node.operatorToken.kind];
      if (other && !(node.operatorToken.kind === ts.SyntaxKind.PlusToken && [node.left, node.right].some(isText)))
        replace(node.operatorToken, other);
      if (node.operatorToken.kind === ts.SyntaxKind.QuestionQuestionToken) cut(node.left.end, node.end);
    } else if (ts.isPrefixUnaryExpression(node) || ts.isPostfixUnaryExpression(node)) {
      const sign = ts.tokenToString(node.operator) ?? "";
      const at = ts.isPrefixUnaryExpression(node) ? node.getStart(file) : node.end - sign.length;
      cut(at, at + sign.length, operators[node.operator] && sign.length === 2 ? operators[node.operator] : "");
    } else if (ts.isNumericLiteral(node)) {
      const value = Number(node.text);
      if (value <= largestCount) replace(node, String(value + 1), value === 0 ? "(-1)" : String(value - 1));
    } else if (isFixed(node)) {
      replace(node, node.kind === ts.SyntaxKind.TrueKeyword ? "false" : "true");
    } else if (ts.isIfStatement(node)) {
      settle(node.expression);
    } else if (ts.isConditionalExpression(node)) {
      settle(node.condition);
    } else if (ts.isExpressionStatement(node)) {
      // A call to the parent's constructor cannot be left out.
      const { expression } = node;
      const isSuper = ts.isCallExpression(expression) && expression.expression.kind === ts.SyntaxKind.SuperKeyword;
      if (!isSuper && !isText(expression)) replace(node, ";");
    } else if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
      const { name, expression: receiver } = node.expression;
      const other = methods[name.text];
      if (other) replace(name, other);
      if (passable.has(name.text)) cut(receiver.end, node.end);
    } else if (ts.isStringLiteral(node)) {
      const other = orders[node.text];
      if (other) replace(node, `"${other}"`);
    } else if (
      ts.isTemplateHead(node) ||
      ts.isTemplateMiddle(node) ||
      ts.isTemplateTail(node) ||
      ts.isNoSubstitutionTemplateLiteral(node)
    ) {
      const begun = node.getStart(file);
      for (const [pattern, replacement] of clauses)
        for (const { 0: words, index } of text.slice(begun, node.end).matchAll(pattern))
          cut(begun + index, begun + index + words.length, replacement);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found.sort((a, b) => a.start - b.start || a.end - b.end);
}

/** The text with a mutation in it. */
export const mutated = (text: string, { start, end, replacement }: Mutation): string =>
  text.slice(0, start) + replacement + text.slice(end);

/** A mutation as `line  before → after`: as much of the lines as tells what it changes. */
export function describeMutation(text: string, mutation: Mutation): string {
  const { start, end } = mutation;
  const lineStart = text.lastIndexOf("\n", start - 1) + 1;
  const lineEnd = text.indexOf("\n", end) < 0 ? text.length : text.indexOf("\n", end);
  const from = Math.max(lineStart, start - 40);
  const to = Math.min(lineEnd, end + 40);
  const flat = (words: string) => words.replaceAll(/\s+/g, " ").trim();
  const line = text.slice(0, start).split("\n").length;
  return `${line}  ${flat(text.slice(from, to))}  →  ${flat(mutated(text, mutation).slice(from, to + mutation.replacement.length - (end - start)))}`;
}
