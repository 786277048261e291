import { randomUUID } from "node:crypto";
import { EspalierError } from "../errors.ts";
import { isWhole } from "../is-whole.ts";
import { smallest } from "../large-lists.ts";
import { readBeside } from "./read-beside.ts";

/** Nobody's file nests so deep. */
const deepest = 200;

/**
 * A JSON object from a model folder, or null if there is no such file.
 *
 * @param levels how deep it may nest: whoever walks it without such a bound would run out of stack
 * @throws EspalierError INVALID_JSON
 */
export async function readJson(folder: string, name: string, levels = deepest): Promise<Readonly<Record<string, unknown>> | null> {
  const text = await readBeside(folder, name);
  return text === null ? null : jsonObject(name, text, levels);
}

/** The same of a file's text. @throws EspalierError INVALID_JSON */
export function jsonObject(name: string, text: string, levels = deepest): Readonly<Record<string, unknown>> {
  try {
    const value = parseJson(text);
    if (levels !== Number.POSITIVE_INFINITY && nestsPast(value, levels)) throw new SyntaxError(`it nests deeper than ${levels} levels`);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch (cause) {
    throw new EspalierError("INVALID_JSON", `${name} is not JSON: ${(cause as Error).message}`, { file: name }, { cause });
  }
  throw new EspalierError("INVALID_JSON", `${name} is not a JSON object`, { file: name });
}

function nestsPast(value: unknown, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (levels === 0) return true;
  for (const key in value) if (nestsPast((value as Record<string, unknown>)[key], levels - 1)) return true;
  return false;
}

/**
 * JSON as Python reads it: `Infinity`, which its writer puts into configurations, and `NaN`, which no number of JSON can say
 * and which comes out as null.
 *
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // What stands in strings is matched first, and stays.
    const plain = text.replace(/"(?:[^"\\]|\\.)*"|\bInfinity\b|\bNaN\b/gs, (found) =>
      found === "Infinity" ? "1e999" : found === "NaN" ? "null" : found,
    );
    if (plain === text) throw error;
    return JSON.parse(plain);
  }
}

/**
 * Keys of configurations whose numbers are floats: classes of transformers 5 refuse `30` under them, where `30.0` was meant, and say so of how positions
 * are scaled. A number of JavaScript knows no difference.
 */
const floats: ReadonlySet<string> = new Set([
  ...["attn_logit_softcapping", "final_logit_softcapping", "clip_qkv", "logit_scale", "init_std", "initializer_range"],
  ...["layer_norm_eps", "layer_norm_epsilon", "norm_eps", "norm_epsilon", "rms_norm_eps"],
  ...[
    "factor",
    "low_freq_factor",
    "high_freq_factor",
    "attention_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "rope_theta",
  ],
]);

/** JSON with the infinities that `parseJson` reads, and with floats where configurations have floats. */
export function writeJson(value: unknown): string {
  const mark = randomUUID();
  const spelled = (key: string, v: unknown): unknown => {
    if (v === Infinity || v === -Infinity) return `${mark}${v}`;
    return Number.isSafeInteger(v) && floats.has(key) ? `${mark}${v}.0` : v;
  };
  return JSON.stringify(value, spelled, 2).replaceAll(new RegExp(`"${mark}(-?(?:Infinity|\\d+\\.0))"`, "g"), "$1");
}

/** What the files beside a model's graph say of it that the graph itself cannot. */
export interface ModelConfig {
  /** Longest sequence the model was made for, in tokens; null if no file says. */
  readonly contextLength: number | null;
  /** Token that begins a sequence; null if no file says. */
  readonly bosId: number | null;
  /** Tokens that end a text; empty if no file says. */
  readonly eosIds: readonly number[];
}

/** Some files say 10^30, 0 or -1 where they mean "no limit"; nothing that long is read anyway. */
const isLength = (value: unknown): value is number => isWhole(value, 1, 2 ** 31 - 1);

/** The names under which model families keep their context length. */
const contextLengthNames = ["max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"];

/** Where models of more than text keep what concerns text. */
const textParts = ["text_config", "language_config", "llm_config"];

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === "object" && value !== null;

const idsOf = (value: unknown): number[] => [value].flat().filter((v): v is number => Number.isInteger(v));

/**
 * Reads config.json and generation_config.json of a folder in the Hugging Face layout. What only the tokenizer's files
 * say (a begin or end token by its text) is the tokenizer's to find.
 *
 * @throws EspalierError INVALID_JSON
 */
export async function readModelConfig(folder: string): Promise<ModelConfig> {
  const [config, generation] = await Promise.all([readJson(folder, "config.json"), readJson(folder, "generation_config.json")]);
  const parts = [config, ...textParts.map((name) => config?.[name])].filter(isObject);
  const stated = (name: string) => parts.map((part) => part[name]).find((value) => value != null);
  const either = (name: string) => generation?.[name] ?? stated(name);
  const lengths = contextLengthNames.map(stated).filter(isLength);
  return {
    contextLength: lengths[0] ?? null,
    bosId: idsOf(either("bos_token_id"))[0] ?? null,
    eosIds: idsOf(either("eos_token_id")),
  };
}

/**
 * Longest text of a model that reads texts whole, its frame included; null if no file says. RoBERTa counts positions from its padding
 * token on, so that config.json says two more than may be read; `model_max_length` of the tokenizer's configuration says how many are.
 *
 * @throws EspalierError INVALID_JSON
 */
export async function wholeTextLength(folder: string): Promise<number | null> {
  const [{ contextLength }, tokenizer] = await Promise.all([readModelConfig(folder), readJson(folder, "tokenizer_config.json")]);
  const stated = [contextLength, tokenizer?.["model_max_length"]].filter(isLength);
  return stated.length === 0 ? null : smallest(stated);
}
