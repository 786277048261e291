import { type Axis, find, leavesOf } from "../operators/axis.ts";

/** `length` neighbouring entries of an axis. */
export interface Range {
  readonly start: number;
  readonly length: number;
}

/** Where the entries of an axis lie that belong to one entry of a leaf in it. */
export function rangesOf(axis: Axis, leaf: Axis, index: number): Range[] {
  const root = find(axis);
  if (root === leaf) return [{ start: index, length: 1 }];
  const parts = root.parts?.axes ?? [];
  if (root.parts?.kind === "concatenation") {
    let offset = 0;
    return merged(
      parts.flatMap((part) => {
        const start = offset;
        offset += part.size;
        return rangesOf(part, leaf, index).map((r) => ({ ...r, start: r.start + start }));
      }),
    );
  }
  return merged(
    parts.flatMap((part, i) => {
      const inner = parts.slice(i + 1).reduce((n, p) => n * p.size, 1);
      const outer = parts.slice(0, i).reduce((n, p) => n * p.size, 1);
      const own = rangesOf(part, leaf, index).map((r) => ({ start: r.start * inner, length: r.length * inner }));
      return Array.from({ length: own.length === 0 ? 0 : outer }, (_, o) =>
        own.map((r) => ({ ...r, start: r.start + o * part.size * inner })),
      ).flat();
    }),
  );
}

/** How many positions of an axis belong to each entry of a leaf in it. */
export const entryCounts = (axis: Axis, leaf: Axis): number => rangesOf(axis, leaf, 0).reduce((n, r) => n + r.length, 0);

/** Of each position that stays of an axis, the entry of a leaf that it belongs to; -1 where to none. */
export function ownersOf(axis: Axis, leaf: Axis, removed: Removed): Int32Array {
  const owners = new Int32Array(axis.size).fill(-1);
  for (let entry = 0; entry < leaf.size; entry++)
    for (const { start, length } of rangesOf(axis, leaf, entry)) owners.fill(entry, start, start + length);
  const ranges = staying(axis, removed);
  return ranges ? Int32Array.from(ranges.flatMap(({ start, length }) => [...owners.subarray(start, start + length)])) : owners;
}

/** Ranges in order, those that touch or overlap made one. */
export function merged(ranges: readonly Range[]): Range[] {
  const result: Range[] = [];
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = result.at(-1);
    if (!last || last.start + last.length < range.start) result.push(range);
    else result[result.length - 1] = { start: last.start, length: Math.max(last.length, range.start + range.length - last.start) };
  }
  return result;
}

/** Entries to be removed: of each leaf, which. */
export type Removed = ReadonlyMap<Axis, ReadonlySet<number>>;

/** What stays of an axis, in order; null if all of it does. */
export function staying(axis: Axis, removed: Removed): Range[] | null {
  const leaves = [...leavesOf(axis)].filter((leaf) => removed.has(leaf));
  const gone = merged(leaves.flatMap((leaf) => [...(removed.get(leaf) ?? [])].flatMap((i) => rangesOf(axis, leaf, i))));
  if (gone.length === 0) return null;
  const ends = [{ start: 0, length: 0 }, ...gone, { start: axis.size, length: 0 }];
  return ends.slice(1).flatMap(({ start }, i) => {
    const from = (ends[i] as Range).start + (ends[i] as Range).length;
    return start > from ? [{ start: from, length: start - from }] : [];
  });
}

/** How many of the first `position` entries stay. */
export const stayingBefore = (ranges: readonly Range[], position: number): number =>
  ranges.reduce((n, r) => n + Math.max(0, Math.min(r.length, position - r.start)), 0);
