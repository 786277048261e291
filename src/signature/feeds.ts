import { largest } from "../large-lists.ts";
import { type DataType, sizeOf, type ValueInfo } from "../onnx/ir.ts";
import { integerArray } from "../onnx/tensors.ts";
import type { TensorValue } from "../runtime/session.ts";
import { dimsOf, type Signature } from "./signature.ts";

/** Tensors by the names of the inputs that take them, or of the outputs that gave them. */
export type Feeds = Readonly<Record<string, TensorValue>>;

/** An input of integers: how many columns it has, and what stands in column t of a row of token ids. */
interface IntegerInput {
  readonly input: ValueInfo;
  readonly width: number;
  readonly value: (row: readonly number[], t: number) => number;
}

/** Of texts of T tokens that follow `past` earlier ones. Rows that are shorter are padded at their end, with tokens 0. */
function integerInputs({ tokens, mask, positions, tokenTypes }: Signature, T: number, past: number): IntegerInput[] {
  const of = (input: ValueInfo | null, width: number, value: IntegerInput["value"]) => (input ? [{ input, width, value }] : []);
  return [
    ...of(tokens, T, (row, t) => row[t] ?? 0),
    // Under causal attention nothing sees what comes after it: padding needs no mask.
    ...of(mask, past + T, () => 1),
    ...of(positions, T, (_, t) => past + t),
    ...tokenTypes.flatMap((input) => of(input, T, () => 0)),
  ];
}

/**
 * What a model is fed for `rows` [B, T] of token ids that follow `past` earlier tokens, but for its cache: of tokens, mask,
 * positions and token types, those it has inputs for, in their types. Rows may be of unlike length: T is the longest's.
 */
export function feedsOf(signature: Signature, rows: readonly (readonly number[])[], past: number): Feeds {
  const T = largest([0, ...rows.map((row) => row.length)]);
  return Object.fromEntries(
    integerInputs(signature, T, past).map(({ input, width, value }) => {
      const at = (i: number) => value(rows[Math.floor(i / width)] ?? [], i % width);
      return [input.name, integerFeed(input.dataType, [rows.length, width], at)];
    }),
  );
}

/** A text as a model reads it whose tokens see what follows. */
export interface Framed {
  readonly ids: readonly number[];
  /** For each token, of which of two texts it is, 0 or 1; none: all of the first. */
  readonly types?: readonly number[];
}

/**
 * What a model is fed for texts [B, T] whose tokens see what follows them: padding at their ends is masked. A row without a token
 * is there to fill a batch; it sees all of itself, for an attention to nothing would be no number.
 */
export function maskedFeeds(signature: Signature, rows: readonly Framed[], T = largest([0, ...rows.map(({ ids }) => ids.length)])): Feeds {
  const { tokens, mask, positions, tokenTypes } = signature;
  const feed = (input: ValueInfo | null, value: (row: Framed, t: number) => number) =>
    input ? [[input.name, integerFeed(input.dataType, [rows.length, T], (i) => value(rows[Math.floor(i / T)] as Framed, i % T))]] : [];
  return Object.fromEntries([
    ...feed(tokens, ({ ids }, t) => ids[t] ?? 0),
    ...feed(mask, ({ ids }, t) => (ids.length === 0 || t < ids.length ? 1 : 0)),
    ...feed(positions, (_, t) => t),
    ...tokenTypes.flatMap((input) => feed(input, ({ types }, t) => types?.[t] ?? 0)),
  ]);
}

/** A tensor of integers, by their places. @throws EspalierError TENSOR_TYPE if the type is not int64, int32 or bool */
export const integerFeed = (dataType: DataType, dims: readonly number[], value: (i: number) => number): TensorValue => ({
  dataType,
  dims,
  data: integerArray(dataType, sizeOf(dims), value),
});

/** The shape of every input for texts of so many tokens, after `past` earlier ones where the model has a cache. What it fixes stays. */
export function staticShapes(signature: Signature, batch: number, tokens: number, past: number): Record<string, number[]> {
  const { caches } = signature;
  const shapes = [
    ...integerInputs(signature, tokens, caches.length > 0 ? past : 0).map(({ input, width }) => [input, width] as const),
    ...caches.map((cache) => [cache, past] as const),
  ];
  return Object.fromEntries(shapes.map(([input, width]) => [input.name, dimsOf(input, [batch, width])]));
}
