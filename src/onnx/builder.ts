import { EspalierError } from "../errors.ts";
import * as attr from "./attributes.ts";
import { removeDead, sortFromOutputs } from "./edit.ts";
import {
  type Attribute,
  type DataType,
  type Node,
  type StaticType,
  sizeAt,
  sizeOf,
  type Tensor,
  type TypedGraph,
  type ValueInfo,
} from "./ir.ts";
import { float32Tensor, int64Tensor } from "./tensors.ts";

/** A value in a graph under construction: its name, element type and static shape. */
export interface Value extends StaticType {
  readonly name: string;
}

/** What is built on a graph as it was registered may meet shapes that no rule was made for. */
const unsound = (what: string): EspalierError => new EspalierError("UNSUPPORTED_LAYOUT", what);

const broadcast = (a: readonly number[], b: readonly number[]): number[] => {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) throw unsound(`shapes [${a}] and [${b}] do not broadcast`);
    return x === 1 ? y : x;
  });
};

/** Axes counted from the front. */
export const normalizeAxis = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/**
 * Extends a typed graph with operators whose result shapes it works out itself.
 *
 * Names are `prefix/Op_k` with k counting up, so the same calls give the same graph. Constants are shared by content.
 * Operators are of opset 13 or later (axes of reductions and squeezes as inputs).
 */
export class GraphBuilder {
  readonly #nodes: Node[];
  readonly #initializers: Map<string, Tensor>;
  readonly #inputs: ValueInfo[];
  readonly #types: Map<string, StaticType>;
  readonly #constants = new Map<string, Value>();
  #count = 0;

  constructor(
    private readonly base: TypedGraph,
    private readonly prefix: string,
  ) {
    this.#nodes = [...base.graph.nodes];
    this.#initializers = new Map(base.graph.initializers);
    this.#inputs = [...base.graph.inputs];
    this.#types = new Map(base.types);
  }

  static empty(opsets: Readonly<Record<string, number>> = { "": 17 }, prefix = "v"): GraphBuilder {
    return new GraphBuilder(
      { graph: { name: "graph", inputs: [], outputs: [], initializers: new Map(), nodes: [], valueInfo: [] }, opsets, types: new Map() },
      prefix,
    );
  }

  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  /** The version of the standard operator set, for rules whose operators changed their form. */
  get opset(): number {
    return this.base.opsets[""] ?? 1;
  }

  /** The value of that name; it must exist. */
  value(name: string): Value {
    const type = this.#types.get(name);
    if (!type) throw new Error(`no value "${name}" in the graph`);
    return { name, ...type };
  }

  initializer(name: string): Tensor | undefined {
    return this.#initializers.get(name);
  }

  input(name: string, dataType: DataType, shape: readonly number[]): Value {
    this.#inputs.push({ name, dataType, shape });
    return this.#define(name, dataType, shape);
  }

  /** Adds a tensor under its own name. */
  constant(tensor: Tensor): Value {
    this.#initializers.set(tensor.name, tensor);
    return this.#define(tensor.name, tensor.dataType, tensor.dims);
  }

  ints(values: readonly number[], dims: readonly number[] = [values.length]): Value {
    return this.#shared(`int64[${dims}]:${values}`, (name) => int64Tensor(name, dims, values));
  }

  scalar(value: number): Value {
    return this.#shared(`float32[]:${value}`, (name) => float32Tensor(name, [], [value]));
  }

  floats(values: readonly number[], dims: readonly number[] = [values.length]): Value {
    return this.#shared(`float32[${dims}]:${values}`, (name) => float32Tensor(name, dims, values));
  }

