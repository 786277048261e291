import { append } from "../../large-lists.ts";
import { isDivided, type StructureGroup } from "../../structures/structure.ts";
import type { Row } from "./table.ts";

const sizeOf = ({ count, parameterCount }: StructureGroup): number => count * parameterCount;
const sum = (groups: readonly StructureGroup[]): number => groups.reduce((n, g) => n + sizeOf(g), 0);

/** What experts are parts of, and heads, and channels. */
const wholeOf: Readonly<Record<string, string>> = { EXPERT: "MLP", HEAD: "ATTENTION", CHANNEL: "MLP" };

/**
 * Layers, what they consist of, and what that divides into. The layers and the rest, which no structure holds, add up to the
 * whole. What a layer holds beyond its parts (a norm that both read) goes only with the whole layer.
 */
export function structureTree(structures: readonly StructureGroup[], parameterCount: number): Row[] {
  const layers = [...new Set(structures.map((s) => s.layer))].sort((a, b) => a - b);
  const rows: Row[] = [];
  let inLayers = 0;
  for (const layer of layers) {
    const own = structures.filter((s) => s.layer === layer);
    const whole = own.find((s) => s.kind === "LAYER");
    const branches = own.filter((s) => s.kind === "ATTENTION" || s.kind === "MLP");
    const parts = own.filter(isDivided);
    const total = whole?.parameterCount ?? sum(branches);
    inLayers += total;
    rows.push([`layer ${layer}${whole ? "" : " (cannot go as a whole)"}`, total]);
    for (const branch of branches) {
      rows.push([`  ${branch.kind.toLowerCase()} ${branch.index}`, branch.parameterCount]);
      append(rows, parts.filter((g) => wholeOf[g.kind] === branch.kind).map(partRow));
    }
    // The parts of a branch that cannot go as a whole.
    append(rows, parts.filter((g) => !branches.some((b) => b.kind === wholeOf[g.kind])).map(partRow));
    if (branches.length > 0 && total !== sum(branches)) rows.push(["  shared by its parts", total - sum(branches)]);
  }
  return [...rows, ["the rest (embedding, head, final norm)", parameterCount - inLayers], ["whole", parameterCount]];
}

function partRow(group: StructureGroup): Row {
  const { kind, count, parameterCount } = group;
  return [`    ${count} ${kind.toLowerCase()}${count === 1 ? "" : "s"} of ${parameterCount.toLocaleString("en")}`, sizeOf(group)];
}
