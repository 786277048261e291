import type { Family } from "../family.ts";
import { gatedDecoder } from "./gated-decoder.ts";

/** A Llama with multipliers. */
export const granite: Family = {
  name: "Granite 3",
  modelType: "granite",
  blueprint: (config) => {
    const biased = config.flag("attention_bias", false);
    return gatedDecoder(config, {
      biases: { qkv: biased, output: biased, mlp: config.flag("mlp_bias", false) },
      embedding: { scale: config.number("embedding_multiplier", 1) },
      attention: () => ({ scale: config.number("attention_multiplier", 1) }),
      layer: { branchScale: config.number("residual_multiplier", 1) },
      head: { scale: 1 / config.positive("logits_scaling", 1) },
    });
  },
};