  /** Adds a node of any operator. `outputs` are the types of its results; returns them as values. */
  node(
    opType: string,
    inputs: readonly (Value | null)[],
    outputs: readonly StaticType[],
    attributes: Record<string, Attribute> = {},
    domain = "",
  ): Value[] {
    const name = `${this.prefix}/${opType}_${this.#count++}`;
    const results = outputs.map((type, i) => this.#define(i === 0 ? name : `${name}:${i}`, type.dataType, type.shape));
    this.#nodes.push({ name, opType, domain, inputs: inputs.map((v) => v?.name ?? ""), outputs: results.map((v) => v.name), attributes });
    return results;
  }

  /** Adds a node with one result of the given shape, of the first input's element type unless told otherwise. */
  op(
    opType: string,
    inputs: readonly (Value | null)[],
    shape: readonly number[],
    attributes: Record<string, Attribute> = {},
    dataType: DataType = inputs[0]?.dataType ?? "float32",
  ): Value {
    return this.node(opType, inputs, [{ dataType, shape }], attributes)[0] as Value;
  }

  add = (a: Value, b: Value): Value => this.op("Add", [a, b], broadcast(a.shape, b.shape));
  sub = (a: Value, b: Value): Value => this.op("Sub", [a, b], broadcast(a.shape, b.shape));
  mul = (a: Value, b: Value): Value => this.op("Mul", [a, b], broadcast(a.shape, b.shape));
  div = (a: Value, b: Value): Value => this.op("Div", [a, b], broadcast(a.shape, b.shape));
  pow = (a: Value, b: Value): Value => this.op("Pow", [a, b], broadcast(a.shape, b.shape));
  where = (condition: Value, a: Value, b: Value): Value =>
    this.op("Where", [condition, a, b], broadcast(condition.shape, broadcast(a.shape, b.shape)), {}, a.dataType);
  neg = (a: Value): Value => this.op("Neg", [a], a.shape);
  exp = (a: Value): Value => this.op("Exp", [a], a.shape);
  log = (a: Value): Value => this.op("Log", [a], a.shape);
  sqrt = (a: Value): Value => this.op("Sqrt", [a], a.shape);
  tanh = (a: Value): Value => this.op("Tanh", [a], a.shape);
  sigmoid = (a: Value): Value => this.op("Sigmoid", [a], a.shape);
  abs = (a: Value): Value => this.op("Abs", [a], a.shape);
  sin = (a: Value): Value => this.op("Sin", [a], a.shape);
  cos = (a: Value): Value => this.op("Cos", [a], a.shape);
  softmax = (a: Value, axis = -1): Value => this.op("Softmax", [a], a.shape, { axis: attr.int(axis) });
  logSoftmax = (a: Value, axis = -1): Value => this.op("LogSoftmax", [a], a.shape, { axis: attr.int(axis) });

  cast(a: Value, to: DataType, onnx: number): Value {
    return a.dataType === to ? a : this.op("Cast", [a], a.shape, { to: attr.int(onnx) }, to);
  }

  /** Matrix product over the last two axes, broadcasting the others. */
  matMul(a: Value, b: Value): Value {
    return this.op("MatMul", [a, b], [...broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2)), sizeAt(a.shape, -2), sizeAt(b.shape, -1)]);
  }

  /** Permutes axes; by default swaps the last two. */
  transpose(
    a: Value,
    perm: readonly number[] = [...a.shape.keys()].map((i, _, all) => (i < all.length - 2 ? i : all.length * 2 - 3 - i)),
  ): Value {
    return this.op(
      "Transpose",
      [a],
      perm.map((p) => sizeAt(a.shape, p)),
      { perm: attr.ints(perm) },
    );
  }

  reshape(a: Value, shape: readonly number[]): Value {
    if (sizeOf(shape) !== sizeOf(a.shape)) throw unsound(`[${a.shape}] cannot be reshaped to [${shape}]`);
    if (shape.length === a.shape.length && shape.every((d, i) => d === a.shape[i])) return a;
    return this.op("Reshape", [a, this.ints(shape)], shape);
  }

  reduceSum(a: Value, axes: readonly number[], keepdims = true): Value {
    const at = axes.map((x) => normalizeAxis(x, a.shape.length));
    const shape = keepdims ? a.shape.map((d, i) => (at.includes(i) ? 1 : d)) : a.shape.filter((_, i) => !at.includes(i));
    return this.op("ReduceSum", [a, this.ints(at)], shape, { keepdims: attr.int(keepdims ? 1 : 0) });
  }

  gather(data: Value, indices: Value, axis = 0): Value {
    const at = normalizeAxis(axis, data.shape.length);
    return this.op("Gather", [data, indices], [...data.shape.slice(0, at), ...indices.shape, ...data.shape.slice(at + 1)], {
      axis: attr.int(axis),
    });
  }

  gatherElements(data: Value, indices: Value, axis: number): Value {
    return this.op("GatherElements", [data, indices], indices.shape, { axis: attr.int(axis) });
  }

  concat(values: readonly Value[], axis: number): Value {
    const first = values[0] as Value;
    const at = normalizeAxis(axis, first.shape.length);
    if (values.length === 1) return first;
    const total = values.reduce((n, v) => n + sizeAt(v.shape, at), 0);
    return this.op(
      "Concat",
      values,
      first.shape.map((d, i) => (i === at ? total : d)),
      { axis: attr.int(at) },
    );
  }

  split(a: Value, sizes: readonly number[], axis: number): Value[] {
    const at = normalizeAxis(axis, a.shape.length);
    return this.node(
      "Split",
      [a, this.ints(sizes)],
      sizes.map((n) => ({ dataType: a.dataType, shape: a.shape.map((d, i) => (i === at ? n : d)) })),
      { axis: attr.int(at) },
    );
  }

  expand(a: Value, shape: readonly number[]): Value {
    return this.op("Expand", [a, this.ints(shape)], broadcast(a.shape, shape));
  }

  /** Sums `a` down to `shape`: the adjoint of multidirectional broadcasting. */
  sumTo(a: Value, shape: readonly number[]): Value {
    const extra = a.shape.length - shape.length;
    const axes = a.shape.flatMap((d, i) => (i < extra || (shape[i - extra] === 1 && d !== 1) ? [i] : []));
    return this.reshape(axes.length > 0 ? this.reduceSum(a, axes) : a, shape);
  }

  /**
   * The graph behind `outputs`, as it is now: without dead nodes and initializers, nodes ordered depth-first from the first
   * output on. Inputs stay as they were declared, for they are the graph's signature.
   */
  build(outputs: readonly Value[], name = "graph"): TypedGraph {
    const graph = removeDead({
      name,
      inputs: [...this.#inputs],
      outputs: outputs.map(({ name: n, dataType, shape }) => ({ name: n, dataType, shape })),
      initializers: this.#initializers,
      nodes: this.#nodes,
      valueInfo: [],
    });
    return { graph: sortFromOutputs(graph), opsets: this.base.opsets, types: new Map(this.#types) };
  }

  #define(name: string, dataType: DataType, shape: readonly number[]): Value {
    if (this.#types.has(name)) throw new Error(`value "${name}" is defined twice`);
    this.#types.set(name, { dataType, shape });
    return { name, dataType, shape };
  }

  #shared(key: string, make: (name: string) => Tensor): Value {
    const known = this.#constants.get(key);
    if (known) return known;
    const value = this.constant(make(`${this.prefix}/constant_${this.#constants.size}`));
    this.#constants.set(key, value);
    return value;
  }
}
