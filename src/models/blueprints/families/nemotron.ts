import type { Family } from "../family.ts";
import { turnedShare } from "../frequencies.ts";
import { gatedDecoder, linearAt } from "./gated-decoder.ts";

/** A plain MLP with a squared ReLU, norms whose scales are kept as differences from 1, of whose heads a part turns. */
export const nemotron: Family = {
  name: "Nemotron 3 and 4, Minitron",
  modelType: "nemotron",
  blueprint: (config) => {
    const attention = config.flag("attention_bias", false);
    const mlp = config.flag("mlp_bias", false);
    const epsilon = config.epsilon("norm_eps", 1e-5);
    return gatedDecoder(config, {
      norm: (at) => ({ kind: "LAYER", weight: `${at}.weight`, bias: `${at}.bias`, epsilon, aroundOne: true }),
      biases: { qkv: attention, output: attention },
      rotary: { share: turnedShare(config, 0.5) },
      activation: ["hidden_act", "relu2"],
      mlp: (at) => ({ input: { kind: "PLAIN", up: linearAt(`${at}up_proj`, mlp) }, down: linearAt(`${at}down_proj`, mlp) }),
    });
  },
};
