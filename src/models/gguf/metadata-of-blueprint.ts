import { largest } from "../../large-lists.ts";
import { numberAt } from "../../number-at.ts";
import type { Attention, Blueprint, Frequencies } from "../blueprints/blueprint.ts";
import type { Architecture, Fields } from "./architectures/architecture.ts";
import { elementTypes } from "./element-types.ts";
import type { Plan } from "./tensor-plan.ts";
import type { Typed, TypedMetadata } from "./write-container.ts";

/** What a file would say of a model, whether or not its architecture has a word for it; and the tensors that say how fast positions turn. */
export interface Said {
  readonly metadata: TypedMetadata;
  readonly factors: readonly Plan[];
}

const u32 = (value: number | readonly number[]): Typed => ({ as: "U32", value });
const f32 = (value: number): Typed => ({ as: "F32", value });
const flags = (value: boolean | readonly boolean[]): Typed => ({ as: "BOOL", value });
const text = (value: string): Typed => ({ as: "TEXT", value });

/** One number if all layers agree. */
const perLayer = (values: readonly number[]): Typed => u32(values.every((value) => value === values[0]) ? numberAt(values, 0) : values);

/**
 * @param context how many tokens a text may have
 * @param config of the model, for the base by which positions turn
 * @param statesWindows whether windows are stated where there are none, too
 */
