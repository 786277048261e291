import { lower } from "../autodiff/lower.ts";
import { productsOf } from "../autodiff/products.ts";
import * as attr from "../onnx/attributes.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import { sizeAt, sizeOf } from "../onnx/ir.ts";
import { toFloat32 } from "../onnx/to-float32.ts";
import { batchOf, rowsPerRun } from "../pruning/evidence/batch.ts";
import type { Scene } from "../pruning/evidence/evidence.ts";
import { openScoring } from "../pruning/evidence/open-scoring.ts";
import type { TensorValue } from "../runtime/session.ts";
import { specialise } from "../runtime/specialise.ts";
import { bindingOf } from "../signature/binding.ts";
import { signatureOf } from "../signature/signature.ts";

export type GramScene = Pick<Scene, "model" | "folder" | "scratch" | "whole" | "sequenceLength" | "executionProvider">;

/** `X' X` [n, n] of the inputs X of one product, over all tokens of some texts; in float64, as sums of float32. */
export interface Gram {
  readonly own: Float64Array;
  /** Of the texts that are held back. */
  readonly heldBack: Float64Array;
}

/**
 * Grams, by parameter, of what products multiply parameters with; in one forward pass of each text.
 *
 * @param texts token ids; those from `heldBackFrom` on are held back
 * @param parameters matrices that a plain product reads (`productsOf`)
 */
export async function* inputGrams(
  scene: GramScene,
  texts: readonly (readonly number[])[],
  heldBackFrom: number,
  parameters: readonly string[],
): AsyncGenerator<number, ReadonlyMap<string, Gram>> {
  const { sequenceLength: T, whole } = scene;
  const model = toFloat32(scene.model);
  const B = Math.min(texts.length, rowsPerRun(T));
  const typed = lower(await specialise(model, bindingOf(model, B, T, [...whole.parameters.keys()]), [whole.anatomy.logits]));
  const products = productsOf(typed, parameters);
  const b = new GraphBuilder(typed, "grams");
  const counted = b.input("grams/counted", "float32", [B, T]);
  const inputs = [...new Set([...products.values()].map((p) => p.input))];
  const outputs = inputs.map((name) => {
    const x = b.value(name);
    const width = sizeAt(x.shape, -1);
    const perToken = sizeOf(x.shape) / (B * T * width);
    const rows = b.mul(b.reshape(x, [B * T, perToken, width]), b.reshape(counted, [B * T, 1, 1]));
    const flat = b.reshape(rows, [B * T * perToken, width]);
    return b.matMul(b.op("Transpose", [flat], [width, B * T * perToken], { perm: attr.ints([1, 0]) }), flat);
  });
  const grams = outputs.map(({ shape }): Gram => ({ own: new Float64Array(sizeOf(shape)), heldBack: new Float64Array(sizeOf(shape)) }));
  const session = await openScoring(scene, model, b.build(outputs));
  try {
    const { tokens } = signatureOf(model.graph.inputs);
    for (let done = 0; done < texts.length; ) {
      // Of one run all texts are counted to one sum.
      const end = Math.min(done + B, done < heldBackFrom ? heldBackFrom : texts.length);
      const feeds = batchOf(tokens, texts.slice(done, end), [B, T]);
      const data = feeds.weights.data.map((w) => (w > 0 ? 1 : 0));
      const found = await session.run({ ...feeds.ids, [counted.name]: { ...feeds.weights, data } });
      for (const [i, { name }] of outputs.entries()) {
        const sum = (grams[i] as Gram)[done < heldBackFrom ? "own" : "heldBack"];
        for (const [at, value] of (found[name] as TensorValue<Float32Array>).data.entries()) sum[at] = (sum[at] as number) + value;
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
