import { countedRows } from "../algebra/counted-rows.ts";
import { addTo } from "../algebra/vectors.ts";
import { sizeOf } from "../onnx/ir.ts";
import { batchOf, runOn } from "../pruning/evidence/batch.ts";
import type { Scene } from "../pruning/evidence/evidence.ts";
import { openScoring } from "../pruning/evidence/open-scoring.ts";
import { productInputs } from "../pruning/evidence/product-inputs.ts";
import type { TensorValue } from "../runtime/session.ts";
import type { View } from "../text/view.ts";

export type GramScene = Pick<Scene, "model" | "folder" | "scratch" | "whole" | "sequenceLength" | "judge" | "executionProvider">;

/** `X' X` [n, n] of the inputs X of one product, over all tokens of some texts; in float64, as sums of float32. */
export interface Gram {
  readonly own: Float64Array;
  /** Of the texts that are held back. */
  readonly heldBack: Float64Array;
}

/**
 * Grams, by parameter, of what products multiply parameters with; in one forward pass of each text.
 *
 * @param texts those from `heldBackFrom` on are held back
 * @param parameters matrices that a plain product reads (`productsOf`)
 */
export async function* inputGrams(
  scene: GramScene,
  texts: readonly View[],
  heldBackFrom: number,
  parameters: readonly string[],
): AsyncGenerator<number, ReadonlyMap<string, Gram>> {
  const { sequenceLength: T } = scene;
  const { model, b, B, signature, products, inputs } = await productInputs(scene, "grams", texts.length, parameters);
  const counted = b.input("grams/counted", "float32", [B, T]);
  const outputs = inputs.map((name) => {
    const rows = countedRows(b, b.value(name), b.reshape(counted, [B * T, 1, 1]));
    return b.matMul(b.transpose(rows), rows);
  });
  const grams = outputs.map(({ shape }): Gram => ({ own: new Float64Array(sizeOf(shape)), heldBack: new Float64Array(sizeOf(shape)) }));
  const session = await openScoring(scene, model, b.build(outputs));
  try {
    for (let done = 0; done < texts.length; ) {
      // Of one run all texts are counted to one sum.
      const end = Math.min(done + B, done < heldBackFrom ? heldBackFrom : texts.length);
      const feeds = batchOf(signature, texts.slice(done, end), [B, T]);
      const data = feeds.counted.data.map((w) => (w > 0 ? 1 : 0));
      const found = await runOn(session, { ...feeds.ids, [counted.name]: { ...feeds.counted, data } });
      for (const [i, { name }] of outputs.entries()) {
        const sum = (grams[i] as Gram)[done < heldBackFrom ? "own" : "heldBack"];
        const { data: own } = found[name] as TensorValue<Float32Array>;
        addTo(sum, own);
      }
      done = end;
      yield done;
    }
  } finally {
    await session.close();
  }
  const byInput = new Map(inputs.map((input, i) => [input, grams[i] as Gram]));
  return new Map([...products].map(([parameter, { input }]) => [parameter, byInput.get(input) as Gram]));
}
