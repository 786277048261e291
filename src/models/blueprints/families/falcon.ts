import { numberAt } from "../../../number-at.ts";
import type { Layer, Linear } from "../blueprint.ts";
import type { Config } from "../config.ts";
import type { Family } from "../family.ts";
import { frequenciesOf, turnedWidth } from "../frequencies.ts";
import { layerNorm } from "./gated-decoder.ts";

/** How many heads of keys and values there are, and how they lie in one matrix with the queries. */
function layout(config: Config, heads: number): { readonly kvHeads: number; readonly by: "PARTS" | "GROUPS" } {
  const one = config.flag("multi_query", true);
  if (config.flag("new_decoder_architecture", false)) return { kvHeads: config.heads("num_kv_heads", heads), by: "GROUPS" };
  if (one) {
    config.passOver("num_kv_heads");
    return { kvHeads: 1, by: "PARTS" };
  }
  config.require("num_kv_heads", heads);
  return { kvHeads: heads, by: "GROUPS" };
}

/**
 * Slopes by head: powers of one number, and of its root for heads past a power of two. Kept in bfloat16, as transformers does.
 *
 * Source: Press et al., arXiv 2108.12409.
 */
export function slopes(heads: number): number[] {
  const whole = 2 ** Math.floor(Math.log2(heads));
  const powers = (count: number, of: number, step: number) => Array.from({ length: count }, (_, i) => 2 ** -((8 / of) * (1 + i * step)));
  return [...powers(whole, whole, 1), ...powers(heads - whole, 2 * whole, 2)].map(bfloat16);
}

/** The nearest bfloat16, halves to even. */
function bfloat16(value: number): number {
  const bits = new Uint32Array(Float32Array.of(value).buffer);
  const at = numberAt(bits, 0);
  bits[0] = (at + 0x7fff + ((at >>> 16) & 1)) & 0xffff0000;
  return numberAt(new Float32Array(bits.buffer), 0);
}

/** The three layouts of its layers: attention and MLP of one norm, of a norm each, or one after the other. */
export const falcon: Family = {
  name: "Falcon",
  modelType: "falcon",
  headWidthFollows: true,
  prefix: "transformer.",
  blueprint: (config) => {
    const [hiddenSize, heads] = [config.count("hidden_size"), config.heads("num_attention_heads")];
    config.requireDivides("num_attention_heads", hiddenSize);
    const headWidth = hiddenSize / heads;
    const { kvHeads, by } = layout(config, heads);
    const grown = config.flag("new_decoder_architecture", false);
    const parallel = config.flag("parallel_attn", true) || grown;
    const norms = config.optional("num_ln_in_parallel_attn") ?? (grown ? 2 : 1);
    if (norms !== 1 && norms !== 2) config.refuse("num_ln_in_parallel_attn", "1 and 2");
    const biased = config.flag("bias", false);
    const linear = (at: string): Linear => ({ weight: `${at}.weight`, ...(biased ? { bias: `${at}.bias` } : {}) });
    const norm = layerNorm(config.epsilon("layer_norm_epsilon", 1e-5));
    const alibi = config.flag("alibi", false);
    // Stated of models without rotary positions, too.
    if (alibi) config.passOver("rope_theta", "rope_scaling", "rope_parameters");
    const scale = headWidth ** -0.5;
    const position = alibi
      ? { rotary: null, alibi: slopes(heads).map((slope) => slope * scale) }
      : {
          rotary: {
            width: headWidth,
            pairs: "HALVES" as const,
            frequencies: frequenciesOf(config, turnedWidth(config, "hidden_size", headWidth, 1)),
          },
        };
    const activation = config.activation("activation", "gelu");
    const names =
      grown && norms === 2 ? ["ln_attn", "ln_mlp"] : ["input_layernorm", parallel ? "input_layernorm" : "post_attention_layernorm"];
    const layerAt = (layer: number): Layer => {
      const at = `transformer.h.${layer}.`;
      return {
        residual: parallel ? "PARALLEL" : "SEQUENTIAL",
        attention: {
          before: norm(`${at}${names[0]}`),
          after: null,
          heads,
          kvHeads,
          headWidth,
          scale,
          projections: { kind: "PACKED", qkv: linear(`${at}self_attention.query_key_value`), by },
          output: linear(`${at}self_attention.dense`),
          ...position,
        },
        mlp: {
          before: norm(`${at}${names[1]}`),
          after: null,
          width: config.count("ffn_hidden_size", 4 * hiddenSize),
          activation,
          input: { kind: "PLAIN", up: linear(`${at}mlp.dense_h_to_4h`) },
          down: linear(`${at}mlp.dense_4h_to_h`),
        },
      };
    };
    const embedding = "transformer.word_embeddings.weight";
    return {
      hiddenSize,
      vocabularySize: config.count("vocab_size"),
      embedding: { weight: embedding },
      layers: Array.from({ length: config.layers() }, (_, layer) => layerAt(layer)),
      norm: norm("transformer.ln_f"),
      head: { weight: config.flag("tie_word_embeddings", true) ? embedding : "lm_head.weight" },
    };
  },
};
