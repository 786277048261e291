import type { Config } from "../config.ts";
import type { Family } from "../family.ts";
import { turnedShare } from "../frequencies.ts";
import { gatedDecoder, layerNorm, linearAt, rmsNorm, type Variant } from "./gated-decoder.ts";

/** One norm, an attention and a plain MLP of the same value; biases everywhere, at the head too. */
function phi(config: Config): Variant {
  const norm = layerNorm(config.epsilon("layer_norm_eps", 1e-5));
  const ofHeads = config.flag("qk_layernorm", false);
  return {
    norm,
    biases: { qkv: true, output: true, mlp: true },
    norms: { attention: { before: "input_layernorm" }, mlp: { before: "input_layernorm" } },
    lastNorm: "final_layernorm",
    rotary: { share: turnedShare(config, 0.5) },
    activation: ["hidden_act", "gelu_new"],
    layer: { residual: "PARALLEL" },
    attention: (at) => ({
      output: linearAt(`${at}dense`, true),
      ...(ofHeads ? { headNorm: { q: norm(`${at}q_layernorm`), k: norm(`${at}k_layernorm`), over: "HEAD", when: "BEFORE_ROTARY" } } : {}),
    }),
    mlp: (at) => ({ input: { kind: "PLAIN", up: linearAt(`${at}fc1`, true) }, down: linearAt(`${at}fc2`, true) }),
    head: { bias: "lm_head.bias" },
  };
}

/** A Llama whose queries, keys and values lie in one matrix, and gate and up in another. */
function phi3(config: Config): Variant {
  const window = config.window() ?? undefined;
  // Of positions that are scaled; it is there where they are not.
  config.passOver("original_max_position_embeddings");
  config.requireAll({ full_attn_mod: 1, interpolate_factor: 1, lm_head_bias: false });
  return {
    norm: rmsNorm(config, 1e-5),
    window: () => window,
    rotary: { share: turnedShare(config, 1) },
    attention: (at) => ({ projections: { kind: "PACKED", qkv: linearAt(`${at}qkv_proj`), by: "PARTS" } }),
    mlp: (at) => ({ input: { kind: "PACKED", gateUp: linearAt(`${at}gate_up_proj`) } }),
  };
}

export const phiFamilies: readonly Family[] = [
  { name: "Phi-1, Phi-1.5, Phi-2", modelType: "phi", blueprint: (config) => gatedDecoder(config, phi(config)) },
  { name: "Phi-3, Phi-4", modelType: "phi3", blueprint: (config) => gatedDecoder(config, phi3(config)) },
];
