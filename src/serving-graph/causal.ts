import { sizeAt, sizeOf } from "../onnx/ir.ts";
import type { TensorValue } from "../runtime/session.ts";
import { signatureOf } from "../signature/signature.ts";
import { type Mask, unseen } from "./attention.ts";
import { shapedValues, type TwoViews, unfit } from "./two-views.ts";

/** Graphs without a cache have no shorter way to a long sequence's last row than the whole square. */
const largestSquare = 2048;

/**
 * How far back masks let tokens see: a token sees itself and all before it, or the last so many of them. Seen at a short
 * prompt, and at the last token of the longest.
 *
 * @returns for each mask how many tokens are seen, itself included; null for all
 * @throws EspalierError CANNOT_REWRITE for position biases and the like
 */
export async function windowsOf(views: TwoViews, masks: readonly Mask[], length: number): Promise<ReadonlyMap<Mask, number | null>> {
  const names = [...new Set(masks.map((m) => m.value))];
  const short = Math.min(48, length);
  const begin = await shapedValues(views, names, 0, short);
  const cached = signatureOf(views.model.graph.inputs).caches.length > 0;
  if (!cached && length > largestSquare) unfit(`its attention cannot be seen at ${length} tokens without a cache`);
  const end = cached ? await shapedValues(views, names, length - 1, 1) : await shapedValues(views, names, 0, length);
  const known = new Map<string, number | null>();
  const windowOf = (mask: Mask): number | null => {
    const last = end.get(mask.value) as TensorValue;
    const row = sizeAt(last.dims, -2) - 1;
    const sees = seenBy(mask, last);
    const first = Array.from({ length }, (_, s) => sees(row, s)).indexOf(true);
    for (let s = first; s < length; s++) if (first < 0 || !sees(row, s)) unfit(`"${mask.value}" is not the mask of causal attention`);
    const window = first === 0 ? null : length - first;
    const all = seenBy(mask, begin.get(mask.value) as TensorValue);
    for (let t = 0; t < short; t++)
      for (let s = 0; s < short; s++)
        if (all(t, s) !== (s <= t && (window === null || s > t - window))) unfit(`"${mask.value}" is not the mask of causal attention`);
    return window;
  };
  return new Map(
    masks.map((mask) => {
      const key = `${mask.value} ${mask.kind}`;
      const window = known.get(key) ?? (known.has(key) ? null : windowOf(mask));
      known.set(key, window);
      return [mask, window];
    }),
  );
}

/** Which token sees which; the same for all sequences and heads. */
function seenBy({ value, kind }: Mask, { data, dims }: TensorValue): (t: number, s: number) => boolean {
  const [rows, columns] = [sizeAt(dims, -2), sizeAt(dims, -1)];
  const planes = sizeOf(dims.slice(0, -2));
  const read = (i: number): boolean => {
    const v = Number(data[i]);
    if (kind !== "added") return (v !== 0) === (kind === "seenWhereTrue");
    if (v !== 0 && v > unseen) unfit(`"${value}" adds to scores by position`);
    return v === 0;
  };
  return (t, s) => {
    // A row that all tokens share cannot hide what comes after one of them.
    const at = (rows === 1 ? 0 : t) * columns + (columns === 1 ? 0 : s);
    const seen = read(at);
    for (let p = 1; p < planes; p++) if (read(p * rows * columns + at) !== seen) unfit(`"${value}" differs between heads`);
    return seen;
  };
}
