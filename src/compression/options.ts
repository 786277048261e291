import type { ExecutionProvider } from "../runtime/providers.ts";

/** What weights become: codes of so many bits with a scale for each block of inputs, codes of three levels, or weights many of which are 0. */
export const schemes = ["INT4", "INT8", "TERNARY", "SPARSE"] as const;
export type Scheme = (typeof schemes)[number];

/** Which weights of a sparse matrix stay: of each column a share, or so many of so many neighbours. Neighbours are inputs of one output. */
export const patterns = {
  UNSTRUCTURED: null,
  TWO_OF_FOUR: { kept: 2, of: 4 },
  FOUR_OF_EIGHT: { kept: 4, of: 8 },
  SIX_OF_EIGHT: { kept: 6, of: 8 },
} as const;
export type Pattern = keyof typeof patterns;
export const patternNames = Object.keys(patterns) as Pattern[];

/** Inputs that share a scale. */
export const blockSizes = [32, 64, 128] as const;
export type BlockSize = (typeof blockSizes)[number];

/** What head and embedding may become. Four bits lose more there than in all layers. */
export const headBits = [4, 8] as const;
export type HeadBits = (typeof headBits)[number];

/** What a compression run is asked to do. All of it is recorded; with the bytes of model and dataset it determines the result. */
export interface CompressionOptions {
  readonly scheme: Scheme;
  readonly blockSize: BlockSize;
  /** Whether codes lie evenly about 0; else each block has a zero point of its own. Of INT4 and INT8. */
  readonly symmetric: boolean;
  /** Of GPTQ: inputs in order of how strong they are, the strongest first, in place of the order in which they lie. */
  readonly activationOrder: boolean;
  /** Of SPARSE, TERNARY. */
  readonly pattern: Pattern;
  /** Share of weights that become 0, above 0 and below 1. Of UNSTRUCTURED alone. */
  readonly sparsity: number;
  /** Whether the product that gives logits is compressed too; what it shares with the embedding then has the same codes. Of INT4 and INT8. */
  readonly head: boolean;
  /** Whether the table of token embeddings is. Of INT4 and INT8. */
  readonly embedding: boolean;
  /** Bits of these two. Of INT4. */
  readonly headBits: HeadBits;
  /** Texts that the statistics are of; and tokens of each. */
  readonly samples: number;
  readonly sequenceLength: number;
  /** What is added to the diagonal of a product's statistics, as a share of its mean. */
  readonly damping: number;
  readonly seed: number;
  readonly executionProvider: ExecutionProvider;
}

/** What a client gets who asks for nothing: chosen by what docs/compression.md measures. */
export const defaultCompressionOptions: CompressionOptions = {
  scheme: "INT4",
  blockSize: 32,
  symmetric: false,
  activationOrder: true,
  pattern: "TWO_OF_FOUR",
  sparsity: 0.5,
  head: true,
  embedding: true,
  headBits: 8,
  samples: 128,
  sequenceLength: 128,
  damping: 0.01,
  seed: 0,
  executionProvider: "AUTO",
};

type OptionName = Exclude<keyof CompressionOptions, "scheme">;

/** Options that say something of some schemes only. */
export const schemeOptions: Readonly<Record<Scheme, readonly OptionName[]>> = {
  INT4: ["blockSize", "symmetric", "head", "embedding", "headBits"],
  INT8: ["blockSize", "symmetric", "head", "embedding"],
  TERNARY: ["blockSize", "pattern", "sparsity"],
  SPARSE: ["pattern", "sparsity"],
};

/** Options that say something to methods that read texts. */
export const textOptions: readonly OptionName[] = ["samples", "sequenceLength"];

/** Options that say something to some methods only. */
export type MethodOption = "activationOrder" | "damping";
