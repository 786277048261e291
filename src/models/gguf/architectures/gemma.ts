import type { Facts } from "../facts.ts";
import { ropeFields, scalingOf } from "../rope.ts";
import type { Architecture, Fields } from "./architecture.ts";
import {
  activationOf,
  common,
  headNorms,
  layerTypes,
  llamaNames,
  namesLike,
  normsAroundOne,
  ofQueriesKeysValues,
  requireWholeTurned,
} from "./common.ts";

function gemmaConfig(facts: Facts, modelType: string): Fields & { readonly head_dim: number } {
  const fields = common(facts, modelType);
  requireWholeTurned(facts, fields.head_dim);
  return {
    ...fields,
    tie_word_embeddings: true,
    attention_bias: false,
    hidden_activation: activationOf(facts, "gelu_pytorch_tanh"),
    rms_norm_eps: facts.number("attention.layer_norm_rms_epsilon"),
  };
}

/** Products of queries and keys are scaled by a head's width; in the largest model by the stream's, divided among the heads. */
const scoreWidth = (facts: Facts, fields: Fields, largest: number): number =>
  facts.layers === largest
    ? Math.floor((fields["hidden_size"] as number) / (fields["num_attention_heads"] as number))
    : (fields["head_dim"] as number);

const bothSides = {
  post_attention_norm: "post_attention_layernorm",
  ffn_norm: "pre_feedforward_layernorm",
  post_ffw_norm: "post_feedforward_layernorm",
};

export const gemma: Architecture = {
  name: "gemma",
  config: (facts) => {
    const fields = gemmaConfig(facts, "gemma");
    return { ...fields, ...ropeFields(facts, fields.head_dim) };
  },
  names: normsAroundOne(llamaNames),
  biases: { may: ofQueriesKeysValues },
  head: "TIED",
};

export const gemma2: Architecture = {
  name: "gemma2",
  config: (facts) => {
    const fields = gemmaConfig(facts, "gemma2");
    facts.value("rope.freq_base_swa");
    return {
      ...fields,
      sliding_window: facts.count("attention.sliding_window", 4096),
      layer_types: layerTypes(facts, 2),
      query_pre_attn_scalar: scoreWidth(facts, fields, 46),
      attn_logit_softcapping: facts.number("attn_logit_softcapping", 50),
      final_logit_softcapping: facts.number("final_logit_softcapping", 30),
      ...ropeFields(facts, fields.head_dim),
    };
  },
  names: normsAroundOne(namesLike(llamaNames, bothSides)),
  biases: { may: ofQueriesKeysValues },
  head: "TIED",
};

export const gemma3: Architecture = {
  name: "gemma3",
  config: (facts) => {
    const fields = gemmaConfig(facts, "gemma3_text");
    const window = facts.optional("attention.sliding_window") ?? 0;
    const base = facts.number("rope.freq_base", 10000);
    return {
      ...fields,
      sliding_window: window === 0 ? null : window,
      layer_types: window === 0 ? new Array(facts.layers).fill("full_attention") : layerTypes(facts, 6),
      query_pre_attn_scalar: scoreWidth(facts, fields, 62),
      final_logit_softcapping: facts.optional("final_logit_softcapping") || null,
      rope_theta: base,
      rope_local_base_freq: facts.number("rope.freq_base_swa", 10000),
      rope_scaling: scalingOf(facts, fields.head_dim, base),
    };
  },
  names: normsAroundOne(namesLike(llamaNames, { ...bothSides, ...headNorms })),
  biases: { may: ofQueriesKeysValues },
  head: "TIED",
};
