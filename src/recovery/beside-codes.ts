import { EspalierError } from "../errors.ts";
import { type Model, type Node, operatorKey } from "../onnx/ir.ts";
import { tensorOf } from "../onnx/tensors.ts";
import { verify } from "../onnx/verify.ts";
import { matrixOfCodes } from "../onnx/without-codes.ts";

/** What is added to a matrix W [n, m] that stays as it is: A B. */
export interface Adapter {
  readonly parameter: string;
  /** A [n, rank] */
  readonly down: Float32Array;
  /** B [rank, m], with what it counts. */
  readonly up: Float32Array;
  readonly rank: number;
}

/**
 * A graph whose products of codes have adapters beside them: two narrow products of what they are given, added to what they give. Codes stay what they are.
 *
 * @throws EspalierError NOTHING_TO_TRAIN if a matrix that an adapter is of is read by no product of codes
 */
export function withAdapters(model: Model, adapters: Iterable<Adapter>): Model {
  const { graph } = model;
  const initializers = new Map(graph.initializers);
  const instead = new Map<Node, readonly Node[]>();
  const products = graph.nodes.filter((n) => operatorKey(n) === "com.microsoft::MatMulNBits");
  for (const { parameter, down, up, rank } of adapters) {
    const node = products.find((n) => matrixOfCodes(n) === parameter);
    if (!node) throw new EspalierError("NOTHING_TO_TRAIN", `no product of codes reads "${parameter}"`, { parameter });
    const [x = ""] = node.inputs;
    const [y = ""] = node.outputs;
    // One that is there from a healing before stays.
    let name = `${parameter}/adapter`;
    for (let k = 2; initializers.has(`${name}/down`); k++) name = `${parameter}/adapter_${k}`;
    initializers.set(`${name}/down`, tensorOf(`${name}/down`, { dataType: "float32", dims: [down.length / rank, rank], data: down }));
    initializers.set(`${name}/up`, tensorOf(`${name}/up`, { dataType: "float32", dims: [rank, up.length / rank], data: up }));
    const made = (what: string, opType: string, inputs: readonly string[], output: string): Node => ({
      ...{ name: `${node.name}/${what}`, opType, domain: "", inputs, outputs: [output], attributes: {} },
    });
    const value = (what: string) => `${name}/${what}`;
    instead.set(node, [
      { ...node, outputs: [value("coded")] },
      made("down", "MatMul", [x, `${name}/down`], value("narrow")),
      made("up", "MatMul", [value("narrow"), `${name}/up`], value("added")),
      made("adapted", "Add", [value("coded"), value("added")], y),
    ]);
  }
  const result = { ...model, graph: { ...graph, initializers, nodes: graph.nodes.flatMap((n) => instead.get(n) ?? [n]) } };
  verify(result);
  return result;
}
