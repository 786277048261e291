import * as attr from "../../src/onnx/attributes.ts";
import type { GraphBuilder, Value } from "../../src/onnx/builder.ts";
import { dataTypes } from "../../src/onnx/ir.ts";
import type { Row } from "../support/finite-differences.ts";

const positive = [0.5, 2] as const;
const square = [[2, 3]] as const;
const unary = (opType: string) => (b: GraphBuilder, x: Value) => b.op(opType, [x], x.shape);
const bool = (b: GraphBuilder, values: readonly number[], dims: readonly number[]) =>
  b.cast(b.ints(values, dims), "bool", dataTypes.bool.onnx);
const slices = (starts: number[], ends: number[], axes: number[], steps: number[], shape: number[]) => (b: GraphBuilder, x: Value) =>
  b.op("Slice", [x, b.ints(starts), b.ints(ends), b.ints(axes), b.ints(steps)], shape);
const gemms = (transA: number, transB: number) => (b: GraphBuilder, p: Value, q: Value, c: Value) =>
  b.op("Gemm", [p, q, c], [3, 5], { transA: attr.int(transA), transB: attr.int(transB), alpha: attr.float(0.5), beta: attr.float(2) });

/** Every rule of the table has a row; a rule with several forms has one for each. */
export const rows: readonly Row[] = [
  { operator: "Add", form: "broadcast", shapes: [[2, 3, 4], [4]], make: (b, x, y) => b.add(x, y) },
  {
    operator: "Sub",
    form: "broadcast both ways",
    shapes: [
      [3, 1],
      [2, 1, 4],
    ],
    make: (b, x, y) => b.sub(x, y),
  },
  {
    operator: "Mul",
    form: "broadcast both ways",
    shapes: [
      [2, 1, 4],
      [3, 1],
    ],
    make: (b, x, y) => b.mul(x, y),
  },
  { operator: "Mul", form: "of a value with itself", shapes: square, make: (b, x) => b.mul(x, x) },
  {
    operator: "Div",
    form: "broadcast",
    shapes: [
      [2, 3, 4],
      [2, 3, 1],
    ],
    domain: positive,
    make: (b, x, y) => b.div(x, y),
  },
  { operator: "Sum", shapes: [[2, 3], [3], [2, 1]], make: (b, ...xs) => b.op("Sum", xs, [2, 3]) },
  { operator: "Mean", shapes: [[2, 3], [3], [2, 1]], make: (b, ...xs) => b.op("Mean", xs, [2, 3]) },
  { operator: "Max", shapes: [[2, 3], [3]], make: (b, ...xs) => b.op("Max", xs, [2, 3]) },
  { operator: "Min", shapes: [[2, 3], [2, 1], [3]], make: (b, ...xs) => b.op("Min", xs, [2, 3]) },
  { operator: "Pow", form: "square", shapes: square, make: (b, x) => b.pow(x, b.scalar(2)) },
  { operator: "Pow", form: "cube", shapes: square, make: (b, x) => b.pow(x, b.scalar(3)) },
  { operator: "Pow", form: "both", shapes: [[2, 3], [3]], domain: positive, make: (b, x, y) => b.pow(x, y) },
  { operator: "Neg", shapes: square, make: unary("Neg") },
  { operator: "Abs", shapes: square, make: unary("Abs") },
  { operator: "Sqrt", shapes: square, domain: positive, make: unary("Sqrt") },
  { operator: "Reciprocal", shapes: square, domain: positive, make: unary("Reciprocal") },
  { operator: "Exp", shapes: square, make: unary("Exp") },
  { operator: "Log", shapes: square, domain: positive, make: unary("Log") },
  { operator: "Sin", shapes: square, make: unary("Sin") },
  { operator: "Cos", shapes: square, make: unary("Cos") },
  { operator: "Tanh", shapes: square, make: unary("Tanh") },
  { operator: "Sigmoid", shapes: square, make: unary("Sigmoid") },
  { operator: "Erf", shapes: square, make: unary("Erf") },
  { operator: "Relu", shapes: square, make: unary("Relu") },
  { operator: "LeakyRelu", shapes: [[3, 4]], make: (b, x) => b.op("LeakyRelu", [x], x.shape, { alpha: attr.float(0.3) }) },
  { operator: "Elu", shapes: [[3, 4]], make: (b, x) => b.op("Elu", [x], x.shape, { alpha: attr.float(0.7) }) },
  { operator: "Softplus", shapes: square, make: unary("Softplus") },
  {
    operator: "HardSigmoid",
    shapes: [[3, 4]],
    domain: [-2, 2],
    make: (b, x) => b.op("HardSigmoid", [x], x.shape, { alpha: attr.float(0.3), beta: attr.float(0.4) }),
  },
  { operator: "Clip", shapes: [[3, 4]], make: (b, x) => b.op("Clip", [x, b.scalar(-0.5), b.scalar(0.5)], x.shape) },
  { operator: "Clip", form: "no lower bound", shapes: [[3, 4]], make: (b, x) => b.op("Clip", [x, null, b.scalar(0.5)], x.shape) },
  {
    operator: "Where",
    form: "broadcast",
    shapes: [[2, 3], [3]],
    make: (b, x, y) => b.where(bool(b, [1, 0, 0, 1, 1, 0], [2, 3]), x, y),
  },
  { operator: "Softmax", shapes: [[2, 3, 4]], make: (b, x) => b.softmax(x) },
  { operator: "Softmax", form: "inner axis", shapes: [[2, 3, 4]], make: (b, x) => b.softmax(x, 1) },
  { operator: "LogSoftmax", shapes: [[2, 3, 4]], make: (b, x) => b.logSoftmax(x) },

  {
    operator: "MatMul",
    form: "weight",
    shapes: [
      [2, 3, 4],
      [4, 3],
    ],
    make: (b, x, y) => b.matMul(x, y),
  },
  {
    operator: "MatMul",
    form: "batched",
    shapes: [
      [2, 2, 3, 4],
      [2, 2, 4, 3],
    ],
    make: (b, x, y) => b.matMul(x, y),
  },
  {
    operator: "MatMul",
    form: "broadcast batch",
    shapes: [
      [2, 1, 3, 4],
      [3, 4, 2],
    ],
    make: (b, x, y) => b.matMul(x, y),
  },
  { operator: "MatMul", form: "vector on the left", shapes: [[4], [2, 4, 3]], make: (b, x, y) => b.op("MatMul", [x, y], [2, 3]) },
  { operator: "MatMul", form: "vector on the right", shapes: [[2, 3, 4], [4]], make: (b, x, y) => b.op("MatMul", [x, y], [2, 3]) },
  { operator: "MatMul", form: "two vectors", shapes: [[4], [4]], make: (b, x, y) => b.op("MatMul", [x, y], []) },
  { operator: "Gemm", shapes: [[3, 4], [4, 5], [5]], make: gemms(0, 0) },
  {
    operator: "Gemm",
    form: "A transposed",
    shapes: [
      [4, 3],
      [4, 5],
      [3, 1],
    ],
    make: gemms(1, 0),
  },
  {
    operator: "Gemm",
    form: "B transposed",
    shapes: [
      [3, 4],
      [5, 4],
      [3, 5],
    ],
    make: gemms(0, 1),
  },
  { operator: "Gemm", form: "both transposed", shapes: [[4, 3], [5, 4], [1]], make: gemms(1, 1) },

  {
    operator: "Einsum",
    form: "a batched product, transposed",
    shapes: [
      [2, 3, 4],
      [2, 5, 4],
    ],
    make: (b, x, y) => b.op("Einsum", [x, y], [2, 5, 3], { equation: attr.string("bij, bkj -> bki") }),
  },

  { operator: "Identity", shapes: square, make: unary("Identity") },
  { operator: "Dropout", form: "at rest", shapes: square, make: unary("Dropout") },
  { operator: "Expand", shapes: [[2, 1, 3]], make: (b, x) => b.expand(x, [2, 2, 4, 3]) },
  {
    operator: "Cast",
    form: "there and back",
    shapes: square,
    make: (b, x) => b.cast(b.cast(x, "float64", dataTypes.float64.onnx), "float32", dataTypes.float32.onnx),
  },
  {
    operator: "CastLike",
    shapes: square,
    make: (b, x) => {
      const wide = b.cast(b.scalar(1), "float64", dataTypes.float64.onnx);
      return b.cast(b.op("CastLike", [x, wide], x.shape, {}, "float64"), "float32", dataTypes.float32.onnx);
    },
  },
  { operator: "Reshape", shapes: [[2, 6]], make: (b, x) => b.reshape(x, [3, 4]) },
  { operator: "Flatten", shapes: [[2, 3, 4]], make: (b, x) => b.op("Flatten", [x], [6, 4], { axis: attr.int(2) }) },
  { operator: "Squeeze", shapes: [[2, 1, 3]], make: (b, x) => b.op("Squeeze", [x, b.ints([1])], [2, 3]) },
  { operator: "Unsqueeze", shapes: square, make: (b, x) => b.op("Unsqueeze", [x, b.ints([0])], [1, 2, 3]) },
  { operator: "Transpose", shapes: [[2, 3, 4]], make: (b, x) => b.transpose(x, [2, 0, 1]) },
  { operator: "Transpose", form: "reversed by default", shapes: [[2, 3, 4]], make: (b, x) => b.op("Transpose", [x], [4, 3, 2]) },
  { operator: "Trilu", shapes: [[2, 3, 4]], make: unary("Trilu") },
  {
    operator: "Trilu",
    form: "lower, past the diagonal",
    shapes: [[3, 4]],
    make: (b, x) => b.op("Trilu", [x, b.ints([1], [])], x.shape, { upper: attr.int(0) }),
  },
  { operator: "Tile", shapes: [[2, 3]], make: (b, x) => b.op("Tile", [x, b.ints([3, 2])], [6, 6]) },
  { operator: "Slice", shapes: [[3, 6]], make: slices([2], [5], [1], [1], [3, 3]) },
  { operator: "Slice", form: "two axes from the end", shapes: [[3, 6]], make: slices([-2, -5], [3, 1000], [0, -1], [1, 1], [2, 5]) },
  { operator: "Slice", form: "every second", shapes: [[2, 6]], make: slices([1], [6], [1], [2], [2, 3]) },
  { operator: "Slice", form: "backwards", shapes: [[2, 6]], make: slices([1000], [-1000], [1], [-2], [2, 3]) },
  {
    operator: "Slice",
    form: "axes by default",
    shapes: [[4, 3]],
    make: (b, x) => b.op("Slice", [x, b.ints([1, 0]), b.ints([3, 2])], [2, 2]),
  },
  { operator: "Gather", form: "rows, some twice", shapes: [[4, 3]], make: (b, x) => b.gather(x, b.ints([2, 0, 2, -1], [2, 2])) },
  { operator: "Gather", form: "inner axis", shapes: [[2, 4, 3]], make: (b, x) => b.gather(x, b.ints([3, 1, 3]), 1) },
  { operator: "Gather", form: "one element", shapes: [[2, 4, 3]], make: (b, x) => b.gather(x, b.ints([1], []), -1) },
  { operator: "Gather", form: "axis unsaid", shapes: [[4, 3]], make: (b, x) => b.op("Gather", [x, b.ints([2, 0])], [2, 3]) },
  {
    operator: "GatherElements",
    form: "axis unsaid",
    shapes: [[4, 3]],
    make: (b, x) => b.op("GatherElements", [x, b.ints([3, 1, 2, 0], [2, 2])], [2, 2]),
  },
  {
    operator: "GatherElements",
    form: "inner axis, some twice",
    shapes: [[2, 3, 4]],
    make: (b, x) => b.op("GatherElements", [x, b.ints([0, 2, 2, -1, 1, 1, 0, 2], [2, 1, 4])], [2, 1, 4], { axis: attr.int(1) }),
  },
  {
    operator: "GatherElements",
    form: "fewer rows and columns than there are",
    shapes: [[4, 3]],
    make: (b, x) => b.op("GatherElements", [x, b.ints([3, 1, 1, 0, -2, 3], [3, 2])], [3, 2], { axis: attr.int(0) }),
  },
  {
    operator: "TopK",
    form: "the best two of each row",
    shapes: [[2, 4]],
    make: (b, x) => {
      const types = (["float32", "int64"] as const).map((dataType) => ({ dataType, shape: [2, 2] }));
      return b.node("TopK", [x, b.ints([2])], types)[0] as Value;
    },
  },
  {
    operator: "ScatterElements",
    form: "over what was there",
    shapes: [
      [2, 4],
      [2, 2],
    ],
    make: (b, x, y) => b.op("ScatterElements", [x, b.ints([3, 1, 0, 2], [2, 2]), y], [2, 4], { axis: attr.int(1) }),
  },
  {
    operator: "ScatterElements",
    form: "added, some twice",
    shapes: [
      [2, 4],
      [2, 2],
    ],
    make: (b, x, y) =>
      b.op("ScatterElements", [x, b.ints([3, 3, 0, 2], [2, 2]), y], [2, 4], { axis: attr.int(1), reduction: attr.string("add") }),
  },
  {
    operator: "GatherND",
    form: "rows, some twice",
    shapes: [[4, 3]],
    make: (b, x) => b.op("GatherND", [x, b.ints([2, 0, 2, -1], [4, 1])], [4, 3]),
  },
  {
    operator: "GatherND",
    form: "places on two axes",
    shapes: [[2, 3, 2]],
    make: (b, x) => b.op("GatherND", [x, b.ints([0, 1, 1, -1, 0, 1, -1, 0, 1, 1, 1, 2], [3, 2, 2])], [3, 2, 2]),
  },
  {
    operator: "GatherND",
    form: "places laid out on two axes",
    shapes: [[2, 3, 2]],
    make: (b, x) => b.op("GatherND", [x, b.ints([0, 1, 1, -1, 0, 1], [3, 1, 2])], [3, 1, 2]),
  },
  {
    operator: "Split",
    form: "axis unsaid",
    shapes: [[3, 2]],
    make: (b, x) => {
      const parts = [1, 2].map((n) => ({ dataType: "float32" as const, shape: [n, 2] }));
      return b.mul(...(b.node("Split", [x, b.ints([1, 2])], parts) as [Value, Value]));
    },
  },
  {
    operator: "Split",
    shapes: [[2, 6]],
    make: (b, x) =>
      b
        .split(x, [1, 3, 2], 1)
        .map((part, i) => b.mul(b.reduceSum(part, [1]), b.scalar(i + 1)))
        .reduce(b.add),
  },
  { operator: "Split", form: "one part unread", shapes: [[2, 6]], make: (b, x) => b.split(x, [1, 3, 2], -1)[1] as Value },
  {
    operator: "Concat",
    shapes: [
      [2, 1],
      [2, 3],
      [2, 2],
    ],
    make: (b, ...xs) => b.concat(xs, -1),
  },
  { operator: "Concat", form: "with an empty part", shapes: [[2, 3]], make: (b, x) => b.concat([b.floats([], [2, 0]), x], 1) },
  { operator: "ReduceSum", shapes: [[2, 3, 4]], make: (b, x) => b.reduceSum(x, [0, -1]) },
  { operator: "ReduceSum", form: "axes dropped", shapes: [[2, 3, 4]], make: (b, x) => b.reduceSum(x, [1], false) },
  { operator: "ReduceSum", form: "all axes", shapes: [[2, 3]], make: (b, x) => b.op("ReduceSum", [x], [], { keepdims: attr.int(0) }) },
  {
    operator: "ReduceSum",
    form: "no axes",
    shapes: [[2, 3]],
    make: (b, x) => b.op("ReduceSum", [x], [2, 3], { noop_with_empty_axes: attr.int(1) }),
  },
  {
    operator: "ReduceMean",
    form: "axes as attribute",
    shapes: [[2, 3, 4]],
    make: (b, x) => b.op("ReduceMean", [x], [2, 3, 1], { axes: attr.ints([-1]) }),
  },
  {
    operator: "ReduceMean",
    form: "axes as input",
    opset: 18,
    shapes: [[2, 3, 4]],
    make: (b, x) => b.op("ReduceMean", [x, b.ints([0, 2])], [1, 3, 1]),
  },
  { operator: "ReduceSumSquare", shapes: [[2, 3, 4]], make: (b, x) => b.op("ReduceSumSquare", [x], [2, 1, 4], { axes: attr.ints([1]) }) },
  ...[0, 1].flatMap((exclusive) =>
    [0, 1].map(
      (reverse): Row => ({
        operator: "CumSum",
        form: `exclusive ${exclusive}, reverse ${reverse}`,
        shapes: [[2, 3, 4]],
        make: (b, x) => b.op("CumSum", [x, b.ints([1], [])], x.shape, { exclusive: attr.int(exclusive), reverse: attr.int(reverse) }),
      }),
    ),
  ),
  { operator: "ReduceL2", shapes: [[2, 3, 4]], make: (b, x) => b.op("ReduceL2", [x], [2, 3, 1], { axes: attr.ints([-1]) }) },
  { operator: "ReduceMax", shapes: [[2, 3, 4]], make: (b, x) => b.op("ReduceMax", [x], [2, 3, 1], { axes: attr.ints([-1]) }) },
  {
    operator: "ReduceMin",
    form: "axes dropped",
    shapes: [[2, 3, 4]],
    make: (b, x) => b.op("ReduceMin", [x], [2, 4], { axes: attr.ints([1]), keepdims: attr.int(0) }),
  },
];
