import { ropeFields } from "../rope.ts";
import type { Architecture } from "./architecture.ts";
import { activationOf, common, llamaNames, namesLike, ofQueriesKeysValues, turnedShare } from "./common.ts";

export const phi2: Architecture = {
  name: "phi2",
  config: (facts) => {
    const fields = common(facts, "phi");
    const share = turnedShare(facts, fields.head_dim);
    return {
      ...fields,
      hidden_act: activationOf(facts, "gelu_new"),
      layer_norm_eps: facts.number("attention.layer_norm_epsilon"),
      partial_rotary_factor: share,
      ...ropeFields(facts, share * fields.head_dim),
    };
  },
  names: namesLike(
    llamaNames,
    { attn_output: "self_attn.dense", ffn_norm: null, ffn_gate: null, ffn_up: "mlp.fc1", ffn_down: "mlp.fc2" },
    { output_norm: "model.final_layernorm" },
  ),
  biases: { may: ofQueriesKeysValues, must: ["attn_norm", "attn_output", "ffn_up", "ffn_down", "output_norm", "output"] },
  head: "APART",
  square: true,
};

export const phi3: Architecture = {
  name: "phi3",
  config: (facts) => {
    const fields = common(facts, "phi3");
    const share = turnedShare(facts, fields.head_dim);
    const original = facts.optional("rope.scaling.original_context_length");
    return {
      ...fields,
      hidden_act: activationOf(facts, "silu"),
      rms_norm_eps: facts.number("attention.layer_norm_rms_epsilon"),
      partial_rotary_factor: share,
      sliding_window: facts.optional("attention.sliding_window") || null,
      ...(original === undefined ? {} : { original_max_position_embeddings: original }),
      ...ropeFields(facts, share * fields.head_dim),
    };
  },
  names: namesLike(llamaNames, {
    attn_q: null,
    attn_k: null,
    attn_v: null,
    attn_qkv: "self_attn.qkv_proj",
    ffn_gate: null,
    ffn_up: "mlp.gate_up_proj",
  }),
  biases: { may: ofQueriesKeysValues },
  head: "EITHER",
  square: true,
  factors: "SHORT_AND_LONG",
  ignoresWindows: true,
  caveat:
    "llama.cpp reads a text by the frequencies for long ones if its context is set longer than those for short ones go, however long the text is",
};
