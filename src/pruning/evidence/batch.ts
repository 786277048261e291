import { numberAt } from "../../number-at.ts";
import { sizeOf } from "../../onnx/ir.ts";
import type { Session, TensorValue } from "../../runtime/session.ts";
import { type Feeds, integerFeed, maskedFeeds } from "../../signature/feeds.ts";
import type { Signature } from "../../signature/signature.ts";
import type { Views } from "../../text/calibration.ts";
import { unpredicted, type View } from "../../text/view.ts";

/** Tokens of one run. More would only take more memory: at this size the products already fill the cores. */
const tokensPerRun = 1024;

/** A sample's texts: unperturbed alone, or with its perturbed view after it. */
export const viewsOf = ({ unperturbed, perturbed }: Views, views: 1 | 2): View[] =>
  views === 2 ? [unperturbed, perturbed] : [unperturbed];

/** Feeds of one run. */
export interface BatchFeeds {
  /** Token ids, masks and types [B, T], by the inputs' names; see `runOn`. */
  readonly ids: Feeds;
  /** What each place predicts: [B, T], or [B, 1] where logits are of whole texts. */
  readonly targets: TensorValue;
  /** Of the same shape: the text's sign over n on each of its n predictions, 0 elsewhere. */
  readonly weights: TensorValue<Float32Array>;
  /** [B, T]: 1 over n on each of a text's n tokens that are read, 0 on padding. */
  readonly counted: TensorValue<Float32Array>;
}

/**
 * Texts as rows; padded on the right, and with empty rows up to B.
 *
 * @param places of a text that predict: T, or 1 where logits are of the whole text
 * @param sign by row: what a text's weights are multiplied with
 */
export function batchOf(
  signature: Signature,
  texts: readonly View[],
  [B, T]: readonly [number, number],
  places = T,
  sign: (row: number) => 1 | -1 = () => 1,
): BatchFeeds {
  const rows = Array.from({ length: B }, (_, b): View => {
    const { ids = [], types, targets = [] } = texts[b] ?? {};
    return { ids: ids.slice(0, T), ...(types ? { types: types.slice(0, T) } : {}), targets: targets.slice(0, places) };
  });
  const isPredicted = (target: number | undefined) => target !== undefined && target !== unpredicted;
  const spread = (width: number, share: (b: number, i: number) => number): TensorValue<Float32Array> => {
    const dims = [B, width];
    const data = Float32Array.from({ length: sizeOf(dims) }, (_, i) => share(Math.floor(i / width), i % width));
    return { dataType: "float32", dims, data };
  };
  const counts = rows.map(({ targets }) => targets.filter(isPredicted).length);
  const target = (b: number, t: number) => rows[b]?.targets[t];
  return {
    ids: maskedFeeds(signature, rows, T),
    targets: integerFeed("int64", [B, places], (i) => Math.max(0, target(Math.floor(i / places), i % places) ?? 0)),
    weights: spread(places, (b, t) => (isPredicted(target(b, t)) ? sign(b) / numberAt(counts, b) : 0)),
    counted: spread(T, (b, t) => {
      const n = rows[b]?.ids.length ?? 0;
      return t < n ? 1 / n : 0;
    }),
  };
}

/** Runs a session on what it has inputs for: of a causal model masks and types are constants. */
export const runOn = (session: Session, feeds: Feeds, outputs?: readonly string[]): Promise<Feeds> =>
  session.run(Object.fromEntries(session.inputs.flatMap(({ name }) => (feeds[name] ? [[name, feeds[name]]] : []))), outputs);

/** Texts of T tokens that one run takes. */
export const rowsPerRun = (T: number, tokens = tokensPerRun): number => Math.max(1, Math.floor(tokens / T));
