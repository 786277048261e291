import * as attr from "../../onnx/attributes.ts";
import type { GraphBuilder, Value } from "../../onnx/builder.ts";
import { sizeAt, sizeOf, type Tensor } from "../../onnx/ir.ts";
import { floatsOf } from "../../onnx/tensors.ts";
import { normal } from "../normal.ts";
import { adaptedProducts } from "./adapted.ts";
import type { Prepared, Trained, TrainedMethod } from "./method.ts";
import { spliced } from "./splice.ts";

/** A product `Y = X W` that is given a second, narrow one: `Y + s (X A) B`. */
interface Adapter {
  readonly parameter: Tensor;
  /** The axis of the parameter along which X lies. */
  readonly axis: number;
  readonly a: Trained;
  readonly b: Trained;
}

/**
 * Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): `W + (alpha / rank) A B` with A [n_in, rank] and B [rank, n_out]. A is drawn,
 * B begins at 0, so that training begins at the model as it is.
 */
export const lora: TrainedMethod = {
  name: "LORA",
  description: "Low-rank adapters beside the products of attentions and MLPs, added to the weights at the end. Little memory; the default.",
  learningRate: 2e-3,
  prepare(subject): Prepared {
    const { rank, alpha } = subject.options;
    const adapters: Adapter[] = [];
    const forward = spliced(subject.forward, (b, instead) => {
      for (const { parameter, product } of adaptedProducts(subject)) {
        const tensor = subject.initializers.get(parameter) as Tensor;
        const [y = ""] = product.node.outputs;
        const [nIn, nOut] = [sizeAt(tensor.dims, product.axis), sizeAt(tensor.dims, 1 - product.axis)];
        const name = (part: string) => `lora/${adapters.length}/${part}`;
        const a: Trained = { name: name("a"), shape: [nIn, rank], initial: (random) => normal(random, nIn * rank, 1 / Math.sqrt(nIn)) };
        const bee: Trained = { name: name("b"), shape: [rank, nOut], initial: () => new Float32Array(rank * nOut) };
        const scale = (alpha / rank) * attr.floatOf(product.node, "alpha", 1);
        const x = instead.get(product.input) ?? b.value(product.input);
        instead.set(
          y,
          added(b, instead.get(y) ?? b.value(y), x, b.input(a.name, "float32", a.shape), b.input(bee.name, "float32", bee.shape), scale),
        );
        adapters.push({ parameter: tensor, axis: product.axis, a, b: bee });
      }
    });
    return {
      forward,
      trained: adapters.flatMap(({ a, b }) => [a, b]),
      *merged(values) {
        for (const { parameter, axis, a, b } of adapters)
          yield [
            parameter.name,
            withProduct(floatsOf(parameter, subject.read(parameter)), parameter.dims, axis, values(a.name), values(b.name), alpha / rank),
          ];
      },
    };
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
