import type { InspectedModel } from "../../src/models/types.ts";
import type { StructureId, StructureKind } from "../../src/structures/structure.ts";

/** A child of some shape: what is removed from its parent, and whether its export has to be filled up with zeros. */
export interface ChildCase {
  readonly name: string;
  readonly removed: (parent: InspectedModel) => StructureId[];
  readonly padding: boolean;
}

const of = ({ structures }: InspectedModel, kind: StructureKind) => structures.filter((s) => s.kind === kind);
const heads = (groups: readonly StructureId[]) => groups.map(({ kind, index }) => ({ kind, index }));
const channels = (groups: readonly StructureId[]) =>
  groups.flatMap(({ kind, index }) => [0, 2, 5].map((i) => ({ kind, index: index + i })));

export const childCases: readonly ChildCase[] = [
  { name: "a layer less", padding: false, removed: () => [{ kind: "LAYER", index: 0 }] },
  { name: "channels less in each layer", padding: false, removed: (parent) => channels(of(parent, "CHANNEL")) },
  {
    name: "a head and channels less in each layer",
    padding: true,
    removed: (parent) => [...heads(of(parent, "HEAD")), ...channels(of(parent, "CHANNEL"))],
  },
  {
    name: "layers of unlike widths",
    padding: true,
    removed: (parent) => [...heads(of(parent, "HEAD").slice(0, 1)), ...channels(of(parent, "CHANNEL").slice(1, 2))],
  },
  {
    name: "halves of layers",
    padding: true,
    removed: () => [
      { kind: "ATTENTION", index: 0 },
      { kind: "MLP", index: 1 },
    ],
  },
];
