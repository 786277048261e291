import * as attr from "../onnx/attributes.ts";
import type { Node, Tensor } from "../onnx/ir.ts";
import { int64Tensor } from "../onnx/tensors.ts";
import { ports } from "./ports.ts";
import { type Size, type TwoViews, unfit } from "./two-views.ts";

/** A serving graph being written, node by node. Its own nodes and constants have names that begin with `serving/`. */
export class Writer {
  readonly nodes: Node[] = [];
  readonly initializers: Map<string, Tensor>;
  readonly #names = new Map<string, string>();
  readonly #made = new Map<string, string>();
  #count = 0;

  constructor({ graph }: TwoViews) {
    this.initializers = new Map(graph.graph.initializers);
    this.rename(graph.graph.inputs[0]?.name ?? "", ports.tokens);
  }

  /** Has a value of the model read under another name. */
  rename(name: string, now: string): void {
    this.#names.set(name, now);
  }

  now = (name: string): string => this.#names.get(name) ?? name;

  /** The value of the model that is read under that name. */
  before = (now: string): string => [...this.#names].find(([, n]) => n === now)?.[0] ?? now;

  add(node: Node): void {
    this.nodes.push(node);
  }

  op(opType: string, inputs: readonly string[], attributes: Node["attributes"] = {}, domain = ""): string {
    const name = `serving/${opType}_${this.#count++}`;
    this.nodes.push({ name, opType, domain, inputs, outputs: [name], attributes });
    return name;
  }

  /** What the key names, made once. */
  once(key: string, make: () => string): string {
    const known = this.#made.get(key) ?? make();
    this.#made.set(key, known);
    return known;
  }

  ints(values: readonly number[]): string {
    return this.once(`ints ${values}`, () => {
      const name = `serving/ints_${values.join("_")}`;
      this.initializers.set(name, int64Tensor(name, [values.length], values));
      return name;
    });
  }

  /** A value in another shape, by numbers that do not depend on the input's shape. */
  shaped(x: string, from: readonly Size[], to: readonly Size[]): string {
    if (from.length === to.length && from.every((s, i) => s === to[i])) return x;
    const target = to.map((size, i) => (typeof size === "number" ? size : size === from[i] ? 0 : -1));
    if (target.filter((d) => d === -1).length < 2)
      return this.once(`reshape ${x} ${target}`, () => this.op("Reshape", [x, this.ints(target)]));
    if (to[0] !== "B" || to[1] !== "T" || to.slice(2).some((s) => typeof s !== "number")) unfit("a shape is not understood");
    const shape = this.once(`shape ${to}`, () => {
      const own = this.once("shape of tokens", () => this.op("Shape", [ports.tokens]));
      return to.length === 2 ? own : this.op("Concat", [own, this.ints(to.slice(2) as number[])], { axis: attr.int(0) });
    });
    return this.once(`reshape ${x} ${to}`, () => this.op("Reshape", [x, shape]));
  }
}
