import type { Family } from "../family.ts";
import { gatedDecoder, layerNorm, linearAt } from "./gated-decoder.ts";

/** Grouped queries and positions as Llama has them, norms and a plain MLP as GPT-2 has them. */
export const starcoder2: Family = {
  name: "StarCoder2",
  modelType: "starcoder2",
  blueprint: (config) => {
    const biased = config.flag("use_bias", true);
    const window = config.window() ?? undefined;
    config.passOver("activation_function", "layer_norm_epsilon");
    config.requireAll({
      mlp_type: "default",
      norm_type: "layer_norm",
      scale_attn_weights: true,
      attention_softmax_in_fp32: true,
      scale_attention_softmax_in_fp32: true,
    });
    return gatedDecoder(config, {
      norm: layerNorm(config.epsilon("norm_epsilon", 1e-5)),
      biases: { qkv: biased, output: biased },
      window: () => window,
      activation: ["hidden_act", "gelu_pytorch_tanh"],
      mlp: (at) => ({ input: { kind: "PLAIN", up: linearAt(`${at}c_fc`, biased) }, down: linearAt(`${at}c_proj`, biased) }),
      tied: true,
    });
  },
};
