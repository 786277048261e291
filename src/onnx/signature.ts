import { EspalierError } from "../errors.ts";
import { isFloat, sizeOf, type ValueInfo } from "./ir.ts";
import { isInteger } from "./tensors.ts";

/** The inputs of a causal language model by their roles. */
export interface Signature {
  /** [B, T] int: token ids. */
  readonly tokens: ValueInfo;
  /** [B, past + T] int or bool, 1 where there is a token; null if the model takes none. */
  readonly mask: ValueInfo | null;
  /** [B, T] int; null if the model counts positions itself. */
  readonly positions: ValueInfo | null;
  /** Cache entries of earlier tokens, in declared order, e.g. [B, K, past, D]; empty for a model without a cache. */
  readonly caches: readonly ValueInfo[];
}

const isTokens = (v: ValueInfo) => v.name === "input_ids";
const isMask = (v: ValueInfo) => v.name === "attention_mask";
const isPositions = (v: ValueInfo) => v.name === "position_ids";

/**
 * Tells the inputs' roles. The three integer inputs have the names on which all exporters agree (Optimum,
 * transformers.js, onnxruntime-genai); float inputs are cache entries.
 *
 * @throws EspalierError NO_TOKEN_INPUT if there is no `input_ids` of two dimensions; UNSUPPORTED_INPUT if an input has no known role,
 *   or one of the three is not of integers
 */
export function signatureOf(inputs: readonly ValueInfo[]): Signature {
  const tokens = inputs.find(isTokens);
  if (tokens?.shape?.length !== 2) {
    const found = inputs.map((i) => i.name).join(", ") || "none";
    throw new EspalierError("NO_TOKEN_INPUT", `the model has no input "input_ids" of shape [batch, sequence]; its inputs are: ${found}`, {
      inputs: inputs.map((i) => i.name),
    });
  }
  const caches = inputs.filter((i) => isFloat(i.dataType) && (i.shape?.length ?? 0) >= 3);
  const known = new Set([tokens, ...inputs.filter(isMask), ...inputs.filter(isPositions), ...caches]);
  const unknown = inputs.filter((i) => !known.has(i));
  if (unknown.length > 0)
    throw new EspalierError("UNSUPPORTED_INPUT", `the model has inputs whose role is not known: ${unknown.map((i) => i.name).join(", ")}`, {
      inputs: unknown.map((i) => i.name),
    });
  const other = inputs.find((i) => !caches.includes(i) && !isInteger(i.dataType));
  if (other)
    throw new EspalierError("UNSUPPORTED_INPUT", `input "${other.name}" has type ${other.dataType}, not int64, int32 or bool`, {
      input: other.name,
    });
  return { tokens, mask: inputs.find(isMask) ?? null, positions: inputs.find(isPositions) ?? null, caches };
}

/**
 * The output [B, T, V] that predicts the next token: the one named so, or else the first, where exporters that make up
 * names put it.
 *
 * @throws EspalierError NO_LOGITS
 */
export function logitsOf(outputs: readonly ValueInfo[]): ValueInfo {
  const logits = outputs.find((o) => o.name === "logits") ?? outputs[0];
  const shaped = logits && isFloat(logits.dataType) && (logits.shape === null || logits.shape.length === 3);
  if (shaped && !logits.name.includes("hidden_state")) return logits;
  throw new EspalierError(
    "NO_LOGITS",
    `the model has no float output "logits" of shape [batch, sequence, vocabulary]; export it with its language-model head. Its outputs are: ${outputs.map((o) => o.name).join(", ")}`,
    { outputs: outputs.map((o) => o.name) },
  );
}

/** The dims of a cache entry: of its dynamic sizes the first is the batch, the second the earlier tokens. */
export function cacheDims({ shape }: ValueInfo, batch: number, past: number): number[] {
  const dynamic = [batch, past];
  return (shape ?? []).map((d) => (typeof d === "number" ? d : (dynamic.shift() ?? 0)));
}

/** The dims of a cache entry before the first token. @throws EspalierError UNSUPPORTED_CACHE if it has no place for earlier tokens */
export function emptyCacheDims(input: ValueInfo, batch: number): number[] {
  const dims = cacheDims(input, batch, 0);
  if (sizeOf(dims) === 0) return dims;
  throw new EspalierError(
    "UNSUPPORTED_CACHE",
    `cache input "${input.name}" cannot be used: its shape [${input.shape}] has no dimension for earlier tokens`,
    { input: input.name },
  );
}

/** A cache input and the output that gives it back, longer by the tokens of the run. */
export interface CacheEntry {
  readonly input: ValueInfo;
  readonly output: string;
}

/**
 * How a model hands its cache from one run to the next: `past_key_values.N.key` comes back as `present.N.key`; where names
 * say nothing, entries come back in the order in which they go in.
 *
 * @throws EspalierError UNSUPPORTED_CACHE if an entry is not given back, or has no place for earlier tokens
 */
export function cacheEntries(inputs: readonly ValueInfo[], outputs: readonly ValueInfo[]): CacheEntry[] {
  const { caches } = signatureOf(inputs);
  if (caches.length === 0) return [];
  for (const cache of caches) emptyCacheDims(cache, 1);
  const logits = logitsOf(outputs).name;
  const others = outputs.map((o) => o.name).filter((name) => name !== logits);
  const named = caches.map(({ name }) => name.replace(/^past(?:_key_values)?/, "present"));
  const lost = caches[named.findIndex((name) => !others.includes(name))];
  const anyNamed = named.some((name) => others.includes(name));
  if (lost && (anyNamed || others.length !== caches.length))
    throw new EspalierError(
      "UNSUPPORTED_CACHE",
      `cache input "${lost.name}" does not come back: the model has no output "${named[caches.indexOf(lost)]}"`,
      {
        input: lost.name,
      },
    );
  const back = lost ? others : named;
  return caches.map((input, i) => ({ input, output: back[i] as string }));
}
