import type { StructureGroup } from "../structures/structure.ts";

/** How many of a group's structures another model still has. */
export interface GroupLeft extends Pick<StructureGroup, "kind" | "layer" | "count"> {
  readonly left: number;
}

/**
 * What a descendant has left of an ancestor's structures, whatever was done between: pruning keeps the names of weights, so that a layer is
 * known again by them though its number has changed. Where layers share their weights, the first of them count as those that stayed.
 *
 * @param of the ancestor's groups, by kind and position
 * @param own the descendant's
 * @returns the ancestor's groups in their order; null if the descendant has a group that the ancestor has not, or a larger one: then
 *   weights were renamed, and names tell nothing
 */
export function structuresLeft(of: readonly StructureGroup[], own: readonly StructureGroup[]): GroupLeft[] | null {
  const unmet = new Set(own);
  const byName = new Map<string, StructureGroup[]>();
  for (const group of own)
    for (const parameter of group.parameters) {
      const key = `${group.kind} ${parameter}`;
      byName.set(key, [...(byName.get(key) ?? []), group]);
    }
  const rows = of.map((group) => {
    const named = group.parameters.flatMap((parameter) => byName.get(`${group.kind} ${parameter}`) ?? []);
    const same = named.find((each) => unmet.has(each));
    if (same) unmet.delete(same);
    return { kind: group.kind, layer: group.layer, count: group.count, left: same?.count ?? 0 };
  });
  return unmet.size > 0 || rows.some(({ left, count }) => left > count) ? null : rows;
}
