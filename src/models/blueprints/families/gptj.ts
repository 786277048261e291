import type { Layer, Norm } from "../blueprint.ts";
import type { Config } from "../config.ts";
import type { Family } from "../family.ts";
import { scaledBy, turnedWidth } from "../frequencies.ts";
import { layerNorm, linearAt } from "./gated-decoder.ts";
import { innerWidth } from "./gpt2.ts";

function layerAt(config: Config, norm: (at: string) => Norm, layer: number): Layer {
  const at = `transformer.h.${layer}.`;
  const [hidden, heads, width] = [config.count("n_embd"), config.heads("n_head"), config.heads("rotary_dim")];
  turnedWidth(config, "rotary_dim", hidden / heads, width / (hidden / heads));
  const before = norm(`${at}ln_1`);
  return {
    residual: "PARALLEL",
    attention: {
      before,
      after: null,
      heads,
      kvHeads: heads,
      headWidth: hidden / heads,
      scale: (hidden / heads) ** -0.5,
      projections: {
        kind: "SEPARATE",
        q: linearAt(`${at}attn.q_proj`),
        k: linearAt(`${at}attn.k_proj`),
        v: linearAt(`${at}attn.v_proj`),
      },
      output: linearAt(`${at}attn.out_proj`),
      rotary: { width, pairs: "NEIGHBOURS", frequencies: scaledBy(config, null, width, 10000) },
    },
    mlp: {
      before,
      after: null,
      width: innerWidth(config, hidden),
      activation: config.activation("activation_function", "gelu_new"),
      input: { kind: "PLAIN", up: linearAt(`${at}mlp.fc_in`, true) },
      down: linearAt(`${at}mlp.fc_out`, true),
    },
  };
}

/** One norm, attention and a plain MLP of the same value, neighbours turned against each other, a head with a bias. */
export const gptj: Family = {
  name: "GPT-J",
  modelType: "gptj",
  headWidthFollows: true,
  prefix: "transformer.",
  blueprint: (config) => {
    const norm = layerNorm(config.epsilon("layer_norm_epsilon", 1e-5));
    config.requireAll({ rotary: true, scale_attn_weights: true });
    const hiddenSize = config.count("n_embd");
    const embedding = "transformer.wte.weight";
    config.requireDivides("n_head", hiddenSize);
    return {
      hiddenSize,
      vocabularySize: config.count("vocab_size"),
      embedding: { weight: embedding },
      layers: Array.from({ length: config.layers("n_layer") }, (_, layer) => layerAt(config, norm, layer)),
      norm: norm("transformer.ln_f"),
      head: { weight: config.flag("tie_word_embeddings", false) ? embedding : "lm_head.weight", bias: "lm_head.bias" },
    };
  },
};
