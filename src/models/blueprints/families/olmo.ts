import type { Config } from "../config.ts";
import type { Family } from "../family.ts";
import { frequenciesOf, windowFrequenciesOf } from "../frequencies.ts";
import { gatedDecoder, rmsNorm, type Variant } from "./gated-decoder.ts";
import { layerTypes, windowsBy } from "./windows.ts";

const biases = (config: Config) => {
  const biased = config.flag("attention_bias", false);
  return { qkv: biased, output: biased };
};

/** Norms after the branches, and of all queries and keys of a token together. */
const olmo2 = (config: Config): Variant => ({
  biases: biases(config),
  norm: rmsNorm(config, 1e-5),
  norms: { attention: { after: "post_attention_layernorm" }, mlp: { after: "post_feedforward_layernorm" } },
  headNorms: { over: "ALL" },
});

/** Three layers of four have windows, and positions that are not scaled. */
function olmo3(config: Config): Variant {
  const isWindowed = (layer: number) => (layer + 1) % 4 !== 0;
  const kinds = layerTypes(config);
  return {
    ...olmo2(config),
    window: windowsBy(config, config.window() ?? 4096, isWindowed),
    frequencies: (width) => {
      const whole = frequenciesOf(config, width, 10000, "full_attention");
      const base = config.part("rope_parameters")?.optional("rope_theta") ?? config.optional("rope_theta") ?? 10000;
      const near = windowFrequenciesOf(config, width, base);
      return (layer) => ((kinds ? kinds[layer] === "sliding_attention" : isWindowed(layer)) ? near : whole);
    },
  };
}

export const olmoFamilies: readonly Family[] = [
  {
    name: "OLMo 1",
    modelType: "olmo",
    blueprint: (config) => {
      const clip = config.optional("clip_qkv");
      return gatedDecoder(config, {
        biases: biases(config),
        norm: () => ({ kind: "LAYER", weight: null, epsilon: 1e-5 }),
        attention: () => (clip === null ? {} : { clip }),
      });
    },
  },
  { name: "OLMo 2", modelType: "olmo2", blueprint: (config) => gatedDecoder(config, olmo2(config)) },
  { name: "OLMo 3", modelType: "olmo3", blueprint: (config) => gatedDecoder(config, olmo3(config)) },
];
