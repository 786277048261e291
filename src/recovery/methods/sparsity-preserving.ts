import { sizeAt, type Tensor } from "../../onnx/ir.ts";
import { float32Tensor, floatsOf } from "../../onnx/tensors.ts";
import { normal } from "../normal.ts";
import { adaptedProducts } from "./adapted.ts";
import { inFloat32 } from "./as-inputs.ts";
import type { Prepared, Trained, TrainedMethod } from "./method.ts";
import { spliced } from "./splice.ts";

/** A weight W [n, m] that becomes `W * (1 + s E)`, where `E_ij = A_i,g(j) B_j` and g(j) is the group of output j. */
interface Scaling {
  readonly tensor: Tensor;
  /** The axis of the parameter along which its inputs lie. */
  readonly axis: number;
  /** [n, rank] */
  readonly a: Trained;
  /** [1, m] */
  readonly b: Trained;
}

/** Outputs in so many groups, as equal as can be. */
const groupOf = (output: number, outputs: number, groups: number): number => Math.floor((output * groups) / outputs);

/**
 * Sparsity-preserving scales (SPP, Lu et al. 2024, arXiv 2405.16057): each weight is multiplied with `1 + (alpha / rank) A_i,g B_j`, a number of its input and its group of
 * outputs times one of its output. Zeros stay zeros. A is drawn, B begins at 0.
 */
export const sparsityPreserving: TrainedMethod = {
  name: "SPARSITY_PRESERVING",
  description:
    "Factors of each weight, by its input and its output, multiplied into it at the end. Zeros stay zeros: for weights pruned one by one.",
  learningRate: 1e-2,
  prepare(subject): Prepared {
    const { rank, alpha } = subject.options;
    const s = alpha / rank;
    const scalings: Scaling[] = [];
    const stored = inFloat32(subject.forward);
    const forward = spliced(subject.forward, (b, instead) => {
      for (const { parameter, product } of adaptedProducts(subject)) {
        const tensor = subject.initializers.get(parameter) as Tensor;
        const [n, m] = [sizeAt(tensor.dims, product.axis), sizeAt(tensor.dims, 1 - product.axis)];
        const name = (part: string) => `spp/${scalings.length}/${part}`;
        const a: Trained = { name: name("a"), shape: [n, rank], initial: (random) => normal(random, n * rank, 1) };
        const bee: Trained = { name: name("b"), shape: [1, m], initial: () => new Float32Array(m) };
        const groups = b.constant(groupsOf(name("groups"), rank, m, s));
        const scales = b.matMul(b.input(a.name, "float32", a.shape), b.mul(groups, b.input(bee.name, "float32", bee.shape)));
        const factors = b.add(product.axis === 0 ? scales : b.transpose(scales), b.scalar(1));
        const from = stored(parameter);
        instead.set(from, b.mul(b.value(from), factors));
        scalings.push({ tensor, axis: product.axis, a, b: bee });
      }
    });
    return {
      forward,
      trained: scalings.flatMap(({ a, b }) => [a, b]),
      *merged(values) {
        for (const { tensor, axis, a, b } of scalings) {
          const [as, bs] = [values(a.name), values(b.name)];
          const columns = sizeAt(tensor.dims, 1);
          yield [
            tensor.name,
            floatsOf(tensor, subject.read(tensor)).map((w, at) => {
              const [first, second] = [Math.floor(at / columns), at % columns];
              const [i, j] = axis === 0 ? [first, second] : [second, first];
              return w * (1 + s * (as[i * rank + groupOf(j, bs.length, rank)] as number) * (bs[j] as number));
            }),
          ];
        }
      },
    };
  },
};

/** [groups, outputs]: a number where an output is of a group, else 0. */
function groupsOf(name: string, groups: number, outputs: number, value: number): Tensor {
  const values = new Float32Array(groups * outputs);
  for (let j = 0; j < outputs; j++) values[groupOf(j, outputs, groups) * outputs + j] = value;
  return float32Tensor(name, [groups, outputs], values);
}
