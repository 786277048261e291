import type { TensorValue } from "../../runtime/session.ts";
import type { Views } from "../../text/calibration.ts";

/** Tokens of one run. More would only take more memory: at this size the products already fill the cores. */
const tokensPerRun = 1024;

/** A sample's texts: unperturbed alone, or with its perturbed view after it. */
export const viewsOf = ({ unperturbed, perturbed }: Views, views: 1 | 2): (readonly number[])[] =>
  views === 2 ? [unperturbed, perturbed] : [unperturbed];

/** Feeds of one run, [B, T] each. */
export interface BatchFeeds {
  readonly ids: TensorValue<BigInt64Array>;
  /** The token that follows each position. */
  readonly targets: TensorValue<BigInt64Array>;
  /** The text's sign over n on each of its n predictions, 0 on padding. */
  readonly weights: TensorValue<Float32Array>;
}

/**
 * Texts as rows, each predicting its next tokens; padded on the right, and with empty rows up to B.
 *
 * @param sign by row: what a text's weights are multiplied with
 */
export function batchOf(texts: readonly (readonly number[])[], B: number, T: number, sign: (row: number) => 1 | -1 = () => 1): BatchFeeds {
  const ids = new BigInt64Array(B * T);
  const targets = new BigInt64Array(B * T);
  const weights = new Float32Array(B * T);
  for (const [b, text] of texts.entries()) {
    const n = Math.min(text.length - 1, T);
    for (let t = 0; t < n; t++) {
      ids[b * T + t] = BigInt(text[t] as number);
      targets[b * T + t] = BigInt(text[t + 1] as number);
      weights[b * T + t] = sign(b) / n;
    }
  }
  const dims = [B, T];
  return {
    ids: { dataType: "int64", dims, data: ids },
    targets: { dataType: "int64", dims, data: targets },
    weights: { dataType: "float32", dims, data: weights },
  };
}

/** Texts of T tokens that one run takes. */
export const rowsPerRun = (T: number): number => Math.max(1, Math.floor(tokensPerRun / T));
