import { readFileSync } from "node:fs";

/** What PyTorch says of the bundled model in float64, by the definitions of the field: scripts/fixtures/likelihood.py. */
export interface Reference {
  readonly documents: readonly string[];
  readonly text: readonly {
    readonly sequenceLength: number;
    readonly stride: number;
    readonly maxTokens: number | null;
    readonly tokenCount: number;
    readonly perplexity: number;
    readonly perplexityStandardError: number | null;
    readonly nextTokenAccuracy: number;
    readonly nextTokenAccuracyStandardError: number | null;
  }[];
}

export const reference: Reference = JSON.parse(readFileSync(new URL("../fixtures/likelihood.json", import.meta.url), "utf8"));
