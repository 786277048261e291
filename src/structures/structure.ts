/** The kinds of structure, coarse to fine. LAYER is the paper's; ATTENTION and MLP are a layer's residual branches. */
export const structureKinds = ["LAYER", "ATTENTION", "MLP"] as const;
export type StructureKind = (typeof structureKinds)[number];

/** A structure's name within one model: its kind and its position, counted from the input, among those of its kind. */
export interface StructureId {
  readonly kind: StructureKind;
  readonly index: number;
}

/** A part of a model that can be removed as a whole. */
export interface Structure extends StructureId {
  /** The layer it lies in; a LAYER's own index. */
  readonly layer: number;
  /** Names of the initializers that go with it, in graph order. */
  readonly parameters: readonly string[];
  readonly parameterCount: number;
}

export const structureKey = ({ kind, index }: StructureId): string => `${kind}:${index}`;
