/**
 * The kinds of structure, coarse to fine. LAYER is the paper's; ATTENTION and MLP are a layer's residual branches; EXPERT is one of
 * the parts of an MLP that its tokens are sent to, with its row of the router; HEAD is a group of an attention's queries with the key and value that they share (a query alone, if all share one), CHANNEL a neuron of
 * an MLP.
 */
export const structureKinds = ["LAYER", "ATTENTION", "MLP", "EXPERT", "HEAD", "CHANNEL"] as const;
export type StructureKind = (typeof structureKinds)[number];

/** Whether structures of a kind are entries of an axis, many to a branch, and not parts of the graph. */
export const isDivided = ({ kind }: Pick<StructureId, "kind">): boolean => dividedKinds.has(kind);

const dividedKinds: ReadonlySet<StructureKind> = new Set<StructureKind>(["EXPERT", "HEAD", "CHANNEL"]);

/** A structure's name within one model: its kind and its position, counted from the input, among those of its kind. */
export interface StructureId {
  readonly kind: StructureKind;
  readonly index: number;
}

/**
 * The structures of one kind in one layer, which are alike: a single LAYER, ATTENTION or MLP, all experts or channels of an MLP,
 * all heads of an attention. `index` is that of the first; those of the others follow.
 */
export interface StructureGroup extends StructureId {
  readonly count: number;
  /** The layer they lie in; a LAYER's own index. */
  readonly layer: number;
  /** Names of the initializers that go with them, whole or in part, in graph order. */
  readonly parameters: readonly string[];
  /** Of each; of experts that have lost unlike numbers of channels, on the mean. */
  readonly parameterCount: number;
  /** Of experts: how many each token is sent to, so that fewer cannot be left. */
  readonly leastLeft?: number | null;
  /** Of channels that are one expert's: its position among the experts. They go with it. */
  readonly expert?: number | null;
}

/** Why a layer has no structure of a kind that can go. */
export interface Obstacle {
  readonly kind: StructureKind;
  readonly layer: number;
  readonly reason: string;
}

export const structureKey = ({ kind, index }: StructureId): string => `${kind}:${index}`;

/** Whether a group has a structure. */
export const holds = (group: StructureGroup, { kind, index }: StructureId): boolean =>
  group.kind === kind && group.index <= index && index < group.index + group.count;
