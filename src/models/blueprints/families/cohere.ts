import type { Config } from "../config.ts";
import type { Family } from "../family.ts";
import { gatedDecoder, layerNorm, type Variant } from "./gated-decoder.ts";
import { allButEach, layerTypes, windowsBy } from "./windows.ts";

/** One norm without a bias, attention and MLP of the same value, neighbours turned against each other, logits scaled. */
function cohere(config: Config): Variant {
  const biased = config.flag("attention_bias", false);
  return {
    norm: layerNorm(config.epsilon("layer_norm_eps", 1e-5), false),
    biases: { qkv: biased, output: biased },
    norms: { attention: { before: "input_layernorm" }, mlp: { before: "input_layernorm" } },
    rotary: { pairs: "NEIGHBOURS" },
    layer: { residual: "PARALLEL" },
    head: { scale: config.number("logit_scale", 0.0625) },
    tied: true,
  };
}

/** Layers without windows have no positions. */
function cohere2(config: Config): Variant {
  const kinds = layerTypes(config);
  const isWindowed = allButEach(config, 4);
  config.requireAll({
    order_of_interleaved_layers: "local_attn_first",
    position_embedding_type: "rope_gptj",
    rotary_pct: 1,
    use_embedding_sharing: true,
    use_gated_activation: true,
    use_parallel_block: true,
    use_parallel_embedding: false,
  });
  return {
    ...cohere(config),
    window: windowsBy(config, config.window() ?? 4096, isWindowed),
    turns: (layer) => (kinds ? kinds[layer] === "sliding_attention" : isWindowed(layer)),
  };
}

export const cohereFamilies: readonly Family[] = [
  {
    name: "Cohere, Command R",
    modelType: "cohere",
    blueprint: (config) => {
      const variant = cohere(config);
      const norm = (at: string, heads: number) => ({
        kind: "LAYER" as const,
        weight: `${at}.weight`,
        epsilon: config.epsilon("layer_norm_eps", 1e-5),
        heads,
      });
      return gatedDecoder(config, config.flag("use_qk_norm", false) ? { ...variant, headNorms: { over: "HEAD", norm } } : variant);
    },
  },
  { name: "Cohere 2, Command R7B and A", modelType: "cohere2", blueprint: (config) => gatedDecoder(config, cohere2(config)) },
];
