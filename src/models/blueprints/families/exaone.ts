import type { Blueprint } from "../blueprint.ts";
import type { Config } from "../config.ts";
import type { Family } from "../family.ts";
import { gatedDecoder, rmsNorm } from "./gated-decoder.ts";
import { allButEach, layerTypes, windowsBy } from "./windows.ts";

/** What EXAONE 3's files call the tensors of a Llama. */
const calledInThree: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens\./, "transformer.wte."],
  [/^model\.norm\./, "transformer.ln_f."],
  [/^model\.layers\.(\d+)\./, "transformer.h.$1."],
  [/\.input_layernorm\./, ".ln_1."],
  [/\.post_attention_layernorm\./, ".ln_2."],
  [/\.self_attn\.o_proj\./, ".attn.attention.out_proj."],
  [/\.self_attn\./, ".attn.attention."],
  [/\.mlp\.gate_proj\./, ".mlp.c_fc_0."],
  [/\.mlp\.up_proj\./, ".mlp.c_fc_1."],
  [/\.mlp\.down_proj\./, ".mlp.c_proj."],
];

const inThree = (name: string): string => calledInThree.reduce((called, [here, there]) => called.replace(here, there), name);

/** The same blueprint with its tensors under other names. */
function renamed<Part>(part: Part, rename: (name: string) => string): Part {
  if (Array.isArray(part)) return part.map((each) => renamed(each, rename)) as Part;
  if (typeof part !== "object" || part === null) return part;
  const entries = Object.entries(part).map(([key, value]) => {
    const isName = (key === "weight" || key === "bias") && typeof value === "string";
    return [key, isName ? rename(value) : renamed(value, rename)] as const;
  });
  return Object.fromEntries(entries) as Part;
}

/** A Llama under names of its own. transformers writes its keys as it does Llama's; the first configurations have others. */
function exaone3(config: Config): Blueprint {
  const either = (own: string, first: string) => (config.stated(own) ? own : first);
  const biased = config.flag("attention_bias", false);
  const llama = gatedDecoder(config, {
    base: 500_000,
    layers: config.layers(either("num_hidden_layers", "num_layers")),
    norm: rmsNorm(config, 1e-5, either("rms_norm_eps", "layer_norm_epsilon")),
    activation: [either("hidden_act", "activation_function"), "silu"],
    biases: { qkv: biased, output: biased, mlp: config.flag("mlp_bias", false) },
  });
  return renamed(llama, inThree);
}

/** Norms after the branches and of each head; where some layers have windows, the others have no positions. */
function exaone4(config: Config): Blueprint {
  const window = config.stated("sliding_window") ? config.window() : 4096;
  const kinds = layerTypes(config);
  // Stated as a word, as "LLLG", beside the kinds of the layers.
  if (kinds) config.passOver("sliding_window_pattern");
  const isWindowed = window === null || kinds ? () => false : allButEach(config, 4);
  const isNear = (layer: number) => (kinds ? kinds[layer] === "sliding_attention" : isWindowed(layer));
  return gatedDecoder(config, {
    norm: rmsNorm(config, 1e-5),
    norms: { attention: { after: "post_attention_layernorm" }, mlp: { after: "post_feedforward_layernorm" } },
    headNorms: { over: "HEAD" },
    window: windowsBy(config, window, isWindowed),
    turns: (layer) => window === null || isNear(layer),
  });
}

export const exaoneFamilies: readonly Family[] = [
  { name: "EXAONE 3 and 3.5", modelType: "exaone", prefix: "transformer.", headsDivideWidth: {}, blueprint: exaone3 },
  { name: "EXAONE 4", modelType: "exaone4", blueprint: exaone4 },
];
