import { ropeFields } from "../rope.ts";
import type { Architecture } from "./architecture.ts";
import { activationOf, common, headNorms, llamaNames, namesLike, ofQueriesKeysValues, requireWholeTurned } from "./common.ts";

export const qwen2: Architecture = {
  name: "qwen2",
  config: (facts) => {
    const fields = common(facts, "qwen2");
    requireWholeTurned(facts, fields.head_dim);
    return {
      ...fields,
      hidden_act: activationOf(facts, "silu"),
      rms_norm_eps: facts.number("attention.layer_norm_rms_epsilon"),
      ...ropeFields(facts, fields.head_dim),
    };
  },
  names: llamaNames,
  biases: { may: ofQueriesKeysValues },
  head: "EITHER",
  square: true,
};

export const qwen3: Architecture = {
  ...qwen2,
  name: "qwen3",
  config: (facts) => ({ ...qwen2.config(facts), model_type: "qwen3", attention_bias: facts.has("attn_q.bias") }),
  names: namesLike(llamaNames, headNorms),
  square: false,
};
