import { EspalierError } from "../errors.ts";
import { numberAt } from "../number-at.ts";
import type { Estimate } from "./statistics.ts";

/**
 * F1 of each class there is, on their mean; as scikit-learn's `f1_score(average="macro")` has it. Its standard error is the jackknife's: by how much it
 * changes with each item left out.
 *
 * @param gold the classes that are right
 * @param found those that were told
 */
export function macroF1(gold: readonly number[], found: readonly number[]): Estimate {
  const classes = [...new Set([...gold, ...found])];
  const count = (of: readonly number[], c: number) => of.reduce((n, v) => n + (v === c ? 1 : 0), 0);
  const counts = new Map(
    classes.map((c) => [
      c,
      { right: gold.reduce((n, g, i) => n + (g === c && found[i] === c ? 1 : 0), 0), gold: count(gold, c), found: count(found, c) },
    ]),
  );
  const of = () => {
    // A class that with an item left out is neither there nor told does not count.
    const there = [...counts.values()].filter((c) => c.gold + c.found > 0);
    return there.reduce((sum, c) => sum + (2 * c.right) / (c.gold + c.found), 0) / there.length;
  };
  const value = of();
  const n = gold.length;
  if (n < 2) return { value, standardError: null };
  const move = (i: number, by: 1 | -1) => {
    const [own, its] = [counts.get(numberAt(gold, i)), counts.get(numberAt(found, i))];
    if (!own || !its) return;
    own.gold += by;
    its.found += by;
    if (own === its) own.right += by;
  };
  const without = gold.map((_, i) => {
    move(i, -1);
    const left = of();
    move(i, 1);
    return left;
  });
  const mean = without.reduce((a, b) => a + b, 0) / n;
  return { value, standardError: Math.sqrt(((n - 1) / n) * without.reduce((sum, v) => sum + (v - mean) ** 2, 0)) };
}

/** Ranks from 1; equal values share the mean of theirs. */
function ranks(values: readonly number[]): number[] {
  const order = [...values.keys()].sort((a, b) => numberAt(values, a) - numberAt(values, b));
  const found = new Array<number>(values.length);
  for (let begin = 0; begin < order.length; ) {
    let end = begin + 1;
    while (end < order.length && values[order[end] as number] === values[order[begin] as number]) end++;
    for (let i = begin; i < end; i++) found[order[i] as number] = (begin + 1 + end) / 2;
    begin = end;
  }
  return found;
}

/**
 * Spearman's rank correlation. Its standard error is by Fisher's transformation, `(1 - r^2) sqrt((1 + r^2 / 2) / (n - 3))`
 * (Bonett and Wright, Psychometrika 65, 2000); null for three or fewer.
 *
 * @throws EspalierError INVALID_DATASET if all values of one side are equal, of which there is no order
 */
export function correlationOf(a: readonly number[], b: readonly number[]): Estimate {
  const [x, y] = [ranks(a), ranks(b)];
  const mean = (x.length + 1) / 2;
  const product = (p: readonly number[], q: readonly number[]) => p.reduce((sum, v, i) => sum + (v - mean) * (numberAt(q, i) - mean), 0);
  const value = product(x, y) / Math.sqrt(product(x, x) * product(y, y));
  if (!Number.isFinite(value))
    throw new EspalierError("INVALID_DATASET", "all scores, or all cosines, are equal: they have no order to compare");
  const standardError = a.length > 3 ? (1 - value ** 2) * Math.sqrt((1 + value ** 2 / 2) / (a.length - 3)) : null;
  return { value, standardError };
}
