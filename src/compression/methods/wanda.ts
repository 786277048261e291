import type { CompressionMethod } from "./method.ts";
import { prunedByScore } from "./pruned-by-score.ts";

/** `|W_ij|` times the norm of input i over all tokens, compared within each output (Sun and others, arXiv 2306.11695). */
export const wanda: CompressionMethod = {
  name: "WANDA",
  description:
    "Of each output, the weights become 0 that multiply least: by their size times the norm of their input (Wanda). Reads texts.",
  schemes: ["SPARSE"],
  options: [],
  needsGram: true,
  compress(group, options) {
    const { gram, inputs } = group;
    return prunedByScore(group, options, (i) => Math.sqrt(gram?.[i * inputs + i] as number));
  },
};
