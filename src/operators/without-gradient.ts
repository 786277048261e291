import { freezesAll } from "./axis-rules.ts";
import type { Operator } from "./operator.ts";

const unknown: Operator = { gradient: "unknown", axes: freezesAll, tokenWise: false };
const recurrent: Operator = { ...unknown, tells: "it is recurrent" };
const loop: Operator = { ...unknown, tells: "it is recurrent, by a loop over its tokens" };

/** Operators of models that serve and cannot be pruned yet: convolutions, recurrences, and experts in one operator. */
export const withoutGradient = {
  Conv: { ...unknown, weights: "convolution", mixesTokens: "convolution", tells: "it mixes tokens by convolutions" },
  GRU: recurrent,
  LSTM: recurrent,
  Loop: loop,
  Scan: loop,
  ScatterND: unknown,
  "com.microsoft::QMoE": { ...unknown, tells: "it is a mixture of experts, all in one operator" },
  "com.microsoft::MoE": { ...unknown, weights: "experts", tells: "it is a mixture of experts, all in one operator" },
} satisfies Record<string, Operator>;
