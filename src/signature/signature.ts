import { EspalierError } from "../errors.ts";
import { isFloat, type ValueInfo } from "../onnx/ir.ts";
import { isInteger } from "../onnx/tensors.ts";

/** The inputs of a language model by their roles: of a graph as a file states it, or of a session. */
export interface Signature {
  /** [B, T] int: token ids. */
  readonly tokens: ValueInfo;
  /** [B, past + T] int or bool, 1 where there is a token; null if the model takes none. */
  readonly mask: ValueInfo | null;
  /** [B, T] int; null if the model counts positions itself. */
  readonly positions: ValueInfo | null;
  /** [B, T] int each: which of several texts a token is of. Encoders have such an input; see `trialSignatureOf` for others. */
  readonly tokenTypes: readonly ValueInfo[];
  /** Cache entries of earlier tokens, in declared order, e.g. [B, K, past, D]; empty for a model without a cache. */
  readonly caches: readonly ValueInfo[];
}

/** Names on which all exporters agree (Optimum, transformers.js, onnxruntime-genai). */
const names = { tokens: "input_ids", mask: "attention_mask", positions: "position_ids" } as const;
const tokenTypeNames: readonly string[] = ["token_type_ids"];
const named: ReadonlySet<string> = new Set([...Object.values(names), ...tokenTypeNames]);

/**
 * Tells the roles of a language model's inputs. Four inputs of integers are known by their names; inputs of floats are cache entries.
 *
 * @throws EspalierError NO_TOKEN_INPUT if there is no `input_ids` of two dimensions; UNSUPPORTED_INPUT if an input has no known role,
 *   or one of the four is not of integers, or not of two dimensions
 */
export const signatureOf = (inputs: readonly ValueInfo[]): Signature =>
  rolesOf(
    inputs,
    inputs.filter((i) => tokenTypeNames.includes(i.name)),
  );

/**
 * The same of a model that may be an encoder, for a trial run: integers [B, T] of other names are token types.
 *
 * @throws EspalierError as `signatureOf`
 */
export const trialSignatureOf = (inputs: readonly ValueInfo[]): Signature =>
  rolesOf(
    inputs,
    inputs.filter((i) => tokenTypeNames.includes(i.name) || (!named.has(i.name) && isInteger(i.dataType) && i.shape?.length === 2)),
  );

function rolesOf(inputs: readonly ValueInfo[], tokenTypes: readonly ValueInfo[]): Signature {
  const input = (name: string) => inputs.find((i) => i.name === name) ?? null;
  const [tokens, mask, positions] = [input(names.tokens), input(names.mask), input(names.positions)];
  if (tokens?.shape?.length !== 2) {
    const found = inputs.map((i) => i.name).join(", ") || "none";
    throw new EspalierError("NO_TOKEN_INPUT", `the model has no input "input_ids" of shape [batch, sequence]; its inputs are: ${found}`, {
      inputs: inputs.map((i) => i.name),
    });
  }
  const caches = inputs.filter((i) => !named.has(i.name) && isFloat(i.dataType) && (i.shape?.length ?? 0) >= 3);
  const unknown = inputs.filter((i) => !named.has(i.name) && !caches.includes(i) && !tokenTypes.includes(i));
  if (unknown.length > 0)
    throw new EspalierError("UNSUPPORTED_INPUT", `the model has inputs whose role is not known: ${unknown.map((i) => i.name).join(", ")}`, {
      inputs: unknown.map((i) => i.name),
    });
  const other = inputs.find((i) => named.has(i.name) && !isInteger(i.dataType));
  if (other)
    throw new EspalierError("UNSUPPORTED_INPUT", `input "${other.name}" has type ${other.dataType}, not int64, int32 or bool`, {
      input: other.name,
    });
  const odd = [mask, positions, ...tokenTypes].find((i) => i?.shape && i.shape.length !== 2);
  if (odd)
    throw new EspalierError(
      "UNSUPPORTED_INPUT",
      `input "${odd.name}" has the shape [${odd.shape?.map((d) => d || "?").join(", ")}], and must have two axes: [batch, sequence]`,
      { input: odd.name },
    );
  return { tokens, mask, positions, tokenTypes, caches };
}

/** The dims of an input, of whose dynamic sizes these are the first; no others are known. */
export function dimsOf({ shape }: ValueInfo, sizes: readonly number[]): number[] {
  const dynamic = [...sizes];
  return (shape ?? []).map((d) => (typeof d === "number" ? d : (dynamic.shift() ?? 0)));
}

/**
 * Sizes that a model fixes cannot be told from those of its own that happen to be as large: it would work for such texts only.
 *
 * @throws EspalierError UNSUPPORTED_INPUT if an input fixes the number of texts or their length
 */
export function requireDynamic({ tokens, mask, positions, tokenTypes, caches }: Signature): void {
  const isFixed = ({ shape }: ValueInfo) => shape !== null && shape.filter((d) => typeof d !== "number").length < 2;
  const fixed = [tokens, mask, positions, ...tokenTypes, ...caches].find((input) => input && isFixed(input));
  if (fixed)
    throw new EspalierError(
      "UNSUPPORTED_INPUT",
      `input "${fixed.name}" has the fixed shape [${fixed.shape?.map((d) => d || "?").join(", ")}]: batches and texts of any length must go in; ` +
        "export the model with dynamic batch and sequence axes",
      { input: fixed.name },
    );
}
