import type { Architecture } from "./architecture.ts";
import { headNorms, llamaFields, llamaNames, namesLike, ofQueriesKeysValues } from "./common.ts";

export const qwen2: Architecture = {
  name: "qwen2",
  config: (facts) => llamaFields(facts, "qwen2"),
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
