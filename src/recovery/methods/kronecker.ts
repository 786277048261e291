import type { GraphBuilder, Value } from "../../onnx/builder.ts";
import { sizeAt, sizeOf } from "../../onnx/ir.ts";
import { normal } from "../normal.ts";
import { adapted } from "./adapted.ts";
import type { Trained, TrainedMethod } from "./method.ts";

/** Sums of so many products, of matrices A so wide. */
const [terms, blocks] = [4, 4];

/** Inputs or outputs in so many blocks, the last filled up with what does not count. */
const blockLength = (size: number): number => Math.ceil(size / blocks);

/**
 * Sums of Kronecker products (ALoRE, Du et al. 2024, arXiv 2412.08341): `W + (alpha / rank) sum of A_k (x) (B_k C_k)` with A_k [4, 4], B_k [n / 4, rank] and
 * C_k [rank, m / 4], for k to 4. Inputs and outputs are cut into four blocks, filled up with zeros; each A_k says how blocks mix, and C begins at 0.
 */
export const kronecker: TrainedMethod = {
  name: "KRONECKER",
  description:
    "Adapters that are sums of Kronecker products, added to the weights at the end: four times the rank of `LORA` for as many numbers.",
  learningRate: 2e-3,
  prepare(subject) {
    const { rank } = subject.options;
    return adapted(subject, "kronecker", {
      trained(name, inputs, outputs) {
        const [rows, columns] = [blockLength(inputs), blockLength(outputs)];
        const trained = (part: string, shape: readonly number[], deviation: number): Trained => ({
          ...{ name: name(part), shape },
          initial: (random) => (deviation === 0 ? new Float32Array(sizeOf(shape)) : normal(random, sizeOf(shape), deviation)),
        });
        // Terms lie one after another.
        return [
          trained("a", [terms * blocks, blocks], 1 / Math.sqrt(blocks)),
          trained("b", [rows, terms * rank], 1 / Math.sqrt(rows)),
          trained("c", [terms * rank, columns], 0),
        ];
      },
      added: (b, y, x, [a, bee, c], scale) => added(b, y, x, { a: a as Value, b: bee as Value, c: c as Value }, scale),
      merged: (w, dims, axis, [a, b, c], s) => withSum(w, dims, axis, [a as Float32Array, b as Float32Array, c as Float32Array], s),
    });
  },
};

/**
 * `y + s x sum of A_k (x) (B_k C_k)`, x being laid out as rows: of each row's blocks, `U = x B` narrows each, A mixes them, C widens them.
 */
function added(b: GraphBuilder, y: Value, x: Value, { a, b: bee, c }: Readonly<Record<"a" | "b" | "c", Value>>, scale: number): Value {
  const [n, m] = [sizeAt(x.shape, -1), sizeAt(y.shape, -1)];
  const R = sizeOf(x.shape) / n;
  const [rows, columns, all] = [sizeAt(bee.shape, 0), sizeAt(c.shape, 1), sizeAt(bee.shape, 1)];
  const filled = filledUp(b, b.reshape(x, [R, n]), rows * blocks);
  // [R, blocks, terms, rank], then with the term first: [terms, rank, R, blocks].
  const narrow = b.matMul(b.reshape(filled, [R * blocks, rows]), b.mul(bee, b.scalar(scale)));
  const apart = b.transpose(b.reshape(narrow, [R, blocks, terms, all / terms]), [2, 0, 3, 1]);
  const mixed = b.matMul(b.reshape(apart, [terms, (R * all) / terms, blocks]), b.reshape(a, [terms, blocks, blocks]));
  const together = b.transpose(b.reshape(mixed, [terms, R, all / terms, blocks]), [1, 3, 0, 2]);
  const wide = b.reshape(b.matMul(b.reshape(together, [R * blocks, all]), c), [R, blocks * columns]);
  const [own = wide] = blocks * columns === m ? [wide] : b.split(wide, [m, blocks * columns - m], 1);
  return b.add(y, b.reshape(own, y.shape));
}

/** Rows with zeros after them. */
function filledUp(b: GraphBuilder, x: Value, width: number): Value {
  const [R = 0, n = 0] = x.shape;
  return n === width ? x : b.concat([x, b.expand(b.floats([0], [1, 1]), [R, width - n])], 1);
}

/** `W + s sum of A_k (x) (B_k C_k)`, or its transpose where the inputs lie along the second axis; summed up in float64. */
function withSum(
  w: Float32Array,
  dims: readonly number[],
  axis: number,
  [a, b, c]: readonly [Float32Array, Float32Array, Float32Array],
  s: number,
): Float32Array {
  const [n, m] = [sizeAt(dims, axis), sizeAt(dims, 1 - axis)];
  const [rows, columns] = [blockLength(n), blockLength(m)];
  const rank = b.length / rows / terms;
  const out = Float32Array.from(w);
  const product = new Float64Array(columns);
  for (let k = 0; k < terms; k++)
    for (let p = 0; p < rows; p++) {
      product.fill(0);
      for (let r = 0; r < rank; r++) {
        const left = s * (b[p * terms * rank + k * rank + r] as number);
        for (let q = 0; q < columns; q++) product[q] = (product[q] as number) + left * (c[(k * rank + r) * columns + q] as number);
      }
      for (let from = 0; from < blocks; from++)
        for (let to = 0; to < blocks; to++) {
          const factor = a[(k * blocks + from) * blocks + to] as number;
          const i = from * rows + p;
          for (let q = 0; q < columns && i < n && to * columns + q < m; q++) {
            const j = to * columns + q;
            const at = axis === 0 ? i * m + j : j * n + i;
            out[at] = (out[at] as number) + factor * (product[q] as number);
          }
        }
    }
  return out;
}
