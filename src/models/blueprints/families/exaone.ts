import type { Family } from "../family.ts";
import { gatedDecoder, rmsNorm } from "./gated-decoder.ts";
import { allButEach, layerTypes, windowsBy } from "./windows.ts";

/** Norms after the branches and of each head; where some layers have windows, the others have no positions. */
export const exaone4: Family = {
  name: "EXAONE 4",
  modelType: "exaone4",
  blueprint: (config) => {
    const window = config.stated("sliding_window") ? config.optional("sliding_window") : 4096;
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
  },
};
