import type { Layer } from "../blueprint.ts";
import type { Config } from "../config.ts";
import type { Family } from "../family.ts";
import { frequenciesOf, turnedShare, turnedWidth } from "../frequencies.ts";
import { layerNorm, linearAt } from "./gated-decoder.ts";

/** Queries, keys and values in one matrix, head by head, of which a part turns; attention and MLP of the same value, each with a norm. */
export const gptNeox: Family = {
  name: "GPT-NeoX, Pythia",
  modelType: "gpt_neox",
  headWidthFollows: true,
  prefix: "gpt_neox.",
  head: "embed_out.weight",
  blueprint: (config: Config) => {
    const [hiddenSize, heads] = [config.count("hidden_size"), config.heads("num_attention_heads")];
    config.requireDivides("num_attention_heads", hiddenSize);
    const headWidth = hiddenSize / heads;
    const norm = layerNorm(config.epsilon("layer_norm_eps", 1e-5));
    const share = config.optional("rotary_pct") ?? turnedShare(config, 0.25);
    config.passOver("partial_rotary_factor");
    const width = turnedWidth(config, "rotary_pct", headWidth, share);
    const frequencies = frequenciesOf(config, width, config.positive("rotary_emb_base", 10000));
    const parallel = config.flag("use_parallel_residual", true);
    const biased = config.flag("attention_bias", true);
    const activation = config.activation("hidden_act", "gelu");
    const layerAt = (layer: number): Layer => {
      const at = `gpt_neox.layers.${layer}.`;
      return {
        residual: parallel ? "PARALLEL" : "SEQUENTIAL",
        attention: {
          before: norm(`${at}input_layernorm`),
          after: null,
          heads,
          kvHeads: heads,
          headWidth,
          scale: headWidth ** -0.5,
          projections: { kind: "PACKED", qkv: linearAt(`${at}attention.query_key_value`, biased), by: "GROUPS" },
          output: linearAt(`${at}attention.dense`, biased),
          rotary: { width, pairs: "HALVES", frequencies },
        },
        mlp: {
          before: norm(`${at}post_attention_layernorm`),
          after: null,
          width: config.count("intermediate_size"),
          activation,
          input: { kind: "PLAIN", up: linearAt(`${at}mlp.dense_h_to_4h`, true) },
          down: linearAt(`${at}mlp.dense_4h_to_h`, true),
        },
      };
    };
    const embedding = "gpt_neox.embed_in.weight";
    return {
      hiddenSize,
      vocabularySize: config.count("vocab_size"),
      embedding: { weight: embedding },
      layers: Array.from({ length: config.layers() }, (_, layer) => layerAt(layer)),
      norm: norm("gpt_neox.final_layer_norm"),
      head: { weight: config.flag("tie_word_embeddings", false) ? embedding : "embed_out.weight" },
    };
  },
};
