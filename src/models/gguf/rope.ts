import { numberAt } from "../../number-at.ts";
import type { Fields } from "./architectures/architecture.ts";
import type { Facts } from "./facts.ts";

const yarnKeys = ["yarn_beta_fast", "yarn_beta_slow"] as const;

/** What a file says of how fast positions turn, in the words of config.json. @throws EspalierError UNSUPPORTED_GGUF, INVALID_GGUF */
export function ropeFields(facts: Facts, width: number): Fields {
  const base = facts.number("rope.freq_base", 10000);
  return { rope_theta: base, rope_scaling: scalingOf(facts, width, base) };
}

/** `rope_scaling`; null for none. */
export function scalingOf(facts: Facts, width: number, base: number): Fields | null {
  const stated = facts.text("rope.scaling.type");
  const factor = facts.optional("rope.scaling.factor") ?? facts.optional("rope.scale_linear") ?? 0;
  const original = facts.optional("rope.scaling.original_context_length");
  const magnitude = facts.optional("rope.scaling.attn_factor");
  const [fast, slow] = yarnKeys.map((key) => facts.optional(`rope.scaling.${key}`));
  if (facts.has("rope_freqs.weight")) return byFactors(facts, width, base, magnitude ?? 1);
  if (facts.has("rope_factors_short.weight") || facts.has("rope_factors_long.weight")) {
    const length = facts.count("context_length");
    return {
      rope_type: "longrope",
      short_factor: [...facts.numbers("rope_factors_short.weight")],
      long_factor: [...facts.numbers("rope_factors_long.weight")],
      original_max_position_embeddings: original ?? length,
      attention_factor: magnitude ?? 1,
    };
  }
  const type = stated ?? "linear";
  if (type !== "yarn" && magnitude !== undefined && magnitude !== 1)
    facts.refuse("rope.scaling.attn_factor", "1, unless positions are scaled by yarn or by factors");
  if (type === "none" || ((factor === 0 || factor === 1) && type === "linear")) return null;
  if (type === "linear") return { rope_type: "linear", factor };
  if (type !== "yarn") return facts.refuse("rope.scaling.type", "none, linear and yarn");
  const attention = facts.optional("rope.scaling.yarn_attn_factor") ?? (magnitude && magnitude * (0.1 * Math.log(factor) + 1));
  if (facts.number("rope.scaling.yarn_ext_factor", 1) !== 1) facts.refuse("rope.scaling.yarn_ext_factor", "1");
  return {
    rope_type: "yarn",
    factor,
    ...(original === undefined ? {} : { original_max_position_embeddings: original }),
    ...(attention === undefined ? {} : { attention_factor: attention }),
    ...(fast === undefined ? {} : { beta_fast: fast }),
    ...(slow === undefined ? {} : { beta_slow: slow }),
  };
}

/** Llama 3's numbers, as its configurations state them. */
const llama3 = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192 };

/**
 * Scaling by a factor for each pair of entries. That of Llama 3 is told by its factors, so that other programs read it too; any other is
 * stated as a list, for short texts and for long ones alike.
 */
function byFactors(facts: Facts, width: number, base: number, magnitude: number): Fields {
  const factors = [...facts.numbers("rope_freqs.weight")];
  if (factors.length !== width / 2) facts.refuse("rope.dimension_count", `twice the ${factors.length} elements of "rope_freqs.weight"`);
  const factor = numberAt(factors, factors.length - 1);
  const [low, high] = [llama3.original_max_position_embeddings / 1, llama3.original_max_position_embeddings / 4];
  const expected = factors.map((_, i) => {
    const wavelength = 2 * Math.PI * base ** ((2 * i) / width);
    if (wavelength < high) return 1;
    if (wavelength > low) return factor;
    const smooth = (llama3.original_max_position_embeddings / wavelength - 1) / 3;
    return 1 / ((1 - smooth) / factor + smooth);
  });
  if (magnitude === 1 && factor > 1 && expected.every((value, i) => Math.abs(value - numberAt(factors, i)) < 1e-5 * value))
    return { rope_type: "llama3", factor, ...llama3 };
  const length = facts.count("context_length");
  return {
    rope_type: "longrope",
    short_factor: factors,
    long_factor: factors,
    original_max_position_embeddings: length,
    attention_factor: magnitude,
  };
}
