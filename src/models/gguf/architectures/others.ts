import { ropeFields } from "../rope.ts";
import type { Architecture, Names } from "./architecture.ts";
import {
  activationOf,
  common,
  headNorms,
  layerTypes,
  llamaFields,
  llamaNames,
  namesLike,
  normsAroundOne,
  ofQueriesKeysValues,
  requireWholeTurned,
  turnedShare,
} from "./common.ts";

export const stablelm: Architecture = {
  name: "stablelm",
  config: (facts) => {
    const fields = common(facts, "stablelm");
    const share = turnedShare(facts, fields.head_dim);
    facts.value("use_parallel_residual");
    return {
      ...fields,
      tie_word_embeddings: false,
      hidden_act: activationOf(facts, "silu"),
      layer_norm_eps: facts.number("attention.layer_norm_epsilon"),
      partial_rotary_factor: share,
      use_qkv_bias: facts.has("attn_q.bias"),
      use_parallel_residual: !facts.has("ffn_norm.weight"),
      qk_layernorm: facts.has("attn_q_norm.weight"),
      ...ropeFields(facts, share * fields.head_dim),
    };
  },
  names: namesLike(llamaNames, {
    attn_q_norm: { name: "self_attn.q_layernorm.norms.{}", heads: "QUERIES" },
    attn_k_norm: { name: "self_attn.k_layernorm.norms.{}", heads: "KEYS" },
  }),
  biases: { may: [...ofQueriesKeysValues, "ffn_norm"], must: ["attn_norm", "output_norm"] },
  head: "APART",
  square: true,
};

export const nemotron: Architecture = {
  name: "nemotron",
  config: (facts) => {
    const fields = common(facts, "nemotron");
    const share = turnedShare(facts, fields.head_dim);
    return {
      ...fields,
      tie_word_embeddings: false,
      hidden_act: activationOf(facts, "relu2"),
      norm_eps: facts.number("attention.layer_norm_epsilon"),
      partial_rotary_factor: share,
      attention_bias: facts.has("attn_q.bias"),
      mlp_bias: facts.has("ffn_up.bias"),
      ...ropeFields(facts, share * fields.head_dim),
    };
  },
  names: normsAroundOne(namesLike(llamaNames, { ffn_gate: null })),
  biases: { may: [...ofQueriesKeysValues, "attn_output", "ffn_up", "ffn_down"], must: ["attn_norm", "ffn_norm", "output_norm"] },
  head: "APART",
  square: true,
};

const oneNorm = namesLike(llamaNames, { ffn_norm: null });

export const commandR: Architecture = {
  name: "command-r",
  config: (facts) => {
    const fields = common(facts, "cohere");
    requireWholeTurned(facts, fields.head_dim);
    return {
      ...fields,
      tie_word_embeddings: true,
      hidden_act: activationOf(facts, "silu"),
      layer_norm_eps: facts.number("attention.layer_norm_epsilon"),
      logit_scale: facts.optional("logit_scale") || 1,
      use_qk_norm: facts.has("attn_q_norm.weight"),
      attention_bias: false,
      ...ropeFields(facts, fields.head_dim),
    };
  },
  names: namesLike(oneNorm, headNorms),
  // By the number of layers llama.cpp tells the larger models, which have norms of heads.
  unfit: ({ layers }) =>
    layers.length >= 64 === (layers[0]?.attention.headNorm !== undefined)
      ? null
      : "llama.cpp looks for norms of queries and keys in models of 64 layers and more, and in no others",
  biases: { may: ofQueriesKeysValues },
  head: "TIED",
  square: true,
};

export const cohere2: Architecture = {
  name: "cohere2",
  config: (facts) => {
    const { use_qk_norm: _, ...fields } = commandR.config(facts);
    facts.value("rope.freq_base_swa");
    return {
      ...fields,
      model_type: "cohere2",
      sliding_window: facts.count("attention.sliding_window"),
      layer_types: layerTypes(facts, 4),
    };
  },
  names: oneNorm,
  biases: { may: ofQueriesKeysValues },
  head: "TIED",
  square: true,
};

export const glm4: Architecture = {
  name: "glm4",
  config: (facts) => {
    const fields = common(facts, "glm4");
    const share = turnedShare(facts, fields.head_dim);
    return {
      ...fields,
      hidden_act: activationOf(facts, "silu"),
      rms_norm_eps: facts.number("attention.layer_norm_rms_epsilon"),
      partial_rotary_factor: share,
      attention_bias: facts.has("attn_q.bias"),
      ...ropeFields(facts, share * fields.head_dim),
    };
  },
  names: namesLike(llamaNames, {
    post_attention_norm: "post_self_attn_layernorm",
    ffn_norm: "post_attention_layernorm",
    post_ffw_norm: "post_mlp_layernorm",
    ffn_gate: null,
    ffn_up: "mlp.gate_up_proj",
  }),
  biases: { may: ofQueriesKeysValues },
  head: "EITHER",
};

/** GLM-4 of 2024 and the ChatGLM it came of: no norms after the branches. */
export const chatglm: Architecture = {
  ...glm4,
  name: "chatglm",
  config: (facts) => ({ ...glm4.config(facts), model_type: "glm" }),
  names: namesLike(llamaNames, { ffn_gate: null, ffn_up: "mlp.gate_up_proj" }),
  square: true,
};

const exaoneNames: Names = {
  layers: "transformer.h",
  top: { token_embd: "transformer.wte", output_norm: "transformer.ln_f", output: "lm_head" },
  layer: {
    attn_norm: "ln_1",
    attn_q: "attn.attention.q_proj",
    attn_k: "attn.attention.k_proj",
    attn_v: "attn.attention.v_proj",
    attn_output: "attn.attention.out_proj",
    ffn_norm: "ln_2",
    ffn_gate: "mlp.c_fc_0",
    ffn_up: "mlp.c_fc_1",
    ffn_down: "mlp.c_proj",
  },
};

/** EXAONE 3 and 3.5. */
export const exaone: Architecture = {
  name: "exaone",
  config: (facts) => llamaFields(facts, "exaone"),
  names: exaoneNames,
  biases: {},
  head: "EITHER",
  factors: "ONE",
};

/** Of 64 layers, most have windows, and the others no positions; of any other number, none has. */
export const exaone4: Architecture = {
  name: "exaone4",
  config: (facts) => {
    const [window, near, pattern] = [facts.optional("attention.sliding_window"), facts.value("rope.freq_base_swa"), layerTypes(facts, 4)];
    const windowed = facts.layers === 64;
    void near;
    return {
      ...llamaFields(facts, "exaone4"),
      sliding_window: windowed ? (window ?? 4096) : null,
      layer_types: windowed ? pattern : new Array(facts.layers).fill("full_attention"),
    };
  },
  names: namesLike(llamaNames, {
    ...headNorms,
    attn_norm: null,
    ffn_norm: null,
    post_attention_norm: "post_attention_layernorm",
    post_ffw_norm: "post_feedforward_layernorm",
  }),
  biases: { may: ofQueriesKeysValues },
  head: "EITHER",
  square: true,
  factors: "ONE",
};
