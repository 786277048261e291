import ts from "typescript";

type FunctionWithBody = ts.FunctionLikeDeclaration & { readonly body: ts.Node };

const hasBody = (node: ts.Node): node is FunctionWithBody => ts.isFunctionLike(node) && "body" in node && node.body !== undefined;

const parse = (text: string) => ts.createSourceFile("source.ts", text, ts.ScriptTarget.Latest, true);

/** A source's function, by where its body begins; 0 for what runs when the source is loaded. */
const placeOf = (source: string, start: number): string => `${source}:${start}`;

/** The innermost function around a place in a source. */
export function placeAround(source: string, text: string, position: number): string {
  let start = 0;
  const visit = (node: ts.Node): void => {
    if (position < node.pos || position >= node.end) return;
    if (hasBody(node) && position >= node.body.getStart()) start = node.body.getStart();
    ts.forEachChild(node, visit);
  };
  visit(parse(text));
  return placeOf(source, start);
}

/**
 * The source with a note at each function's beginning: when it is reached for the first time in a test, its place is added to a
 * file, a line. Another process than the test's knows no tests: it adds a place once, with a plus.
 */
export function withNotes(source: string, text: string, file: string): string {
  const edits: { readonly at: number; readonly words: string }[] = [];
  const note = (start: number) => `__reached(${JSON.stringify(placeOf(source, start))})`;
  const visit = (node: ts.Node): void => {
    if (hasBody(node)) {
      const start = node.body.getStart();
      if (ts.isBlock(node.body)) edits.push({ at: start + 1, words: ` ${note(start)};` });
      else edits.push({ at: start, words: `(${note(start)}, ` }, { at: node.body.end, words: ")" });
    }
    ts.forEachChild(node, visit);
  };
  visit(parse(text));
  let noted = text;
  // From the end, so that places stay true. Of two at one place the inner function's comes later in the list, and belongs inside.
  for (const { at, words } of edits.map((edit, i) => ({ ...edit, i })).sort((a, b) => b.at - a.at || b.i - a.i))
    noted = noted.slice(0, at) + words + noted.slice(at);
  const helper = `import { appendFileSync as __append } from "node:fs";
function __reached(place) {
  const known = (globalThis.__places ??= new Set());
  if (!known.has(place)) __append(${JSON.stringify(file)}, (globalThis.__inTest ? "" : "+") + place + "\\n");
  known.add(place);
}
${note(0)};
`;
  return helper + noted;
}

/** A test within a file: how long it takes, and which functions it reaches. */
export interface Case {
  readonly name: string;
  readonly durationMs: number;
  /** False where the file's run was cut short in it. */
  readonly ended: boolean;
  readonly places: ReadonlySet<string>;
}

/**
 * Reads the notes of a test file's run. What is reached between tests, by the file or a hook, counts for all tests that come
 * after; so does what another process reached, which may have been reached again without a note.
 *
 * @param over when the run was over, in milliseconds since 1970
 */
export function casesOf(notes: string, over: number): Case[] {
  const shared = new Set<string>();
  const cases: { name: string; begun: number; durationMs: number; ended: boolean; places: Set<string> }[] = [];
  let current: (typeof cases)[number] | null = null;
  for (const line of notes.split("\n").filter(Boolean)) {
    const [, word, at, name] = /^(begin|end) (\d+) ?(.*)$/.exec(line) ?? [];
    if (word === "begin") {
      const begun = Number(at);
      current = { name: JSON.parse(name as string) as string, begun, durationMs: over - begun, ended: false, places: new Set(shared) };
      cases.push(current);
    } else if (word === "end") {
      if (current) Object.assign(current, { durationMs: Number(at) - current.begun, ended: true });
      current = null;
    } else {
      const place = line.replace(/^\+/, "");
      current?.places.add(place);
      if (!current || place !== line) shared.add(place);
    }
  }
  return cases.map(({ name, durationMs, ended, places }) => ({ name, durationMs, ended, places }));
}
