import { numberAt } from "../../number-at.ts";
import type { ValueInfo } from "../../onnx/ir.ts";
import type { TensorValue } from "../../runtime/session.ts";
import { type Feeds, integerFeed } from "../../signature/feeds.ts";
import type { Views } from "../../text/calibration.ts";

/** Tokens of one run. More would only take more memory: at this size the products already fill the cores. */
const tokensPerRun = 1024;

/** A sample's texts: unperturbed alone, or with its perturbed view after it. */
export const viewsOf = ({ unperturbed, perturbed }: Views, views: 1 | 2): (readonly number[])[] =>
  views === 2 ? [unperturbed, perturbed] : [unperturbed];

/** Feeds of one run, [B, T] each. */
export interface BatchFeeds {
  /** Token ids, by the input's name. */
  readonly ids: Feeds;
  /** The token that follows each position. */
  readonly targets: TensorValue;
  /** The text's sign over n on each of its n predictions, 0 on padding. */
  readonly weights: TensorValue<Float32Array>;
}

/**
 * Texts as rows, each predicting its next tokens; padded on the right, and with empty rows up to B.
 *
 * @param tokens the input of token ids
 * @param sign by row: what a text's weights are multiplied with
 */
export function batchOf(
  tokens: ValueInfo,
  texts: readonly (readonly number[])[],
  [B, T]: readonly [number, number],
  sign: (row: number) => 1 | -1 = () => 1,
): BatchFeeds {
  const dims = [B, T];
  const counts = Array.from({ length: B }, (_, b) => Math.min(Math.max(0, (texts[b]?.length ?? 0) - 1), T));
  const weights = new Float32Array(B * T);
  for (const [b, n] of counts.entries()) weights.fill(sign(b) / n, b * T, b * T + n);
  /** The token so many places on from each that predicts; 0 on padding. */
  const shifted = (by: number) => (i: number) => {
    const [b, t] = [Math.floor(i / T), i % T];
    return t < numberAt(counts, b) ? numberAt(texts[b] ?? [], t + by) : 0;
  };
  return {
    ids: { [tokens.name]: integerFeed(tokens.dataType, dims, shifted(0)) },
    targets: integerFeed("int64", dims, shifted(1)),
    weights: { dataType: "float32", dims, data: weights },
  };
}

/** Texts of T tokens that one run takes. */
export const rowsPerRun = (T: number): number => Math.max(1, Math.floor(tokensPerRun / T));
