import type { Norm } from "../blueprint.ts";
import type { Config } from "../config.ts";
import type { Family } from "../family.ts";
import { frequenciesOf, windowFrequenciesOf } from "../frequencies.ts";
import { gatedDecoder, type Variant } from "./gated-decoder.ts";
import { allButEach, layerTypes, windowsBy } from "./windows.ts";

/** What all three share: scales kept as differences from 1, embeddings times the root of their width, a tied head. */
function gemma(config: Config): Variant {
  const biased = config.flag("attention_bias", false);
  return {
    norm: (at): Norm => ({ kind: "RMS", weight: `${at}.weight`, epsilon: config.epsilon("rms_norm_eps", 1e-6), aroundOne: true }),
    biases: { qkv: biased, output: biased },
    headWidth: config.heads("head_dim", 256),
    embedding: { scale: Math.sqrt(config.count("hidden_size")) },
    tied: true,
  };
}

/** Norms on both sides of a branch, and scores by a width that need not be that of a head. */
function gemma2(config: Config, caps: { readonly scores?: number; readonly logits?: number }): Variant {
  const scale = config.positive("query_pre_attn_scalar", 256) ** -0.5;
  const capAt = (key: string) => (config.optional(key) === null ? undefined : config.positive(key));
  const capOf = (key: string, fallback: number | undefined) => (config.stated(key) ? capAt(key) : fallback);
  const softcap = capOf("attn_logit_softcapping", caps.scores);
  const last = capOf("final_logit_softcapping", caps.logits);
  return {
    ...gemma(config),
    activation: ["hidden_activation", "gelu_pytorch_tanh"],
    norms: {
      attention: { before: "input_layernorm", after: "post_attention_layernorm" },
      mlp: { before: "pre_feedforward_layernorm", after: "post_feedforward_layernorm" },
    },
    attention: () => ({ scale, ...(softcap === undefined ? {} : { softcap }) }),
    head: last === undefined ? {} : { softcap: last },
  };
}

/** Layers with windows turn by a base of their own, unscaled. */
function gemma3(config: Config): Variant {
  config.require("use_bidirectional_attention", false);
  // transformers reads it, and caps no scores.
  config.require("attn_logit_softcapping", null);
  const isWindowed = allButEach(config, 6);
  const kinds = layerTypes(config);
  const local = config.optional("rope_local_base_freq") ?? 10000;
  return {
    ...gemma2(config, {}),
    window: windowsBy(config, config.window() ?? 4096, isWindowed),
    headNorms: { over: "HEAD" },
    frequencies: (width) => {
      const whole = frequenciesOf(config, width, 1_000_000, "full_attention");
      const near = windowFrequenciesOf(config, width, local);
      return (layer) => ((kinds ? kinds[layer] === "sliding_attention" : isWindowed(layer)) ? near : whole);
    },
  };
}

export const gemmaFamilies: readonly Family[] = [
  {
    name: "Gemma 1",
    modelType: "gemma",
    blueprint: (config) => {
      // Its first configurations say "gelu", and mean the approximation by tanh: so later transformers reads them.
      const legacy = config.value("hidden_act") === "gelu" || config.value("hidden_activation") !== undefined;
      return gatedDecoder(config, { ...gemma(config), activation: [legacy ? "hidden_activation" : "hidden_act", "gelu_pytorch_tanh"] });
    },
  },
  {
    name: "Gemma 2",
    modelType: "gemma2",
    headsDivideWidth: {},
    blueprint: (config) => {
      const window = config.window() ?? 4096;
      return gatedDecoder(config, {
        ...gemma2(config, { scores: 50, logits: 30 }),
        window: windowsBy(config, window, (layer) => layer % 2 === 0),
      });
    },
  },
  {
    name: "Gemma 3, text",
    modelType: "gemma3_text",
    headsDivideWidth: {},
    blueprint: (config) => gatedDecoder(config, gemma3(config)),
  },
];
