import type { Config } from "../config.ts";
import type { Family } from "../family.ts";
import { gatedDecoder, type Variant } from "./gated-decoder.ts";
import { type Window, windowsBy } from "./windows.ts";

/** Biases of queries, keys, values and the output alike. */
const attentionBiases = (config: Config) => {
  const biased = config.flag("attention_bias", false);
  return { qkv: biased, output: biased };
};

const mlpBias = (config: Config) => ({ mlp: config.flag("mlp_bias", false) });

/** Windows from `max_window_layers` on, if they are used at all. */
function qwenWindows(config: Config): Window {
  const used = config.flag("use_sliding_window", false);
  const [window, from] = [config.window() ?? 4096, config.optional("max_window_layers") ?? 28];
  return windowsBy(config, used ? window : null, (layer) => layer >= from);
}

/** Some layers have no positions: by `no_rope_layers`, 1 where there are; or one of every few. */
function smollm3(config: Config): Variant {
  const layers = config.layers();
  config.passOver("max_window_layers");
  const every = config.optional("no_rope_layer_interval") ?? 4;
  const stated = config.value("no_rope_layers") === undefined ? null : config.numbers("no_rope_layers", layers);
  const turns = (layer: number) => (stated ? stated[layer] !== 0 : (layer + 1) % every !== 0);
  const window = config.flag("use_sliding_window", false) ? config.window() : null;
  return {
    biases: { ...attentionBiases(config), ...mlpBias(config) },
    window: windowsBy(config, window, (layer) => !turns(layer)),
    turns,
    base: 2000000,
    tied: true,
  };
}

/** Mistral's class computes what Llama's does, without biases. */
function asMistral({ attention_bias, mlp_bias, pretraining_tp: _, ...keys }: Readonly<Record<string, unknown>>) {
  if (attention_bias === true || mlp_bias === true) return null;
  return { ...keys, model_type: "mistral", architectures: ["MistralForCausalLM"], sliding_window: null };
}

export const llamaFamilies: readonly Family[] = [
  {
    name: "Llama 1 to 3.3, SmolLM 1 and 2",
    modelType: "llama",
    headsDivideWidth: { otherwise: asMistral },
    blueprint: (config) => {
      // SmolLM's say so.
      config.requireAll({ is_llama_config: true, rope_interleaved: false });
      return gatedDecoder(config, { biases: { ...attentionBiases(config), ...mlpBias(config) } });
    },
  },
  {
    name: "Mistral",
    modelType: "mistral",
    blueprint: (config) => {
      const window = config.stated("sliding_window") ? config.window() : 4096;
      return gatedDecoder(config, { window: () => window ?? undefined });
    },
  },
  {
    name: "Qwen2, Qwen2.5",
    modelType: "qwen2",
    blueprint: (config) => gatedDecoder(config, { biases: { qkv: true }, window: qwenWindows(config) }),
  },
  {
    name: "Qwen3",
    modelType: "qwen3",
    blueprint: (config) =>
      gatedDecoder(config, {
        biases: attentionBiases(config),
        window: qwenWindows(config),
        headNorms: { over: "HEAD" },
        headWidth: config.heads("head_dim", 128),
      }),
  },
  { name: "SmolLM3", modelType: "smollm3", blueprint: (config) => gatedDecoder(config, smollm3(config)) },
];
