import { smallest } from "../large-lists.ts";
import { numberAt } from "../number-at.ts";
import type { Row } from "./likelihood.ts";

/** How many tokens all rows begin with, before any that is predicted or a row's last. */
export function sharedBeginning(rows: readonly Row[]): number {
  const [first] = rows as readonly [Row];
  const limit = smallest(rows.map(({ ids, targets }) => ids.length - targets.length));
  for (let t = 0; t < limit; t++) if (rows.some(({ ids }) => ids[t] !== first.ids[t])) return t;
  return limit;
}

/** Items whose beginnings are read together: so many tokens of each. */
export interface Group {
  readonly length: number;
  /** Places of the items. */
  readonly members: readonly number[];
}

/**
 * Groups items by the length of their beginnings, longest first. A group reads as much of each as its shortest has, so that no
 * gap is left between beginning and end; neighbours differ by little.
 *
 * @param beginnings [I] tokens that an item's rows share
 * @param lengths [I] tokens of its longest row
 * @param tokensPerRun bounds a group
 */
export function groupByBeginning(beginnings: readonly number[], lengths: readonly number[], tokensPerRun: number): Group[] {
  const length = (i: number) => numberAt(beginnings, i);
  const order = beginnings.map((_, i) => i).sort((a, b) => length(b) - length(a) || numberAt(lengths, b) - numberAt(lengths, a) || a - b);
  const groups: { length: number; members: number[] }[] = [];
  for (const i of order) {
    const group = groups.at(-1);
    const longest = length(group?.members[0] ?? i);
    if (group && (group.members.length + 1) * group.length <= tokensPerRun && length(i) * 2 >= longest) {
      group.members.push(i);
      group.length = length(i);
    } else groups.push({ length: length(i), members: [i] });
  }
  return groups;
}

/**
 * Rows of like length together, longest first; each batch is padded to its longest.
 *
 * @param tokensPerRun tokens of a batch at most, padding included
 * @param heldPerRun the same with the `past` tokens that each row goes on from
 */
export function batchByLength<T extends Row>(rows: readonly T[], tokensPerRun: number, heldPerRun: number, past: number): T[][] {
  const batches: T[][] = [];
  for (const row of rows.toSorted((a, b) => b.ids.length - a.ids.length)) {
    const batch = batches.at(-1);
    const longest = batch?.[0]?.ids.length ?? 0;
    const size = (batch?.length ?? 0) + 1;
    if (batch && size * longest <= tokensPerRun && size * (longest + past) <= heldPerRun) batch.push(row);
    else batches.push([row]);
  }
  return batches;
}
