import { EspalierError } from "../../../errors.ts";
import { ropeFields } from "../rope.ts";
import type { Architecture } from "./architecture.ts";
import {
  activationOf,
  common,
  headNorms,
  layerTypes,
  llamaNames,
  namesLike,
  neighbours,
  ofQueriesKeysValues,
  requireWholeTurned,
} from "./common.ts";

export const olmo: Architecture = {
  name: "olmo",
  config: (facts) => {
    const fields = common(facts, "olmo");
    requireWholeTurned(facts, fields.head_dim);
    const epsilon = facts.number("attention.layer_norm_epsilon");
    if (Math.abs(epsilon - 1e-5) > 1e-9) facts.refuse("attention.layer_norm_epsilon", "1e-5");
    return {
      ...fields,
      hidden_act: activationOf(facts, "silu"),
      clip_qkv: facts.optional("attention.clamp_kqv") || null,
      ...ropeFields(facts, fields.head_dim),
    };
  },
  names: namesLike(llamaNames, { ...neighbours, attn_norm: null, ffn_norm: null }, { output_norm: null }),
  biases: { may: ofQueriesKeysValues },
  head: "EITHER",
  square: true,
};

/** With windows it is OLMo 3. */
export const olmo2: Architecture = {
  name: "olmo2",
  config: (facts) => {
    const window = facts.optional("attention.sliding_window") ?? 0;
    const fields = common(facts, window > 0 ? "olmo3" : "olmo2");
    requireWholeTurned(facts, fields.head_dim);
    const rope = ropeFields(facts, fields.head_dim);
    const near = facts.optional("rope.freq_base_swa");
    if (near !== undefined && near !== rope["rope_theta"]) facts.refuse("rope.freq_base_swa", "that of layers without windows");
    if (!facts.has("output.weight"))
      throw new EspalierError("INVALID_GGUF", `${facts.described.file}: there is no tensor "output.weight"`, { tensor: "output.weight" });
    return {
      ...fields,
      tie_word_embeddings: false,
      hidden_act: activationOf(facts, "silu"),
      rms_norm_eps: facts.number("attention.layer_norm_rms_epsilon"),
      ...(window > 0 ? { sliding_window: window, layer_types: layerTypes(facts, 4) } : {}),
      ...rope,
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
  head: "APART",
  square: true,
};
