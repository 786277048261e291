/**
 * What a decoder is, as data: a family writes such a record from a config.json, and one engine builds the graph from it.
 *
 * Names are those of tensors in the model's `.safetensors` files. Shapes: H hidden, N query heads, K heads of keys and values,
 * D head width, F intermediate, V vocabulary, P positions.
 */
export interface Blueprint {
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  readonly embedding: {
    /** [V, E]; E is H unless `project` makes H of it. */
    readonly weight: string;
    readonly width?: number;
    /** What rows are multiplied by. */
    readonly scale?: number;
    readonly norm?: Norm;
    readonly project?: Linear;
  };
  /** Learned positions [P + offset, H], added to the embedding. */
  readonly positions?: { readonly weight: string; readonly rows: number; readonly offset: number };
  readonly layers: readonly Layer[];
  readonly norm: Norm | null;
  /** Of what the last norm gives, before the head: H to E. */
  readonly project?: Linear;
  readonly head: Head;
}

export interface Head {
  /** [V, E]: the embedding's own name where it is tied. */
  readonly weight: string;
  readonly bias?: string;
  /** What logits are multiplied by. */
  readonly scale?: number;
  /** `c tanh(logits / c)`. */
  readonly softcap?: number;
}

export interface Layer {
  readonly attention: Attention;
  readonly mlp: Mlp;
  /** One after the other, each added to the stream by itself; or both of the same value, and added together. */
  readonly residual: "SEQUENTIAL" | "PARALLEL";
  /** What a branch is multiplied by before it is added. */
  readonly branchScale?: number;
}

/** What a branch reads, and what becomes of what it gives. */
interface Branch {
  /** Before the branch. Of a parallel layer, two branches may name the same norm. */
  readonly before: Norm | null;
  /** After the branch, before it is added. */
  readonly after: Norm | null;
  /** Of the sum: the norm comes after the addition, as in the first transformers. */
  readonly afterSum?: Norm;
}

export interface Attention extends Branch {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  readonly projections: Projections;
  readonly output: Linear;
  readonly rotary: Rotary | null;
  /** Of each head's D entries, or of all heads' together. */
  readonly headNorm?: {
    readonly q: Norm;
    readonly k: Norm;
    readonly over: "HEAD" | "ALL";
    readonly when: "BEFORE_ROTARY" | "AFTER_ROTARY";
  };
  /** What is above it or below minus it becomes it: of queries, keys and values. */
  readonly clip?: number;
  /** What products of queries and keys are multiplied by. */
  readonly scale: number;
  /** `c tanh(scores / c)`. */
  readonly softcap?: number;
  /** How many tokens are seen, itself included; all before it if absent. */
  readonly window?: number;
  /** A slope by head: scores fall by it with each token further back. */
  readonly alibi?: readonly number[];
}

export type Projections =
  | { readonly kind: "SEPARATE"; readonly q: Linear; readonly k: Linear; readonly v: Linear }
  /** Queries, keys and values in one matrix: one after another; or by group, its queries, its key and its value. */
  | { readonly kind: "PACKED"; readonly qkv: Linear; readonly by: "PARTS" | "GROUPS" };

export interface Mlp extends Branch {
  readonly width: number;
  readonly activation: Activation;
  readonly input:
    | { readonly kind: "PLAIN"; readonly up: Linear }
    | { readonly kind: "GATED"; readonly gate: Linear; readonly up: Linear }
    /** Gate and up in one matrix, one after the other. */
    | { readonly kind: "PACKED"; readonly gateUp: Linear };
  readonly down: Linear;
  /** It is a mixture of experts, of which `input` and `down` are the first's, and `width` is each one's. */
  readonly mixture?: Mixture;
}

/** Many small MLPs, of which each token is sent to a few. */
export interface Mixture {
  /** H to `count`: a score of each expert. */
  readonly router: Linear;
  readonly count: number;
  /** How many a token is sent to. */
  readonly chosen: number;
  /** What becomes of scores: probabilities of all experts, or of each by itself; or of the chosen ones, once these are chosen. */
  readonly scores: "SOFTMAX" | "SIGMOID" | "CHOSEN_SOFTMAX";
  /** Added for the choice alone. */
  readonly choiceBias?: string;
  /** Whether weights of the chosen experts are made to sum up to one; and what is added to their sum before. */
  readonly normalized: boolean;
  readonly sumEpsilon?: number;
  /** What weights are multiplied by in the end. */
  readonly scale?: number;
  readonly experts: readonly Pick<Mlp, "input" | "down">[];
  /** What all tokens are sent to besides; times a gate of each token. */
  readonly shared?: Pick<Mlp, "input" | "down" | "width"> & { readonly gate?: Linear };
}

/** `x W' + b`, as PyTorch's Linear keeps W ([out, in]); or as Conv1D does ([in, out]). */
export interface Linear {
  readonly weight: string;
  readonly bias?: string;
  readonly stored?: "OUT_IN" | "IN_OUT";
}

export interface Norm {
  readonly kind: "RMS" | "LAYER";
  /** Null for a norm without a scale. Of heads, perhaps a tensor for each. */
  readonly weight: string | readonly string[] | null;
  readonly bias?: string;
  readonly epsilon: number;
  /** Whether the scale is kept as its difference from 1. */
  readonly aroundOne?: boolean;
  /** Of a norm of heads, each with a scale of its own: [heads, D]. */
  readonly heads?: number;
}

/** How queries and keys turn with their positions. */
export interface Rotary {
  /** How many of a head's first entries turn. */
  readonly width: number;
  /** Entry i against i + width / 2, or entry 2 i against 2 i + 1. */
  readonly pairs: "HALVES" | "NEIGHBOURS";
  readonly frequencies: Frequencies;
}

/** Turns by position of each pair, in radians. */
export interface Frequencies {
  /** [width / 2]. */
  readonly values: readonly number[];
  /** What sines and cosines are multiplied by. */
  readonly scale: number;
  /** What they are for texts longer than this. */
  readonly beyond?: {
    readonly tokens: number;
    /** Other values; or a base that grows with the text (NTK), by which they are worked out anew. */
    readonly values: readonly number[] | { readonly base: number; readonly factor: number };
  };
}

export const activations = ["SILU", "GELU", "GELU_TANH", "QUICK_GELU", "RELU", "RELU_SQUARED"] as const;
export type Activation = (typeof activations)[number];
