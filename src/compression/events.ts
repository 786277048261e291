/** A product that is compressed. */
export interface CompressedProduct {
  /** Of the weights, in the model. */
  readonly parameter: string;
  /** The node that reads them: what exporters name after the module. */
  readonly node: string;
  /** The layer that it lies in, from 0; null before and after all layers. */
  readonly layer: number | null;
  readonly inputs: number;
  readonly outputs: number;
  /** `|| X (W - W') ||^2 / || X W ||^2`, of the texts that it was compressed by; null where none were read. */
  readonly relativeError: number | null;
  /** Share of weights that are 0. */
  readonly zeroRatio: number;
  /** Bytes of the weights, before and after, with scales and zero points. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** What the method knows of how good its answer is; null if nothing. */
  readonly certificate: { readonly iterations: number; readonly residual: number } | null;
}

/** What compression yields, in order. */
export type CompressionEvent =
  | {
      readonly type: "STARTED";
      /** The provider that really runs. */
      readonly executionProvider: "CPU" | "CUDA";
      /** Groups of products that are given the same: each is a step. */
      readonly steps: number;
      readonly tokens: number;
    }
  | {
      readonly type: "COMPRESSED";
      /** From 1. */
      readonly step: number;
      readonly steps: number;
      readonly products: readonly CompressedProduct[];
      readonly estimatedMsLeft: number;
      /** Path of a file that holds what the products became: with all of them the run goes on without doing these again. */
      readonly file: string;
    };

/** What came of it. */
export interface CompressionSummary {
  readonly productCount: number;
  /** Products that were left as they were, with the reason. */
  readonly left: readonly { readonly parameter: string; readonly reason: string }[];
  /** The mean of the products' relative errors; null where no texts were read. */
  readonly meanRelativeError: number | null;
  /** Of all weights that were compressed. */
  readonly zeroRatio: number;
  /** Bytes of all weights of the model, before and after. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}
