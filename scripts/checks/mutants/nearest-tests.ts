import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import ts from "typescript";

/** The files of a folder with an ending, by paths from the root. */
export const filesUnder = (root: string, folder: string, ending: string): string[] =>
  readdirSync(join(root, folder), { recursive: true })
    .map((path) => join(folder, String(path)).replaceAll("\\", "/"))
    .filter((path) => path.endsWith(ending))
    .sort();

/**
 * What a file leads to: what it imports, and what it names by a path of its own to start as a program. Imports of types alone
 * do not count, for they are gone at run time.
 */
function leadsTo(root: string, path: string): string[] {
  const file = ts.createSourceFile(path, readFileSync(join(root, path), "utf8"), ts.ScriptTarget.Latest, true);
  const found = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && node.importClause?.isTypeOnly) return;
    if ((ts.isStringLiteralLike(node) || ts.isTemplateHead(node)) && node.text.startsWith(".")) {
      const target = relative(root, resolve(root, dirname(path), node.text)).replaceAll("\\", "/");
      for (const candidate of [target, `${target}.ts`])
        if (candidate.endsWith(".ts") && existsSync(join(root, candidate))) found.add(candidate);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return [...found];
}

/**
 * Says which tests lie nearest to a source file: the one of its name, then by how many imports lie between, one more for tests
 * of another folder.
 *
 * @param most how many tests are given at most
 */
export function testsByNearness(root: string, most: number): (source: string) => string[] {
  const edges = new Map<string, string[]>();
  const edgesOf = (path: string): string[] => {
    const known = edges.get(path) ?? leadsTo(root, path);
    edges.set(path, known);
    return known;
  };
  const distancesFrom = (test: string): Map<string, number> => {
    const distances = new Map([[test, 0]]);
    // A map that grows while it is walked is walked to its end: nearer files first.
    for (const [path, distance] of distances) for (const next of edgesOf(path)) if (!distances.has(next)) distances.set(next, distance + 1);
    return distances;
  };
  const tests = filesUnder(root, "test", ".test.ts").map((test) => ({ test, distances: distancesFrom(test) }));
  const folderOf = (path: string) => path.split("/")[1];
  const nameOf = (path: string) => basename(path).split(".")[0];

  return (source) =>
    tests
      .map(({ test, distances }) => {
        const apart = folderOf(test) === folderOf(source) ? 0 : 1;
        return { test, rank: (distances.get(source) ?? Infinity) + (nameOf(test) === nameOf(source) ? -Infinity : apart) };
      })
      .filter(({ rank }) => rank < Infinity)
      .sort((a, b) => a.rank - b.rank || (a.test < b.test ? -1 : 1))
      .slice(0, most)
      .map(({ test }) => test);
}
