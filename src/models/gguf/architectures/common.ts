import { EspalierError } from "../../../errors.ts";
import { largest } from "../../../large-lists.ts";
import { numberAt } from "../../../number-at.ts";
import type { Facts } from "../facts.ts";
import { ropeFields } from "../rope.ts";
import type { Fields, Names, Renamed } from "./architecture.ts";

/** Heads and widths of all layers, and of each where they differ. */
export interface Widths {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headWidth: number;
  readonly intermediate: number;
  /** What config.json says where layers are unlike: groups of heads, and channels. */
  readonly uneven: Fields;
}

/** @throws EspalierError INVALID_GGUF, UNSUPPORTED_GGUF */
export function widthsOf(facts: Facts): Widths {
  const heads = facts.perLayer("attention.head_count");
  const kvHeads = facts.perLayer("attention.head_count_kv", heads);
  const channels = facts.perLayer("feed_forward_length");
  const [most, mostKv, mostChannels] = [heads, kvHeads, channels].map((each) => largest(each)) as [number, number, number];
  const headWidth = facts.count("attention.key_length", Math.floor(facts.count("embedding_length") / (heads[0] || 1)));
  if (facts.count("attention.value_length", headWidth) !== headWidth) facts.refuse("attention.value_length", `that of keys, ${headWidth}`);
  if ([...heads, ...kvHeads].includes(0)) facts.refuse("attention.head_count", "layers that all have an attention");
  if (channels.includes(0)) facts.refuse("feed_forward_length", "layers that all have a feed-forward network");
  const queries = (layer: number) => (numberAt(heads, layer) * mostKv === most * numberAt(kvHeads, layer) ? {} : { queries: heads[layer] });
  const alike =
    heads.every((count) => count === most) &&
    kvHeads.every((count) => count === mostKv) &&
    channels.every((count) => count === mostChannels);
  const layers = kvHeads.map((count, layer) => ({
    layer,
    kinds: ["ATTENTION", "MLP"],
    heads: count,
    ...queries(layer),
    channels: channels[layer],
  }));
  return { heads: most, kvHeads: mostKv, headWidth, intermediate: mostChannels, uneven: alike ? {} : { espalier: { layers } } };
}

/** How many of a head's entries turn, as their share. */
export function turnedShare(facts: Facts, headWidth: number): number {
  const turned = facts.count("rope.dimension_count", headWidth);
  return turned <= headWidth ? turned / headWidth : facts.refuse("rope.dimension_count", `numbers up to a head's width, ${headWidth}`);
}

/** All of a head's entries turn. */
export function requireWholeTurned(facts: Facts, headWidth: number): void {
  if (turnedShare(facts, headWidth) !== 1) facts.refuse("rope.dimension_count", `a head's whole width, ${headWidth}`);
}

/** What is stated of most families, under the keys that most have. */
export function common(facts: Facts, modelType: string): Fields & { readonly head_dim: number } {
  const { heads, kvHeads, headWidth, intermediate, uneven } = widthsOf(facts);
  return {
    model_type: modelType,
    hidden_size: facts.count("embedding_length"),
    num_hidden_layers: facts.layers,
    intermediate_size: intermediate,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    head_dim: headWidth,
    vocab_size: vocabularyOf(facts),
    max_position_embeddings: facts.count("context_length"),
    tie_word_embeddings: !facts.has("output.weight"),
    ...uneven,
  };
}

export function vocabularyOf(facts: Facts): number {
  const [rows, width] = facts.shape("token_embd.weight");
  if (rows === undefined || width === undefined)
    throw new EspalierError("INVALID_GGUF", `${facts.described.file}: tensor "token_embd.weight" is no matrix`, {
      tensor: "token_embd.weight",
    });
  return rows;
}

/** Activations as people call a family's own; a file that was written here may say that it is another (`espalier.activation`). */
export const activationOf = (facts: Facts, own: string): string => {
  const stated = facts.described.metadata.get("espalier.activation");
  return typeof stated === "string" ? stated : own;
};

/** What a Llama states: norms by the root of the mean square, a gated MLP, and heads that turn as a whole. */
export function llamaFields(facts: Facts, modelType: string): Fields {
  const fields = common(facts, modelType);
  requireWholeTurned(facts, fields.head_dim);
  return {
    ...fields,
    hidden_act: activationOf(facts, "silu"),
    rms_norm_eps: facts.number("attention.layer_norm_rms_epsilon"),
    ...ropeFields(facts, fields.head_dim),
  };
}

/** Which layers have windows: by a list, or all but each so many-th. */
export function layerTypes(facts: Facts, every: number): readonly string[] {
  const stated = facts.value("attention.sliding_window_pattern");
  if (Array.isArray(stated)) {
    if (stated.length !== facts.layers || !stated.every((v) => typeof v === "boolean"))
      facts.refuse("attention.sliding_window_pattern", `lists of ${facts.layers} times true or false`);
    return stated.map((windowed) => (windowed ? "sliding_attention" : "full_attention"));
  }
  const period = stated === undefined ? every : facts.count("attention.sliding_window_pattern");
  return Array.from({ length: facts.layers }, (_, i) => (i % period < period - 1 ? "sliding_attention" : "full_attention"));
}

const aroundOne = (name: string): Renamed => ({ name, aroundOne: true });

const topNames = { token_embd: "model.embed_tokens", output_norm: "model.norm", output: "lm_head" } as const;
const attentionNames = {
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
} as const;
export const neighbours = {
  attn_q: { name: "self_attn.q_proj", order: "NEIGHBOURS_OF_QUERIES" },
  attn_k: { name: "self_attn.k_proj", order: "NEIGHBOURS_OF_KEYS" },
} as const satisfies Readonly<Record<string, Renamed>>;
export const headNorms = { attn_q_norm: "self_attn.q_norm", attn_k_norm: "self_attn.k_norm" } as const;
const feedForwardNames = { ffn_gate: "mlp.gate_proj", ffn_up: "mlp.up_proj", ffn_down: "mlp.down_proj" } as const;

export const ofQueriesKeysValues = ["attn_q", "attn_k", "attn_v", "attn_qkv"] as const;

export const llamaNames: Names = {
  layers: "model.layers",
  top: topNames,
  layer: {
    attn_norm: "input_layernorm",
    ...attentionNames,
    ffn_norm: "post_attention_layernorm",
    ...feedForwardNames,
  },
};

/** Names like Llama's, but for some; null for those that are not there. */
export function namesLike(
  base: Names,
  layer: Readonly<Record<string, string | Renamed | null>>,
  top: Readonly<Record<string, string | Renamed | null>> = {},
): Names {
  const without = (all: Readonly<Record<string, string | Renamed | null>>) =>
    Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string | Renamed] => entry[1] !== null));
  return { layers: base.layers, top: without({ ...base.top, ...top }), layer: without({ ...base.layer, ...layer }) };
}

/** The same, of a family that keeps its norms' scales as differences from 1. */
export function normsAroundOne({ layers, top, layer }: Names): Names {
  const changed = (all: Names["top"]) =>
    Object.fromEntries(
      Object.entries(all).map(([here, there]) => [here, here.endsWith("norm") && typeof there === "string" ? aroundOne(there) : there]),
    );
  return { layers, top: changed(top), layer: changed(layer) };
}
