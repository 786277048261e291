import type { Layer, Norm } from "../blueprint.ts";
import type { Family } from "../family.ts";
import { linearAt } from "./gated-decoder.ts";

/** Learned positions after the first two, norms before the branches or after the sums, perhaps an embedding of another width. */
export const opt: Family = {
  name: "OPT",
  modelType: "opt",
  headWidthFollows: true,
  blueprint: (config) => {
    const root = "model.decoder.";
    const [hiddenSize, heads] = [config.count("hidden_size"), config.heads("num_attention_heads")];
    config.requireDivides("num_attention_heads", hiddenSize);
    const affine = config.flag("layer_norm_elementwise_affine", true);
    const norm = (at: string): Norm =>
      affine
        ? { kind: "LAYER", weight: `${at}.weight`, bias: `${at}.bias`, epsilon: 1e-5 }
        : { kind: "LAYER", weight: null, epsilon: 1e-5 };
    const first = config.flag("do_layer_norm_before", true);
    const last = first && !config.flag("_remove_final_layer_norm", false);
    const biased = config.flag("enable_bias", true);
    const activation = config.activation("activation_function", "relu");
    const around = (at: string) => (first ? { before: norm(at), after: null } : { before: null, after: null, afterSum: norm(at) });
    const layerAt = (layer: number): Layer => {
      const at = `${root}layers.${layer}.`;
      const headWidth = hiddenSize / heads;
      return {
        residual: "SEQUENTIAL",
        attention: {
          ...around(`${at}self_attn_layer_norm`),
          heads,
          kvHeads: heads,
          headWidth,
          scale: headWidth ** -0.5,
          projections: {
            kind: "SEPARATE",
            q: linearAt(`${at}self_attn.q_proj`, biased),
            k: linearAt(`${at}self_attn.k_proj`, biased),
            v: linearAt(`${at}self_attn.v_proj`, biased),
          },
          output: linearAt(`${at}self_attn.out_proj`, biased),
          rotary: null,
        },
        mlp: {
          ...around(`${at}final_layer_norm`),
          width: config.count("ffn_dim"),
          activation,
          input: { kind: "PLAIN", up: linearAt(`${at}fc1`, biased) },
          down: linearAt(`${at}fc2`, biased),
        },
      };
    };
    const embedding = `${root}embed_tokens.weight`;
    const width = config.count("word_embed_proj_dim", hiddenSize);
    const [into, out] =
      width === hiddenSize ? [{}, {}] : [{ project: linearAt(`${root}project_in`) }, { project: linearAt(`${root}project_out`) }];
    return {
      hiddenSize,
      vocabularySize: config.count("vocab_size"),
      embedding: { weight: embedding, width, ...into },
      positions: { weight: `${root}embed_positions.weight`, rows: config.count("max_position_embeddings", 2048) + 2, offset: 2 },
      layers: Array.from({ length: config.layers() }, (_, layer) => layerAt(layer)),
      norm: last ? norm(`${root}final_layer_norm`) : null,
      ...out,
      head: { weight: config.flag("tie_word_embeddings", true) ? embedding : "lm_head.weight" },
    };
  },
};
