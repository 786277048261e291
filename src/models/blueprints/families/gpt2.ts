import type { Layer, Linear, Norm } from "../blueprint.ts";
import type { Config } from "../config.ts";
import type { Family } from "../family.ts";
import { layerNorm } from "./gated-decoder.ts";

/** Weights as Conv1D keeps them. */
const turned = (at: string): Linear => ({ weight: `${at}.weight`, bias: `${at}.bias`, stored: "IN_OUT" });

/** Of GPT-2 and GPT-J: width of the MLP, four times that of the stream unless it is stated. */
export const innerWidth = (config: Config, hidden: number): number => config.count("n_inner", 4 * hidden);

function layerAt(config: Config, norm: (at: string) => Norm, layer: number): Layer {
  const at = `transformer.h.${layer}.`;
  const [hidden, heads] = [config.count("n_embd"), config.heads("n_head")];
  const headWidth = hidden / heads;
  const byWidth = config.flag("scale_attn_weights", true) ? headWidth ** -0.5 : 1;
  const scale = config.flag("scale_attn_by_inverse_layer_idx", false) ? byWidth / (layer + 1) : byWidth;
  return {
    residual: "SEQUENTIAL",
    attention: {
      before: norm(`${at}ln_1`),
      after: null,
      heads,
      kvHeads: heads,
      headWidth,
      scale,
      projections: { kind: "PACKED", qkv: turned(`${at}attn.c_attn`), by: "PARTS" },
      output: turned(`${at}attn.c_proj`),
      rotary: null,
    },
    mlp: {
      before: norm(`${at}ln_2`),
      after: null,
      width: innerWidth(config, hidden),
      activation: config.activation("activation_function", "gelu_new"),
      input: { kind: "PLAIN", up: turned(`${at}mlp.c_fc`) },
      down: turned(`${at}mlp.c_proj`),
    },
  };
}

/** Learned positions, queries, keys and values in one matrix, a plain MLP, a tied head. */
export const gpt2: Family = {
  name: "GPT-2",
  modelType: "gpt2",
  headWidthFollows: true,
  prefix: "transformer.",
  blueprint: (config) => {
    const norm = layerNorm(config.epsilon("layer_norm_epsilon", 1e-5));
    const [hiddenSize, embedding] = [config.count("n_embd"), "transformer.wte.weight"];
    config.requireDivides("n_head", hiddenSize);
    return {
      hiddenSize,
      vocabularySize: config.count("vocab_size"),
      embedding: { weight: embedding },
      positions: { weight: "transformer.wpe.weight", rows: config.count("n_positions", 1024), offset: 0 },
      layers: Array.from({ length: config.layers("n_layer") }, (_, layer) => layerAt(config, norm, layer)),
      norm: norm("transformer.ln_f"),
      head: { weight: config.flag("tie_word_embeddings", true) ? embedding : "lm_head.weight" },
    };
  },
};
