import type { Attention, Blueprint, Frequencies, Head, Layer, Linear, Mlp, Norm } from "../blueprint.ts";
import type { Config } from "../config.ts";
import { frequenciesOf, turnedWidth } from "../frequencies.ts";

/** In what a family differs from Llama. What is left out is Llama's. */
export interface Variant {
  /** Where the decoder's tensors are: `model.`. */
  readonly root?: string;
  readonly biases?: { readonly qkv?: boolean; readonly output?: boolean; readonly mlp?: boolean };
  readonly norm?: (at: string) => Norm;
  /** Norms of queries and keys. */
  readonly headNorms?: {
    readonly over: "HEAD" | "ALL";
    readonly norm?: (at: string, heads: number) => Norm;
    readonly when?: "AFTER_ROTARY";
  };
  /** How many tokens a layer sees; undefined for all. */
  readonly window?: (layer: number) => number | undefined;
  /** Whether a layer's queries and keys turn. */
  readonly turns?: (layer: number) => boolean;
  /** How much of a head turns, and which entries are a pair. */
  readonly rotary?: { readonly share?: number; readonly pairs?: "HALVES" | "NEIGHBOURS" };
  /** `rope_theta`, where the configuration states none. */
  readonly base?: number;
  /** How fast the entries that turn do so, where layers differ. */
  readonly frequencies?: (width: number) => (layer: number) => Frequencies;
  /** The key of the activation, and which it is unless stated. */
  readonly activation?: readonly [key: string, fallback: string];
  /** `tie_word_embeddings`, where the configuration does not say. */
  readonly tied?: boolean;
  /** How many layers there are, where `num_hidden_layers` does not say. */
  readonly layers?: number;
  readonly kvHeads?: number;
  readonly headWidth?: number;
  /** The layer's norms: of what a branch reads and of what it gives. */
  readonly norms?: { readonly [K in "attention" | "mlp"]: { readonly before?: string; readonly after?: string } };
  /** The last norm, `norm` unless said here. */
  readonly lastNorm?: string;
  readonly attention?: (at: string, layer: number) => Partial<Attention>;
  readonly mlp?: (at: string, layer: number) => Partial<Mlp>;
  readonly layer?: Partial<Pick<Layer, "residual" | "branchScale">>;
  readonly embedding?: Partial<Blueprint["embedding"]>;
  readonly head?: Partial<Head>;
}

/** Weight and, where there is one, bias of a projection. */
export const linearAt = (at: string, biased = false): Linear => ({ weight: `${at}.weight`, ...(biased ? { bias: `${at}.bias` } : {}) });

export const rmsNorm =
  (config: Config, fallback = 1e-6, key = "rms_norm_eps") =>
  (at: string): Norm => ({ kind: "RMS", weight: `${at}.weight`, epsilon: config.epsilon(key, fallback) });

export const layerNorm =
  (epsilon: number, biased = true) =>
  (at: string): Norm => ({ kind: "LAYER", weight: `${at}.weight`, ...(biased ? { bias: `${at}.bias` } : {}), epsilon });

const llamaNorms: NonNullable<Variant["norms"]> = { attention: { before: "input_layernorm" }, mlp: { before: "post_attention_layernorm" } };

/**
 * A decoder whose tensors are named as Llama's are, and which computes as that does but for what `variant` says: norms before the
 * branches, rotary positions, grouped queries, a gated MLP.
 *
 * @throws EspalierError UNSUPPORTED_CONFIG
 */
export function gatedDecoder(config: Config, variant: Variant): Blueprint {
  const { root = "model.", biases = {}, norm = rmsNorm(config), norms = llamaNorms, headNorms, rotary = {} } = variant;
  const hiddenSize = config.count("hidden_size");
  const heads = config.heads("num_attention_heads");
  const kvHeads = variant.kvHeads ?? config.heads("num_key_value_heads", heads);
  const headWidth = variant.headWidth ?? config.heads("head_dim", Math.floor(hiddenSize / heads));
  if (heads % kvHeads !== 0) config.refuse("num_key_value_heads", `divisors of num_attention_heads, ${heads}`);
  const width = turnedWidth(config, rotary.share === undefined ? "head_dim" : "partial_rotary_factor", headWidth, rotary.share ?? 1);
  const turns = variant.turns ?? (() => true);
  const same = variant.frequencies ? null : frequenciesOf(config, width, variant.base);
  const frequencies = variant.frequencies?.(width) ?? (() => same as Frequencies);
  const activation = config.activation(...(variant.activation ?? (["hidden_act", "silu"] as const)));
  const intermediate = config.count("intermediate_size");
  const maybe = (at: string, name: string | undefined) => (name === undefined ? null : norm(`${at}${name}`));
  const ofHeads = headNorms?.norm ?? ((at: string) => norm(at));

  const layerAt = (layer: number): Layer => {
    const at = `${root}layers.${layer}.`;
    const [attending, own] = [`${at}self_attn.`, `${at}mlp.`];
    const window = variant.window?.(layer);
    return {
      residual: "SEQUENTIAL",
      ...variant.layer,
      attention: {
        before: maybe(at, norms.attention.before),
        after: maybe(at, norms.attention.after),
        heads,
        kvHeads,
        headWidth,
        scale: headWidth ** -0.5,
        projections: {
          kind: "SEPARATE",
          q: linearAt(`${attending}q_proj`, biases.qkv),
          k: linearAt(`${attending}k_proj`, biases.qkv),
          v: linearAt(`${attending}v_proj`, biases.qkv),
        },
        output: linearAt(`${attending}o_proj`, biases.output),
        rotary: turns(layer) ? { width, pairs: rotary.pairs ?? "HALVES", frequencies: frequencies(layer) } : null,
        ...(headNorms
          ? {
              headNorm: {
                q: ofHeads(`${attending}q_norm`, heads),
                k: ofHeads(`${attending}k_norm`, kvHeads),
                over: headNorms.over,
                when: headNorms.when ?? "BEFORE_ROTARY",
              },
            }
          : {}),
        ...(window === undefined ? {} : { window }),
        ...variant.attention?.(attending, layer),
      },
      mlp: {
        before: maybe(at, norms.mlp.before),
        after: maybe(at, norms.mlp.after),
        width: intermediate,
        activation,
        input: { kind: "GATED", gate: linearAt(`${own}gate_proj`, biases.mlp), up: linearAt(`${own}up_proj`, biases.mlp) },
        down: linearAt(`${own}down_proj`, biases.mlp),
        ...variant.mlp?.(own, layer),
      },
    };
  };
  const embedding = `${root}embed_tokens.weight`;
  return {
    hiddenSize,
    vocabularySize: config.count("vocab_size"),
    embedding: { weight: embedding, ...variant.embedding },
    layers: Array.from({ length: variant.layers ?? config.layers() }, (_, layer) => layerAt(layer)),
    norm: norm(`${root}${variant.lastNorm ?? "norm"}`),
    head: { weight: config.flag("tie_word_embeddings", variant.tied ?? false) ? embedding : "lm_head.weight", ...variant.head },
  };
}
