import type { Algebra } from "../../algebra/algebra.ts";
import type { CompressionOptions, MethodOption, Scheme } from "../options.ts";

/** A matrix as it is multiplied with what it is given: W [n, m], inputs as rows, row by row. */
export interface Matrix {
  /** Of the weights, in the model. */
  readonly parameter: string;
  readonly outputs: number;
  readonly weights: Float32Array;
}

/** Products that are given the same, and what that is known by. */
export interface Group {
  readonly inputs: number;
  /**
   * `G = X' X` [n, n] over all tokens, in float64, of what the compressed part of the model gives. Null for a method that asks for none, and
   * where nothing is multiplied: a table of embeddings.
   */
  readonly gram: Float64Array | null;
  readonly matrices: readonly Matrix[];
}

/**
 * Codes of a matrix, with a scale and a zero point for each block of inputs of each output: `w = scale (code - zero point)`. All are by input
 * or block of inputs, then by output: codes [n, m], scales and zero points [ceil(n / blockSize), m].
 */
export interface Blocks {
  readonly kind: "BLOCKS";
  readonly bits: 2 | 4 | 8;
  readonly blockSize: number;
  readonly codes: Uint8Array;
  /** Numbers that float16 holds. */
  readonly scales: Float32Array;
  readonly zeroPoints: Uint8Array;
}

/** Weights in place of others, with the same shape [n, m]. */
export interface Weights {
  readonly kind: "WEIGHTS";
  readonly weights: Float32Array;
}

export interface Compressed {
  readonly result: Blocks | Weights;
  /** What a method knows of how good its answer is, for people: see its file. */
  readonly certificate?: { readonly iterations: number; readonly residual: number };
}

/** A way of finding codes or weights. It never sees a graph or a session. */
export interface CompressionMethod {
  readonly name: string;
  /** A sentence for people. */
  readonly description: string;
  /** What it can make, the first unless another is asked for. */
  readonly schemes: readonly Scheme[];
  /** Options that it reads, of those that not all read. */
  readonly options: readonly MethodOption[];
  /** Whether it asks what products are given: without it no texts are read. */
  readonly needsGram: boolean;
  /** @returns for each matrix of the group, in order */
  compress(group: Group, options: CompressionOptions, algebra: Algebra): Promise<readonly Compressed[]>;
}
