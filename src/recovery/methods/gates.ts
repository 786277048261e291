import { productsOf } from "../../autodiff/products.ts";
import { EspalierError } from "../../errors.ts";
import { consumers } from "../../onnx/edit.ts";
import { sizeAt, type Tensor } from "../../onnx/ir.ts";
import { floatsOf } from "../../onnx/tensors.ts";
import type { Prepared, Trained, TrainedMethod } from "./method.ts";
import { spliced } from "./splice.ts";

/** A number for each input of a product that sums over heads or channels, which it is multiplied with. */
interface Gate {
  readonly tensor: Tensor;
  readonly axis: number;
  readonly trained: Trained;
}

/**
 * One factor for each channel, and each column of a head, where the last product of its branch reads it. At the end the rows of that product
 * are multiplied with them, so that the graph stays as it is.
 */
export const gates: TrainedMethod = {
  name: "GATES",
  description: "A factor for each channel, and each column of a head, multiplied into the last product of its branch at the end.",
  learningRate: 2e-2,
  divides: true,
  prepare(subject): Prepared {
    const { whole, forward: typed, initializers, read } = subject;
    const slices = (whole.divided?.groups ?? []).flatMap((g) => g.slices);
    const products = productsOf(typed, [...new Set(slices.map((s) => s.parameter))]);
    const readers = consumers(typed.graph);
    const made: Gate[] = [];
    const gated = new Set<string>();
    const forward = spliced(typed, (b, instead) => {
      for (const { parameter, axis } of slices) {
        const product = products.get(parameter);
        // What others read too is not the branch's own.
        if (product?.axis !== axis || gated.has(parameter) || readers.get(product.input)?.length !== 1) continue;
        const tensor = initializers.get(parameter) as Tensor;
        const size = sizeAt(tensor.dims, axis);
        const trained: Trained = { name: `gates/${made.length}`, shape: [size], initial: () => new Float32Array(size).fill(1) };
        const x = instead.get(product.input) ?? b.value(product.input);
        instead.set(product.input, b.mul(x, b.input(trained.name, "float32", [size])));
        gated.add(parameter);
        made.push({ tensor, axis, trained });
      }
    });
    if (made.length === 0) throw new EspalierError("NOTHING_TO_TRAIN", "the model has no heads or channels that a plain product sums over");
    return {
      forward,
      trained: made.map((g) => g.trained),
      *merged(values) {
        for (const { tensor, axis, trained } of made) {
          const factors = values(trained.name);
          const columns = sizeAt(tensor.dims, 1);
          const place = (i: number) => (axis === 0 ? Math.floor(i / columns) : i % columns);
          yield [tensor.name, floatsOf(tensor, read(tensor)).map((w, i) => w * (factors[place(i)] as number))];
        }
      },
    };
  },
};
