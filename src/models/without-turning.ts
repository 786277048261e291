import * as attr from "../onnx/attributes.ts";
import { producers, removeDead } from "../onnx/edit.ts";
import { isHalfPrecision, type Model, type Node, operatorKey, type Tensor } from "../onnx/ir.ts";

/** What the fused product has a kernel for on the CPU; halves are widened before they come to it. */
const isFused = ({ dataType }: Tensor): boolean => dataType === "float32" || isHalfPrecision(dataType);

/**
 * A graph for a few short runs over large weights: products with weights that are stored turned, as one operator each. ONNX Runtime's product
 * reads them as they lie, where a node that turns them copies every weight in every run.
 */
export function withoutTurning(model: Model): Model {
  const { graph, opsets } = model;
  const makers = producers(graph);
  const turnedBy = (name = ""): string | null => {
    const node = makers.get(name);
    const [of = ""] = node?.inputs ?? [];
    const stored = graph.initializers.get(of);
    const isTurn = node && operatorKey(node) === "Transpose" && stored?.dims.length === 2 && isFused(stored);
    return isTurn && String(attr.intsOf(node, "perm")) === "1,0" ? of : null;
  };
  let some = false;
  const nodes = graph.nodes.map((node): Node => {
    const [x = "", w] = node.inputs;
    const of = operatorKey(node) === "MatMul" ? turnedBy(w) : null;
    if (of === null) return node;
    some = true;
    return { ...node, opType: "FusedMatMul", domain: "com.microsoft", inputs: [x, of], attributes: { transB: attr.int(1) } };
  });
  return some ? { ...model, opsets: { "com.microsoft": 1, ...opsets }, graph: removeDead({ ...graph, nodes }) } : model;
}
