import { numberAt } from "../../number-at.ts";
import type { Frequencies } from "./blueprint.ts";
import type { Config } from "./config.ts";

/** What scalings of rotary positions are worked out from. */
interface Scaled {
  readonly base: number;
  /** How many of a head's entries turn. */
  readonly width: number;
  /** `max_position_embeddings`. */
  readonly length: number;
  readonly scaling: Config;
  /** Where some families state the length that a model was trained with: beside the scaling. */
  readonly config: Config;
}

const { fround } = Math;

/** `base^(-2 i / width)`, rounded as PyTorch rounds it: at places far into a text the last digits tell. */
const plain = (base: number, width: number): number[] =>
  Array.from({ length: width / 2 }, (_, i) => fround(1 / fround(base ** fround((2 * i) / width))));

/**
 * The scalings that transformers knows (modeling_rope_utils), by the names that configurations give them.
 *
 * Sources: linear, kaiokendev 2023; dynamic NTK, bloc97 2023; yarn, Peng et al., arXiv 2309.00071; longrope, Ding et al.,
 * arXiv 2402.13753; llama3, Llama Team, arXiv 2407.21783.
 */
const scalings: Readonly<Record<string, (given: Scaled) => Frequencies>> = {
  default: ({ base, width }) => ({ values: plain(base, width), scale: 1 }),
  linear: ({ base, width, scaling }) => {
    const factor = scaling.positive("factor");
    return { values: plain(base, width).map((f) => f / factor), scale: 1 };
  },
  dynamic: ({ base, width, length, scaling }) => {
    // transformers reads `original_max_position_embeddings` for this one, and then takes the model's length.
    scaling.value("original_max_position_embeddings");
    return { values: plain(base, width), scale: 1, beyond: { tokens: length, values: { base, factor: scaling.positive("factor") } } };
  },
  yarn: ({ base, width, length, scaling }) => {
    const factor = scaling.positive("factor");
    const original = scaling.optional("original_max_position_embeddings") ?? length;
    const [fast, slow] = [scaling.optional("beta_fast") ?? 32, scaling.optional("beta_slow") ?? 1];
    const truncate = scaling.flag("truncate", true);
    const place = (rotations: number) => (width * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(base));
    const [first, last] = [place(fast), place(slow)];
    const low = Math.max(truncate ? Math.floor(first) : first, 0);
    const high = Math.min(truncate ? Math.ceil(last) : last, width - 1);
    const top = low === high ? high + 0.001 : high;
    const values = plain(base, width).map((f, i) => {
      const ramp = Math.min(1, Math.max(0, (i - low) / (top - low)));
      return (f / factor) * ramp + f * (1 - ramp);
    });
    const magnitude = (by: number, m = 1) => (by <= 1 ? 1 : 0.1 * m * Math.log(by) + 1);
    const [all, each] = [scaling.optional("mscale_all_dim"), scaling.optional("mscale")];
    const derived = each && all ? magnitude(factor, each) / magnitude(factor, all) : magnitude(factor);
    return { values, scale: scaling.optional("attention_factor") ?? derived };
  },
  longrope: ({ base, width, length, scaling, config }) => {
    const [short, long] = ["short_factor", "long_factor"].map((name) => scaling.numbers(name, width / 2)) as [number[], number[]];
    // Beside the scaling it is stated for the factor too; in it, with a factor or without.
    const beside = config.optional("original_max_position_embeddings");
    const [within, factorStated] = [scaling.optional("original_max_position_embeddings"), scaling.optional("factor")];
    const original = beside ?? within ?? length;
    const factor = beside === null ? (factorStated ?? length / original) : length / original;
    const derived = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
    const by = (factors: readonly number[]) => plain(base, width).map((f, i) => f / numberAt(factors, i));
    return { values: by(short), scale: scaling.optional("attention_factor") ?? derived, beyond: { tokens: original, values: by(long) } };
  },
  llama3: ({ base, width, scaling }) => {
    const factor = scaling.positive("factor");
    const [low, high] = [scaling.number("low_freq_factor"), scaling.number("high_freq_factor")];
    const original = scaling.count("original_max_position_embeddings");
    const values = plain(base, width).map((f) => {
      const wavelength = (2 * Math.PI) / f;
      if (wavelength > original / low) return f / factor;
      if (wavelength < original / high) return f;
      const smooth = (original / wavelength - low) / (high - low);
      return ((1 - smooth) * f) / factor + smooth * f;
    });
    return { values, scale: 1 };
  },
};
/** Phi-3's first name for it. */
const aliases: Readonly<Record<string, string>> = { su: "longrope" };

