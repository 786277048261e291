import { EspalierError } from "../errors.ts";
import { isObject } from "../is-object.ts";
import { readJson } from "./model-config.ts";
import { readBeside } from "./read-beside.ts";

/** How hidden states become one vector of a text: their mean, that of the first or the last token, or the largest of each number. */
export const poolingModes = ["MEAN", "CLS", "LAST", "MAX"] as const;
export type PoolingMode = (typeof poolingModes)[number];

export interface Pooling {
  readonly mode: PoolingMode;
  /** Whether vectors are brought to length 1. */
  readonly normalize: boolean;
}

/** As sentence-transformers' 1_Pooling/config.json names them. */
const flags: readonly (readonly [flag: string, mode: PoolingMode])[] = [
  ["pooling_mode_cls_token", "CLS"],
  ["pooling_mode_max_tokens", "MAX"],
  ["pooling_mode_lasttoken", "LAST"],
  ["pooling_mode_mean_tokens", "MEAN"],
];

/**
 * How a model of embeddings pools, as sentence-transformers' files beside it say; the mean, not normalised, where there are none.
 *
 * @throws EspalierError INVALID_JSON; UNSUPPORTED_POOLING if it does something else as well
 */
export async function readPooling(folder: string): Promise<Pooling> {
  const [config, modules] = await Promise.all([readJson(folder, "1_Pooling/config.json"), modulesOf(folder)]);
  const asked = flags.filter(([flag]) => config?.[flag] === true).map(([, mode]) => mode);
  if (asked.length > 1)
    throw new EspalierError("UNSUPPORTED_POOLING", `1_Pooling/config.json asks for ${asked.join(" and ")} at once, which is not supported`);
  const other = modules.find((type) => !/\.(Transformer|Pooling|Normalize)$/.test(type));
  if (other) throw new EspalierError("UNSUPPORTED_POOLING", `modules.json names ${other}, which is not supported`);
  return { mode: asked[0] ?? "MEAN", normalize: modules.some((type) => type.endsWith(".Normalize")) };
}

async function modulesOf(folder: string): Promise<string[]> {
  const text = await readBeside(folder, "modules.json");
  if (text === null) return [];
  try {
    const modules: unknown = JSON.parse(text);
    if (Array.isArray(modules)) return modules.flatMap((m) => (isObject(m) && typeof m["type"] === "string" ? [m["type"]] : []));
  } catch {
    // Said below.
  }
  throw new EspalierError("INVALID_JSON", "modules.json is not a list of modules", { file: "modules.json" });
}
