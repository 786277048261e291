import { freezesAll } from "./axis-rules.ts";
import type { Operator } from "./operator.ts";

const unknown: Operator = { gradient: "unknown", axes: freezesAll, tokenWise: false };
const recurrent: Operator = { ...unknown, tells: "it is recurrent" };
const loop: Operator = { ...unknown, tells: "it is recurrent, by a loop over its tokens" };

/** Operators of models that serve and cannot be pruned yet: convolutions, recurrences and choices among experts. */
export const withoutGradient = {
  Conv: { ...unknown, weights: "convolution", mixesTokens: "convolution", tells: "it mixes tokens by convolutions" },
  GRU: recurrent,
  LSTM: recurrent,
  Loop: loop,
  Scan: loop,
  ScatterElements: unknown,
  ScatterND: unknown,
  TopK: { ...unknown, tells: "it is a mixture of experts, which sends each token to a few of them by TopK" },
  "com.microsoft::MoE": { ...unknown, tells: "it is a mixture of experts" },
} satisfies Record<string, Operator>;
