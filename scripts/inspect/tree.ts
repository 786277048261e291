import type { StructureGroup, StructureKind } from "../../src/structures/structure.ts";
import type { Row } from "./table.ts";

const sum = (structures: readonly StructureGroup[]): number => structures.reduce((n, s) => n + s.parameterCount, 0);

/** What a layer is the sum of; finer kinds are parts of these. */
const branchKinds: readonly StructureKind[] = ["ATTENTION", "MLP"];

/**
 * Layers and what they consist of. The layers and the rest, which no structure holds, add up to the whole. What a layer holds
 * beyond its parts (a norm that both read) goes only with the whole layer.
 */
export function structureTree(structures: readonly StructureGroup[], parameterCount: number): Row[] {
  const layers = [...new Set(structures.map((s) => s.layer))].sort((a, b) => a - b);
  const rows: Row[] = [];
  let inLayers = 0;
  for (const layer of layers) {
    const own = structures.filter((s) => s.layer === layer);
    const whole = own.find((s) => s.kind === "LAYER");
    const branches = own.filter((s) => branchKinds.includes(s.kind));
    const total = whole?.parameterCount ?? sum(branches);
    inLayers += total;
    rows.push([`layer ${layer}${whole ? "" : " (cannot go as a whole)"}`, total]);
    rows.push(...rowsByKind(branches, "  "));
    if (branches.length > 0 && total !== sum(branches)) rows.push(["  shared by its parts", total - sum(branches)]);
    const finer = own.filter((s) => s !== whole && !branches.includes(s));
    rows.push(...rowsByKind(finer, "    "));
  }
  return [...rows, ["the rest (embedding, head, final norm)", parameterCount - inLayers], ["whole", parameterCount]];
}

/** One row a structure, or one for many of a kind. */
function rowsByKind(structures: readonly StructureGroup[], indent: string): Row[] {
  const kinds = [...new Set(structures.map((s) => s.kind))];
  return kinds.map((kind): Row => {
    const alike = structures.filter((s) => s.kind === kind);
    const word = kind.toLowerCase();
    return [`${indent}${alike.length === 1 ? `${word} ${alike[0]?.index}` : `${alike.length} of kind ${word}`}`, sum(alike)];
  });
}
