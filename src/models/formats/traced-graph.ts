import { append } from "../../large-lists.ts";
import { numberAt } from "../../number-at.ts";
import * as attr from "../../onnx/attributes.ts";
import { consumers, producers } from "../../onnx/edit.ts";
import { type Graph, isFloat, type Node, operatorKey, sizeOf, type Tensor } from "../../onnx/ir.ts";
import { isProduct, operatorOf } from "../../operators/operators.ts";
import type { Flow } from "../../structures/flow.ts";

/** A weight as a graph reads it. */
export interface Read {
  readonly tensor: Tensor;
  /** Whether the rows it is read by are the columns it is stored by. */
  readonly turned: boolean;
  /** Whether 1 is added to it on the way. */
  readonly plusOne: boolean;
}

/** A product of the text with a matrix. */
export interface Product {
  readonly node: Node;
  /** What of the text goes in. */
  readonly input: string;
  /** Read as [in, out]. */
  readonly weight: Read;
  /** What comes out, its bias added. */
  readonly output: string;
  readonly bias: Read | null;
}

/** A vector, or one for each head, that scales the text or is added to it: of a norm. */
export interface VectorUse {
  readonly node: Node;
  readonly weight: Read | null;
  readonly bias: Read | null;
}

/** Operators whose second input is a bias of what goes in. */
const biased: Readonly<Record<string, number>> = { "com.microsoft::BiasGelu": 1, "com.microsoft::FastGelu": 1 };

/** Operators that pass elements on as they are, as far as weights are concerned: in another layout or type. */
const passes = (node: Node): boolean => node.opType === "Identity" || node.opType === "Cast" || operatorOf(node)?.moves !== undefined;

/** Looks at how weights meet the text in a graph. */
export class TracedGraph {
  readonly #makers: ReadonlyMap<string, Node>;
  readonly #readers: ReadonlyMap<string, readonly Node[]>;
  readonly graph: Graph;

  constructor(readonly flow: Flow) {
    this.graph = flow.graph;
    this.#makers = producers(flow.graph);
    this.#readers = consumers(flow.graph);
  }

  maker = (name: string): Node | undefined => this.#makers.get(name);

  /** What a value is that does not depend on the text, if it is a weight or one that was turned. */
  read(name: string | undefined): Read | null {
    if (name === undefined || this.flow.stream.has(name)) return null;
    const tensor = this.graph.initializers.get(name);
    if (tensor) return isFloat(tensor.dataType) && sizeOf(tensor.dims) > 1 ? { tensor, turned: false, plusOne: false } : null;
    const node = this.maker(name);
    if (!node) return null;
    if (node.opType === "Add") {
      const sides = node.inputs.map((input) => this.read(input));
      const found = sides.find((side) => side !== null);
      return found && sides.includes(null) ? { ...found, plusOne: true } : null;
    }
    if (!passes(node)) return null;
    const of = this.read(node.inputs[0]);
    if (!of || node.opType !== "Transpose") return of;
    const perm = attr.intsOf(node, "perm");
    return { ...of, turned: perm === undefined || (perm.length === 2 && perm[0] === 1) ? !of.turned : of.turned };
  }

  /** The product with a matrix that a node is; null if it is none. */
  product(node: Node): Product | null {
    if (!isProduct(node) || node.inputs.length < 2) return null;
    const [x = "", w = ""] = node.inputs;
    const weight = this.read(w);
    if (weight?.tensor.dims.length !== 2 || !this.flow.stream.has(x)) return null;
    const isTurned = attr.intOf(node, "transB", 0) === 1;
    const read = isTurned ? { ...weight, turned: !weight.turned } : weight;
    const own = operatorKey(node) === "Gemm" || operatorKey(node).endsWith("::Attention") ? this.read(node.inputs[2]) : null;
    const [output = ""] = node.outputs;
    if (own) return { node, input: x, weight: read, output, bias: own };
    const added = this.#biasOf(output, numberAt(read.tensor.dims, read.turned ? 0 : 1));
    return { node, input: x, weight: read, output: added?.output ?? output, bias: added?.bias ?? null };
  }

  /** What is added to a value, as wide as that is. */
  #biasOf(value: string, width: number): { bias: Read; output: string } | null {
    const readers = this.#readers.get(value) ?? [];
    for (const node of readers) {
      const place = biased[operatorKey(node)];
      const name =
        node.opType === "Add" ? node.inputs.find((input) => input !== value) : place === undefined ? undefined : node.inputs[place];
      const bias = this.read(name);
      if (bias && sizeOf(bias.tensor.dims) === width && bias.tensor.dims.at(-1) === width)
        return { bias, output: node.opType === "Add" ? (node.outputs[0] ?? value) : value };
      // A layout between the product and its bias.
      if (readers.length === 1 && operatorKey(node) === "Reshape") return this.#biasOf(node.outputs[0] ?? "", width);
    }
    return null;
  }

  /** The scale and shift that a node applies; null if it applies none. */
  vectors(node: Node): VectorUse | null {
    if (isProduct(node) || operatorOf(node)?.weights === "table" || !node.outputs.some((o) => this.flow.stream.has(o))) return null;
    const isNorm = /LayerNormalization$|RMSNormalization$/.test(node.opType);
    if (isNorm) return { node, weight: this.read(node.inputs[1]), bias: this.read(node.inputs[2]) };
    const found = node.inputs.map((input) => this.read(input)).find((each) => each !== null);
    if (!found) return null;
    if (node.opType === "Mul") return { node, weight: found, bias: null };
    return node.opType === "Add" ? { node, weight: null, bias: found } : null;
  }

  /** Whether a value is made of what a node gives. */
  isBehind(value: string, node: Node, within: ReadonlySet<Node>): boolean {
    const seen = new Set<string>();
    const stack = [value];
    for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
      const made = this.maker(name);
      if (made === node) return true;
      if (!made || seen.has(name) || !within.has(made)) continue;
      seen.add(name);
      append(stack, made.inputs);
    }
    return false;
  }

  /** The products of a branch's nodes that a value is made of, the last ones only; and the nodes between. */
  behind(value: string, within: ReadonlySet<Node>): { readonly products: readonly Product[]; readonly between: readonly Node[] } {
    const products = new Map<Node, Product>();
    const between: Node[] = [];
    const seen = new Set<Node>();
    const stack = [value];
    for (let name = stack.pop(); name !== undefined; name = stack.pop()) {
      const node = this.maker(name);
      if (!node || seen.has(node) || !within.has(node)) continue;
      seen.add(node);
      const product = this.product(node);
      if (product) products.set(node, product);
      else {
        between.push(node);
        append(
          stack,
          node.inputs.filter((input) => this.flow.stream.has(input)),
        );
      }
    }
    return { products: [...products.values()], between };
  }
}
