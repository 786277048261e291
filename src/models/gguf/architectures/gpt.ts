import { ropeFields } from "../rope.ts";
import type { Architecture } from "./architecture.ts";
import {
  activationOf,
  common,
  llamaNames,
  namesLike,
  ofQueriesKeysValues,
  requireWholeTurned,
  turnedShare,
  vocabularyOf,
  widthsOf,
} from "./common.ts";

const byTanh = "llama.cpp works GELU out by tanh and from a table of float16: numbers differ in the third digit";

const everywhere = ["attn_norm", "attn_qkv", "attn_output", "ffn_norm", "ffn_up", "ffn_down", "output_norm"];

export const gpt2: Architecture = {
  name: "gpt2",
  config: (facts) => {
    const { heads, intermediate, uneven } = widthsOf(facts);
    return {
      model_type: "gpt2",
      n_embd: facts.count("embedding_length"),
      n_layer: facts.layers,
      n_head: heads,
      n_inner: intermediate,
      n_positions: facts.count("context_length"),
      vocab_size: vocabularyOf(facts),
      activation_function: activationOf(facts, "gelu_new"),
      layer_norm_epsilon: facts.number("attention.layer_norm_epsilon"),
      tie_word_embeddings: !facts.has("output.weight"),
      ...uneven,
    };
  },
  names: {
    layers: "transformer.h",
    top: { token_embd: "transformer.wte", position_embd: "transformer.wpe", output_norm: "transformer.ln_f", output: "lm_head" },
    layer: {
      attn_norm: "ln_1",
      attn_qkv: { name: "attn.c_attn", turned: true },
      attn_output: { name: "attn.c_proj", turned: true },
      ffn_norm: "ln_2",
      ffn_up: { name: "mlp.c_fc", turned: true },
      ffn_down: { name: "mlp.c_proj", turned: true },
    },
  },
  biases: { must: everywhere },
  head: "EITHER",
  square: true,
  caveat: byTanh,
};

export const gptNeox: Architecture = {
  name: "gptneox",
  config: (facts) => {
    const { tie_word_embeddings: _, head_dim: width, num_key_value_heads: __, ...fields } = common(facts, "gpt_neox");
    const share = turnedShare(facts, width);
    const { rope_theta: base, ...rope } = ropeFields(facts, share * width);
    return {
      ...fields,
      tie_word_embeddings: false,
      hidden_act: activationOf(facts, "gelu"),
      layer_norm_eps: facts.number("attention.layer_norm_epsilon"),
      use_parallel_residual: facts.flag("use_parallel_residual", true),
      attention_bias: facts.has("attn_qkv.bias"),
      rotary_pct: share,
      rotary_emb_base: base,
      ...rope,
    };
  },
  names: {
    layers: "gpt_neox.layers",
    top: { token_embd: "gpt_neox.embed_in", output_norm: "gpt_neox.final_layer_norm", output: "embed_out" },
    layer: {
      attn_norm: "input_layernorm",
      attn_qkv: { name: "attention.query_key_value", order: "GROUPS" },
      attn_output: "attention.dense",
      ffn_norm: "post_attention_layernorm",
      ffn_up: "mlp.dense_h_to_4h",
      ffn_down: "mlp.dense_4h_to_h",
    },
  },
  biases: { must: everywhere },
  head: "APART",
  square: true,
  caveat: byTanh,
};

export const falcon: Architecture = {
  name: "falcon",
  config: (facts) => {
    const { heads, kvHeads, headWidth, intermediate, uneven } = widthsOf(facts);
    requireWholeTurned(facts, headWidth);
    const two = facts.has("attn_norm_2.weight");
    const grouped = kvHeads !== 1 || two;
    return {
      model_type: "falcon",
      hidden_size: facts.count("embedding_length"),
      num_hidden_layers: facts.layers,
      num_attention_heads: heads,
      num_kv_heads: kvHeads,
      ffn_hidden_size: intermediate,
      vocab_size: vocabularyOf(facts),
      max_position_embeddings: facts.count("context_length"),
      multi_query: kvHeads === 1,
      new_decoder_architecture: grouped,
      ...(grouped ? { num_ln_in_parallel_attn: two ? 2 : 1 } : {}),
      parallel_attn: true,
      alibi: false,
      bias: false,
      activation: activationOf(facts, "gelu"),
      layer_norm_epsilon: facts.number("attention.layer_norm_epsilon"),
      tie_word_embeddings: !facts.has("output.weight"),
      ...ropeFields(facts, headWidth),
      ...uneven,
    };
  },
  names: {
    layers: "transformer.h",
    top: { token_embd: "transformer.word_embeddings", output_norm: "transformer.ln_f", output: "lm_head" },
    layer: {
      attn_norm: "input_layernorm",
      attn_qkv: { name: "self_attention.query_key_value", order: "GROUPS" },
      attn_output: "self_attention.dense",
      ffn_up: "mlp.dense_h_to_4h",
      ffn_down: "mlp.dense_4h_to_h",
    },
  },
  biases: { must: ["attn_norm", "output_norm"] },
  head: "EITHER",
  square: true,
  caveat: byTanh,
};

/** Attention and feed-forward network have a norm each. */
export const falconOfTwoNorms: Architecture = {
  ...falcon,
  names: namesLike(falcon.names, { attn_norm: "ln_mlp", attn_norm_2: "ln_attn" }),
  biases: { must: ["attn_norm", "attn_norm_2", "output_norm"] },
  marked: "attn_norm_2.weight",
};

export const starcoder2: Architecture = {
  name: "starcoder2",
  config: (facts) => {
    const fields = common(facts, "starcoder2");
    requireWholeTurned(facts, fields.head_dim);
    return {
      ...fields,
      hidden_act: activationOf(facts, "gelu_pytorch_tanh"),
      norm_epsilon: facts.number("attention.layer_norm_epsilon"),
      use_bias: facts.has("attn_output.bias"),
      ...ropeFields(facts, fields.head_dim),
    };
  },
  names: namesLike(llamaNames, { ffn_gate: null, ffn_up: "mlp.c_fc", ffn_down: "mlp.c_proj" }),
  biases: { may: ofQueriesKeysValues, must: everywhere.filter((name) => name !== "attn_qkv") },
  head: "EITHER",
  square: true,
  caveat: byTanh,
};