/** How much of a head turns: later configurations keep it with the rest of what concerns positions. */
export const turnedShare = (config: Config, fallback: number): number =>
  config.optional("partial_rotary_factor") ?? config.part("rope_parameters")?.optional("partial_rotary_factor") ?? fallback;

/** A share of a head's width that can turn, in entries. @throws EspalierError UNSUPPORTED_CONFIG by the key that says so */
export function turnedWidth(config: Config, key: string, headWidth: number, share: number): number {
  const width = Math.floor(headWidth * share);
  if (!(width >= 2 && width <= headWidth && width % 2 === 0)) config.refuse(key, `what leaves an even number of entries, to ${headWidth}`);
  return width;
}

/**
 * How fast each pair of entries turns: by `rope_theta` and `rope_scaling`, or by `rope_parameters`, which later configurations have
 * in place of both.
 *
 * @param width how many of a head's entries turn
 * @param among the key of `rope_parameters` that holds those of one kind of layer, where it holds several
 * @throws EspalierError UNSUPPORTED_CONFIG
 */
export function frequenciesOf(config: Config, width: number, fallbackBase = 10000, among?: string): Frequencies {
  const all = config.part("rope_parameters");
  const parameters = among === undefined ? all : (all?.part(among) ?? all);
  const scaling = parameters ?? config.part("rope_scaling");
  const own = parameters?.optional("rope_theta");
  // Files that an earlier transformers wrote and a later one saved again state it in both places; the later ones read the newer.
  const beside = config.optional("rope_theta");
  const stated = own ?? beside ?? fallbackBase;
  return scaledBy(config, scaling, width, stated);
}

/** Those of layers with windows, where these have their own: unscaled, unless `rope_parameters` says otherwise. */
export function windowFrequenciesOf(config: Config, width: number, base: number): Frequencies {
  const own = config.part("rope_parameters")?.part("sliding_attention") ?? null;
  return scaledBy(config, own, width, own?.optional("rope_theta") ?? base);
}

/** @param scaling null for none */
export function scaledBy(config: Config, scaling: Config | null, width: number, base: number): Frequencies {
  // Both names stand in files that were written on the way from one to the other.
  const named = scaling?.value("rope_type", "type") ?? "default";
  const kind = aliases[String(named)] ?? String(named);
  const make = Object.hasOwn(scalings, kind) ? scalings[kind] : undefined;
  if (!(base > 0)) config.refuse("rope_theta", "numbers above 0");
  // A scaling that is not named is none that is known: by what would its factor go?
  if (scaling && scaling.value("rope_type", "type") === undefined && scaling.value("factor") !== undefined)
    scaling.refuse("rope_type", Object.keys(scalings).join(", "));
  if (!scaling || kind === "default") return (scalings["default"] as (g: Pick<Scaled, "base" | "width">) => Frequencies)({ base, width });
  if (!make) return scaling.refuse("rope_type", Object.keys(scalings).join(", "));
  const length = config.count("max_position_embeddings", 2048);
  const found = make({ base, width, length, scaling, config });
  if (![found.scale, ...found.values].every(Number.isFinite)) scaling.refuse("factor", "numbers by which positions can be scaled");
  scaling.value("rope_theta", "partial_rotary_factor");
  scaling.requireAllRead();
  return found;
}
