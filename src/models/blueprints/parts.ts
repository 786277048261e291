import * as attr from "../../onnx/attributes.ts";
import type { DataType } from "../../onnx/ir.ts";
import { float32Tensor } from "../../onnx/tensors.ts";
import type { Activation, Linear, Norm } from "./blueprint.ts";
import type { GraphWriter, Value } from "./graph-writer.ts";
import type { Weights } from "./weights.ts";

/** What parts of a model are built with. */
export interface Building {
  readonly g: GraphWriter;
  readonly weights: Weights;
  /** In which the stream is: that of the embedding. Norms, angles and softmax are in float32 whatever it is. */
  readonly type: DataType;
}

/** A weight, in the type of the stream. */
export const weightOf = ({ g, weights, type }: Building, name: string, dims: readonly number[]): Value =>
  g.cast(
    g.once(`weight ${name}`, () => g.constant(weights.take(name, dims))),
    type,
  );

/** A matrix that is stored [out, in], turned: as what a product multiplies by. */
const turned = (building: Building, name: string, out: number, width: number): Value =>
  building.g.once(`turned ${name}`, () => building.g.transpose(weightOf(building, name, [out, width]), [1, 0]));

export function linear(building: Building, x: Value, { weight, bias, stored }: Linear, width: number, out: number): Value {
  const { g } = building;
  const matrix = stored === "IN_OUT" ? weightOf(building, weight, [width, out]) : turned(building, weight, out, width);
  const product = g.matMul(x, matrix);
  return bias === undefined ? product : g.add(product, weightOf(building, bias, [out]));
}

/** Of the last axis, which is `width` wide. Once for each value: parallel branches may read the same. */
export const norm = (building: Building, x: Value, which: Norm | null, width: number): Value =>
  which === null ? x : building.g.once(`norm ${x.name} ${which.weight}`, () => normOf(building, x, which, width));

function normOf(building: Building, x: Value, { kind, weight, bias, epsilon, aroundOne, heads }: Norm, width: number): Value {
  const { g, type } = building;
  const dims = heads === undefined ? [width] : [heads, width];
  const scale = weight === null ? null : aroundOne ? oneMore(building, weight, dims) : scaleOf(building, weight, dims);
  const shift = bias === undefined ? null : weightOf(building, bias, [width]);
  if (kind === "LAYER") {
    // The operator's own scale is of one axis.
    const inside =
      heads === undefined && scale ? g.cast(scale, type) : g.cast(g.floats(`/ones/${width}`, [width], new Array(width).fill(1)), type);
    const even = g.op("LayerNormalization", [x, inside, ...(shift ? [shift] : [])], { axis: attr.int(-1), epsilon: attr.float(epsilon) });
    return heads !== undefined && scale ? g.mul(even, scale) : even;
  }
  const wide = g.cast(x, "float32");
  const mean = g.op("ReduceMean", [g.op("Pow", [wide, g.float(2)]), g.ints([-1])], { keepdims: attr.int(1) });
  const even = g.mul(wide, g.div(g.float(1), g.op("Sqrt", [g.add(mean, g.float(epsilon))])));
  const scaled = scale ? g.cast(g.mul(scale, g.cast(even, scale.type)), type) : g.cast(even, type);
  return shift ? g.add(scaled, shift) : scaled;
}

/** A scale that is kept as its difference from 1, in float32: a sum in the graph would be of weights alone, which no gradient is of. */
function oneMore({ g, weights }: Building, weight: string | readonly string[], dims: readonly number[]): Value {
  const name = String(weight);
  return g.once(`one more ${name}`, () =>
    g.constant(
      float32Tensor(
        name,
        dims,
        weights.read(name, dims).map((w) => 1 + w),
      ),
    ),
  );
}

/** A scale; of one for each head, which files may keep in as many tensors, all of them in one: a sum of gradients is by one weight. */
function scaleOf(building: Building, weight: string | readonly string[], dims: readonly number[]): Value {
  if (typeof weight === "string") return weightOf(building, weight, dims);
  const { g, weights, type } = building;
  const all = g.once(`all of ${weight}`, () => {
    const values = weight.flatMap((name) => [...weights.read(name, dims.slice(1))]);
    return g.constant(float32Tensor(`${weight[0]}/all`, dims, values));
  });
  return g.cast(all, type);
}

/** What each activation is made of. GELU by the error function, or by tanh: Hendrycks and Gimpel, arXiv 1606.08415. */
const activations: Readonly<Record<Activation, (g: GraphWriter, x: Value) => Value>> = {
  SILU: (g, x) => g.mul(x, g.op("Sigmoid", [x])),
  QUICK_GELU: (g, x) => g.mul(x, g.op("Sigmoid", [g.scaled(x, 1.702)])),
  RELU: (g, x) => g.op("Relu", [x]),
  RELU_SQUARED: (g, x) => {
    const positive = g.op("Relu", [x]);
    return g.mul(positive, positive);
  },
  GELU: (g, x) => {
    const error = g.op("Erf", [g.div(x, g.float(Math.SQRT2, x.type))]);
    return g.scaled(g.mul(x, g.add(error, g.float(1, x.type))), 0.5);
  },
  GELU_TANH: (g, x) => {
    const cube = g.op("Pow", [x, g.float(3, x.type)]);
    const inner = g.scaled(g.add(x, g.scaled(cube, 0.044715)), Math.sqrt(2 / Math.PI));
    return g.mul(g.scaled(x, 0.5), g.add(g.op("Tanh", [inner]), g.float(1, x.type)));
  },
};

export const activate = ({ g }: Building, x: Value, by: Activation): Value => activations[by](g, x);
