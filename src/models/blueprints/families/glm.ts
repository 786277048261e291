import type { Config } from "../config.ts";
import type { Family } from "../family.ts";
import { turnedShare } from "../frequencies.ts";
import { gatedDecoder, linearAt, rmsNorm, type Variant } from "./gated-decoder.ts";

/** A Llama of whose heads a part turns, neighbours against each other; gate and up lie in one matrix. */
const glm = (config: Config): Variant => ({
  norm: rmsNorm(config, 1.5625e-7),
  biases: { qkv: config.flag("attention_bias", true) },
  headWidth: config.heads("head_dim", 128),
  rotary: { share: turnedShare(config, 0.5), pairs: "NEIGHBOURS" },
  mlp: (at) => ({ input: { kind: "PACKED", gateUp: linearAt(`${at}gate_up_proj`) } }),
});

export const glmFamilies: readonly Family[] = [
  { name: "GLM-4, of 2024", modelType: "glm", blueprint: (config) => gatedDecoder(config, glm(config)) },
  {
    name: "GLM-4, of 2025",
    modelType: "glm4",
    blueprint: (config) =>
      gatedDecoder(config, {
        ...glm(config),
        norms: {
          attention: { before: "input_layernorm", after: "post_self_attn_layernorm" },
          mlp: { before: "post_attention_layernorm", after: "post_mlp_layernorm" },
        },
      }),
  },
];
