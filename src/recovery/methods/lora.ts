import type { GraphBuilder, Value } from "../../onnx/builder.ts";
import { sizeAt, sizeOf } from "../../onnx/ir.ts";
import { normal } from "../normal.ts";
import { adapted } from "./adapted.ts";
import type { TrainedMethod } from "./method.ts";

/**
 * Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): `W + (alpha / rank) A B` with A [n_in, rank] and B [rank, n_out]. A is drawn,
 * B begins at 0, so that training begins at the model as it is.
 */
export const lora: TrainedMethod = {
  name: "LORA",
  description: "Low-rank adapters beside the products of attentions and MLPs, added to the weights at the end. Little memory; the default.",
  learningRate: 2e-3,
  besideCodes: true,
  prepare(subject) {
    const { rank } = subject.options;
    return adapted(subject, "lora", {
      trained: (name, inputs, outputs) => [
        { name: name("a"), shape: [inputs, rank], initial: (random) => normal(random, inputs * rank, 1 / Math.sqrt(inputs)) },
        { name: name("b"), shape: [rank, outputs], initial: () => new Float32Array(rank * outputs) },
      ],
      added: (b, y, x, [a, bee], scale) => added(b, y, x, a as Value, bee as Value, scale),
      merged: (w, dims, axis, [a, b], s) => withProduct(w, dims, axis, a as Float32Array, b as Float32Array, s),
      apart: ([a, b], s) => ({ down: Float32Array.from(a as Float32Array), up: (b as Float32Array).map((x) => s * x), rank }),
    });
  },
};

/** `y + s (x a) b`, x being laid out as rows. */
function added(b: GraphBuilder, y: Value, x: Value, a: Value, bee: Value, scale: number): Value {
  const rows = b.reshape(x, [sizeOf(x.shape) / sizeAt(x.shape, -1), sizeAt(x.shape, -1)]);
  const narrow = b.mul(b.matMul(rows, a), b.scalar(scale));
  return b.add(y, b.reshape(b.matMul(narrow, bee), y.shape));
}

/** `W + s A B`, or its transpose where the inputs lie along the second axis; summed up in float64. */
function withProduct(
  w: Float32Array,
  [rows = 0, columns = 0]: readonly number[],
  axis: number,
  a: Float32Array,
  b: Float32Array,
  s: number,
): Float32Array {
  const [nIn, nOut] = axis === 0 ? [rows, columns] : [columns, rows];
  const rank = a.length / nIn;
  const out = Float32Array.from(w);
  const row = new Float64Array(nOut);
  for (let i = 0; i < nIn; i++) {
    row.fill(0);
    for (let r = 0; r < rank; r++) {
      const left = s * (a[i * rank + r] as number);
      for (let j = 0; j < nOut; j++) row[j] = (row[j] as number) + left * (b[r * nOut + j] as number);
    }
    for (let j = 0; j < nOut; j++) {
      const at = axis === 0 ? i * nOut + j : j * nIn + i;
      out[at] = (w[at] as number) + (row[j] as number);
    }
  }
  return out;
}
