import * as attr from "../../onnx/attributes.ts";
import { type Attribute, type DataType, dataTypes, type Graph, type Node, type Tensor, type ValueInfo } from "../../onnx/ir.ts";
import { float32Tensor, int64Tensor } from "../../onnx/tensors.ts";

/** A value in a graph under construction. Shapes are ONNX Runtime's to work out, but for those that are stated. */
export interface Value {
  readonly name: string;
  readonly type: DataType;
}

/** Writes a graph of dynamic shapes, of operator set 18. The same calls give the same graph. */
export class GraphWriter {
  static readonly opset = 18;
  readonly #nodes: Node[] = [];
  readonly #inputs: ValueInfo[] = [];
  readonly #outputs: ValueInfo[] = [];
  readonly #stated: ValueInfo[] = [];
  readonly #initializers = new Map<string, Tensor>();
  /** What is made once, by what it is made of. */
  readonly #made = new Map<string, Value>();
  readonly #names = new Map<string, number>();
  #place = "";

  /** @param place what the names of the nodes that `work` adds begin with */
  within<T>(place: string, work: () => T): T {
    const outer = this.#place;
    this.#place = `${outer}${place}/`;
    try {
      return work();
    } finally {
      this.#place = outer;
    }
  }

  /** Whatever was asked for under a key before, or what is made of it now. */
  once(key: string, make: () => Value): Value {
    const known = this.#made.get(key);
    if (known) return known;
    const value = make();
    this.#made.set(key, value);
    return value;
  }

  input(name: string, type: DataType, shape: ValueInfo["shape"]): Value {
    this.#inputs.push({ name, dataType: type, shape });
    return { name, type };
  }

  output(name: string, value: Value, shape: ValueInfo["shape"]): void {
    this.#nodes.push({ name, opType: "Identity", domain: "", inputs: [value.name], outputs: [name], attributes: {} });
    this.#outputs.push({ name, dataType: value.type, shape });
  }

  /**
   * States a shape that ONNX Runtime does not find. (Without it, 1.30 opens a graph in time that grows with the square of its layers:
   * 4,000 nodes in 3 s instead of 0.3.)
   */
  stated(value: Value, shape: ValueInfo["shape"]): Value {
    this.#stated.push({ name: value.name, dataType: value.type, shape });
    return value;
  }

  constant(tensor: Tensor): Value {
    this.#initializers.set(tensor.name, tensor);
    return { name: tensor.name, type: tensor.dataType };
  }

  ints(values: readonly number[]): Value {
    return this.once(`ints ${values}`, () =>
      this.constant(int64Tensor(this.#unique(`/ints/${values.join("_")}`), [values.length], values)),
    );
  }

  int(value: number): Value {
    return this.once(`int ${value}`, () => this.constant(int64Tensor(this.#unique(`/int/${value}`), [], [value])));
  }

  /** In the type of the values that it meets. */
  float(value: number, type: DataType = "float32"): Value {
    return this.cast(
      this.once(`float ${value}`, () => this.constant(float32Tensor(this.#unique(`/float/${value}`), [], [value]))),
      type,
    );
  }

  floats(name: string, dims: readonly number[], values: readonly number[]): Value {
    return this.once(`floats ${dims} ${values}`, () => this.constant(float32Tensor(this.#unique(name), dims, values)));
  }

  node(opType: string, inputs: readonly (Value | null)[], types: readonly DataType[], attributes: Record<string, Attribute> = {}): Value[] {
    const name = this.#unique(`${this.#place}${opType}`);
    const outputs = types.map((type, i) => ({ name: i === 0 ? name : `${name}/${i}`, type }));
    this.#nodes.push({
      name,
      opType,
      domain: "",
      inputs: inputs.map((v) => v?.name ?? ""),
      outputs: outputs.map((o) => o.name),
      attributes,
    });
    return outputs;
  }

  /** A node with one result, of the first input's type unless told otherwise. */
  op(opType: string, inputs: readonly (Value | null)[], attributes: Record<string, Attribute> = {}, type?: DataType): Value {
    return this.node(opType, inputs, [type ?? inputs[0]?.type ?? "float32"], attributes)[0] as Value;
  }

  add = (a: Value, b: Value): Value => this.op("Add", [a, b]);
  sub = (a: Value, b: Value): Value => this.op("Sub", [a, b]);
  mul = (a: Value, b: Value): Value => this.op("Mul", [a, b]);
  div = (a: Value, b: Value): Value => this.op("Div", [a, b]);
  matMul = (a: Value, b: Value): Value => this.op("MatMul", [a, b]);

  /** Times a number; as it is for 1. */
  scaled(a: Value, by: number): Value {
    return by === 1 ? a : this.mul(a, this.float(by, a.type));
  }

  /** `c tanh(a / c)`. */
  capped(a: Value, cap: number | undefined): Value {
    return cap === undefined ? a : this.mul(this.op("Tanh", [this.div(a, this.float(cap, a.type))]), this.float(cap, a.type));
  }

  cast(a: Value, type: DataType): Value {
    if (a.type === type) return a;
    const make = () => this.op("Cast", [a], { to: attr.int(dataTypes[type].onnx) }, type);
    return this.#initializers.has(a.name) ? this.once(`cast ${a.name} ${type}`, make) : make();
  }

  reshape = (a: Value, shape: readonly number[]): Value => this.op("Reshape", [a, this.ints(shape)]);
  transpose = (a: Value, perm: readonly number[]): Value => this.op("Transpose", [a], { perm: attr.ints(perm) });
  unsqueeze = (a: Value, axes: readonly number[]): Value => this.op("Unsqueeze", [a, this.ints(axes)]);
  concat = (values: readonly Value[], axis: number): Value => this.op("Concat", values, { axis: attr.int(axis) });

  split(a: Value, sizes: readonly number[], axis: number): Value[] {
    const types = sizes.map(() => a.type);
    return this.node("Split", [a, this.ints(sizes)], types, { axis: attr.int(axis) });
  }

  slice = (a: Value, from: number, to: number, axis: number): Value =>
    this.op("Slice", [a, this.ints([from]), this.ints([to]), this.ints([axis]), this.ints([1])]);

  /** The size of an axis, as a number. */
  sizeOf = (a: Value, axis: number): Value => {
    const shape = this.once(`shape ${a.name}`, () => this.op("Shape", [a], {}, "int64"));
    return this.once(`size ${a.name} ${axis}`, () => this.op("Gather", [shape, this.int(axis)], { axis: attr.int(0) }));
  };

  finish(name: string): Graph {
    return {
      name,
      inputs: this.#inputs,
      outputs: this.#outputs,
      initializers: this.#initializers,
      nodes: this.#nodes,
      valueInfo: this.#stated,
    };
  }

  #unique(name: string): string {
    const count = this.#names.get(name) ?? 0;
    this.#names.set(name, count + 1);
    return count === 0 ? name : `${name}_${count}`;
  }
}
