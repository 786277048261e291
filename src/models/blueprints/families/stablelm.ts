import type { Norm } from "../blueprint.ts";
import type { Family } from "../family.ts";
import { turnedShare } from "../frequencies.ts";
import { gatedDecoder, layerNorm } from "./gated-decoder.ts";

/** A Llama with norms that have biases, of whose heads a part turns; perhaps with attention and MLP of the same value. */
export const stablelm: Family = {
  name: "StableLM 2, StableLM 3B",
  modelType: "stablelm",
  headWidthFollows: true,
  blueprint: (config) => {
    const epsilon = config.epsilon("layer_norm_eps", 1e-5);
    const parallel = config.flag("use_parallel_residual", false);
    const before = "input_layernorm";
    // Each head has a tensor of its own.
    const ofHeads = (at: string, heads: number): Norm => ({
      kind: "LAYER",
      weight: Array.from({ length: heads }, (_, head) => `${at.replace(/_norm$/, "_layernorm")}.norms.${head}.weight`),
      epsilon,
      heads,
    });
    return gatedDecoder(config, {
      norm: layerNorm(epsilon),
      biases: { qkv: config.flag("use_qkv_bias", false) },
      rotary: { share: turnedShare(config, 0.25) },
      norms: { attention: { before }, mlp: { before: parallel ? before : "post_attention_layernorm" } },
      layer: { residual: parallel ? "PARALLEL" : "SEQUENTIAL" },
      ...(config.flag("qk_layernorm", false) ? { headNorms: { over: "HEAD", norm: ofHeads } } : {}),
    });
  },
};
