import type { Config } from "../config.ts";

/** How many tokens a layer sees; undefined for all before it. */
export type Window = (layer: number) => number | undefined;

/**
 * The layers with windows by `layer_types`, or where that is not stated by a rule of the family's own.
 *
 * @param window of those layers; null for none
 * @throws EspalierError UNSUPPORTED_CONFIG
 */
export function windowsBy(config: Config, window: number | null, byRule: (layer: number) => boolean): Window {
  const kinds = layerTypes(config);
  return (layer) => ((kinds ? kinds[layer] === "sliding_attention" : byRule(layer)) ? (window ?? undefined) : undefined);
}

/** `layer_types`; null if it is not stated. @throws EspalierError UNSUPPORTED_CONFIG */
export function layerTypes(config: Config): readonly string[] | null {
  const stated = config.value("layer_types");
  if (stated === undefined) return null;
  const layers = config.layers();
  const known = ["full_attention", "sliding_attention"];
  if (!Array.isArray(stated) || stated.length !== layers || !stated.every((kind) => known.includes(kind)))
    return config.refuse("layer_types", `${layers} of ${known.join(" and ")}`);
  return stated;
}

/** Whether a layer has a window where all but each so many-th do: by `sliding_window_pattern`. */
export function allButEach(config: Config, fallback: number): (layer: number) => boolean {
  const key = config.stated("sliding_window_pattern") ? "sliding_window_pattern" : "_sliding_window_pattern";
  const every = config.count(key, fallback);
  return (layer) => (layer + 1) % every !== 0;
}