export function metadataOf(
  blueprint: Blueprint,
  { name, dividesLogits }: Architecture,
  { context, config, statesWindows }: { readonly context: number; readonly config: Fields; readonly statesWindows: boolean },
): Said {
  const { layers, head, embedding } = blueprint;
  const attentions = layers.map(({ attention }) => attention);
  const [first] = layers;
  if (!first) throw new Error("a blueprint has layers");
  const { headWidth, scale, softcap, clip } = first.attention;
  const norm = blueprint.norm ?? first.attention.before ?? first.attention.after;
  const said = new Map<string, Typed>();
  const say = (key: string, value: Typed | undefined) => {
    if (value !== undefined) said.set(`${name}.${key}`, value);
  };
  say("vocab_size", u32(blueprint.vocabularySize));
  say("context_length", u32(context));
  say("embedding_length", u32(blueprint.hiddenSize));
  say("block_count", u32(layers.length));
  say("feed_forward_length", perLayer(layers.map(({ mlp }) => mlp.width)));
  say("attention.head_count", perLayer(attentions.map((a) => a.heads)));
  say("attention.head_count_kv", perLayer(attentions.map((a) => a.kvHeads)));
  say("attention.key_length", u32(headWidth));
  say("attention.value_length", u32(headWidth));
  if (norm) say(norm.kind === "RMS" ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon", f32(norm.epsilon));
  say("attention.scale", f32(scale));
  if (softcap !== undefined) say("attn_logit_softcapping", f32(softcap));
  if (clip !== undefined) say("attention.clamp_kqv", f32(clip));
  say("use_parallel_residual", flags(first.residual === "PARALLEL"));
  say("residual_scale", f32(first.branchScale ?? 1));
  say("embedding_scale", f32(embedding.scale ?? 1));
  const logits = head.scale ?? 1;
  say("logit_scale", f32(dividesLogits ? 1 / logits : logits));
  if (head.softcap !== undefined) say("final_logit_softcapping", f32(head.softcap));
  const windows = attentions.map(({ window }) => window);
  const window = windows.find((w) => w !== undefined);
  if (window !== undefined || statesWindows) {
    // Where no layer has one, each has one as long as a text may be: llama.cpp takes no file that states windows for no layer.
    say("attention.sliding_window", u32(window ?? context));
    say("attention.sliding_window_pattern", flags(windows.map((w) => w !== undefined || window === undefined)));
  }
  return { metadata: said, factors: sayRope(attentions, config, context, say) };
}

/** How fast positions turn, of layers without windows and of those with. */
function sayRope(attentions: readonly Attention[], config: Fields, context: number, say: (key: string, value: Typed) => void): Plan[] {
  const turning = attentions.filter(({ rotary }) => rotary !== null);
  const whole = (turning.find(({ window }) => window === undefined) ?? turning[0])?.rotary;
  const near = turning.find(({ window }) => window !== undefined)?.rotary;
  if (!whole) return [];
  say("rope.dimension_count", u32(whole.width));
  const bases = basesOf(config);
  const base = baseOf(whole.frequencies, whole.width, bases);
  say("rope.freq_base", f32(base));
  if (near) say("rope.freq_base_swa", f32(baseOf(near.frequencies, near.width, bases)));
  return sayScaling(whole.frequencies, whole.width, base, { stated: scalingOf(config), context }, say);
}

/** The bases that a configuration states, whatever for. */
function basesOf(config: Fields): number[] {
  const parts = [config, config["rope_parameters"], ...Object.values((config["rope_parameters"] ?? {}) as object)];
  const found = parts.flatMap((part) => {
    const keys = ["rope_theta", "rotary_emb_base", "rope_local_base_freq"];
    return typeof part === "object" && part !== null ? keys.map((key) => (part as Record<string, unknown>)[key]) : [];
  });
  return [...found.filter((value): value is number => typeof value === "number"), 10000, 1_000_000, 500_000, 2_000_000];
}

/** That by which frequencies are plain, or scaled in a way that can be said: the first of those stated by which the first pair turns. */
function baseOf({ values, beyond }: Frequencies, width: number, bases: readonly number[]): number {
  const plain = (base: number, i: number) => base ** ((-2 * i) / width);
  // Scalings leave the fastest pairs as they are, or divide all alike.
  const fits = (base: number) => {
    const ratios = values.map((value, i) => plain(base, i) / value);
    const alike = ratios.every((ratio) => Math.abs(ratio / numberAt(ratios, 0) - 1) < 1e-5);
    return alike || beyond !== undefined ? 2 : Math.abs((ratios[1] ?? 1) - 1) < 1e-5 ? 1 : 0;
  };
  const best = largest(bases.map(fits));
  return bases.find((base) => fits(base) === best) as number;
}

const scalingOf = (config: Fields): Fields => {
  const parameters = config["rope_parameters"] as Fields | undefined;
  const found = (parameters?.["full_attention"] ?? parameters ?? config["rope_scaling"]) as Fields | null | undefined;
  return found ?? {};
};

function sayScaling(
  { values, scale, beyond }: Frequencies,
  width: number,
  base: number,
  { stated, context }: { readonly stated: Fields; readonly context: number },
  say: (key: string, value: Typed) => void,
): Plan[] {
  const ratios = (by: readonly number[]) => Float32Array.from(by, (value, i) => base ** ((-2 * i) / width) / value);
  const factors = (name: string, numbers: Float32Array): Plan => ({ name, type: elementTypes.F32, dims: [numbers.length], from: numbers });
  const number = (key: string) => {
    const value = stated[key];
    return typeof value === "number" ? value : undefined;
  };
  if ((stated["rope_type"] ?? stated["type"]) === "yarn") {
    const factor = number("factor") as number;
    say("rope.scaling.type", text("yarn"));
    say("rope.scaling.factor", f32(factor));
    const original = number("original_max_position_embeddings");
    if (original !== undefined) say("rope.scaling.original_context_length", u32(original));
    const usual = factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1;
    if (Math.abs(scale / usual - 1) > 1e-6) say("rope.scaling.attn_factor", f32(scale / usual));
    for (const [key, there] of [
      ["beta_fast", "yarn_beta_fast"],
      ["beta_slow", "yarn_beta_slow"],
    ] as const) {
      const beta = number(key);
      if (beta !== undefined) say(`rope.scaling.${there}`, f32(beta));
    }
    return [];
  }
  if (scale !== 1) say("rope.scaling.attn_factor", f32(scale));
  if (beyond && "length" in beyond.values && beyond.tokens < context) {
    say("rope.scaling.type", text("longrope"));
    say("rope.scaling.original_context_length", u32(beyond.tokens));
    return [factors("rope_factors_long.weight", ratios(beyond.values)), factors("rope_factors_short.weight", ratios(values))];
  }
  const each = ratios(values);
  const [first] = each;
  if (first === undefined || each.every((ratio) => Math.abs(ratio - 1) < 1e-5)) return [];
  if (each.every((ratio) => Math.abs(ratio / first - 1) < 1e-5)) {
    say("rope.scaling.type", text("linear"));
    say("rope.scaling.factor", f32(first));
    return [];
  }
  return [factors("rope_freqs.weight", each)];
}
