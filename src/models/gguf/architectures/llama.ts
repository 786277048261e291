import type { Facts } from "../facts.ts";
import type { Architecture, Fields } from "./architecture.ts";
import { llamaFields, llamaNames, namesLike, neighbours, ofQueriesKeysValues } from "./common.ts";

const names = namesLike(llamaNames, neighbours);

const biases = { may: [...ofQueriesKeysValues, "attn_output", "ffn_gate", "ffn_up", "ffn_down"] };

/** Llama, or one like it: biases of queries, keys and values alone are Qwen2's. */
function llamaConfig(facts: Facts): Fields {
  const biased = facts.has("attn_q.bias");
  const asQwen = biased && !facts.has("attn_output.bias");
  const own = asQwen ? {} : { attention_bias: biased || facts.has("attn_output.bias"), mlp_bias: facts.has("ffn_up.bias") };
  return { ...llamaFields(facts, asQwen ? "qwen2" : "llama"), ...own };
}

export const llama: Architecture = { name: "llama", config: llamaConfig, names, biases, head: "EITHER", factors: "BOTH" };

/** A Llama of whose layers each has heads and widths of its own. */
export const deci: Architecture = { ...llama, name: "deci", uneven: true };

/** A Llama with multipliers. */
export const granite: Architecture = {
  ...llama,
  name: "granite",
  dividesLogits: true,
  config: (facts) => {
    const fields = llamaConfig(facts);
    const multiplier = (key: string, otherwise: number) => facts.optional(key) || otherwise;
    return {
      ...fields,
      model_type: "granite",
      attention_multiplier: multiplier("attention.scale", (fields["head_dim"] as number) ** -0.5),
      embedding_multiplier: multiplier("embedding_scale", 1),
      residual_multiplier: multiplier("residual_scale", 1),
      logits_scaling: multiplier("logit_scale", 1),
    };
  },
};

/** A Llama of whose layers every fourth has no positions. */
export const smollm3: Architecture = {
  name: "smollm3",
  names,
  biases: { may: ofQueriesKeysValues },
  head: "EITHER",
  config: (facts) => ({
    ...llamaConfig(facts),
    model_type: "smollm3",
    no_rope_layers: Array.from({ length: facts.layers }, (_, layer) => ((layer + 1) % 4 === 0 ? 0 : 1)),
  }),
};
