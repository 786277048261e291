import { type Graph, type Node, operatorKey } from "../onnx/ir.ts";

/** How an operator that hides a residual addition is written without hiding it. */
type Spelling = (node: Node) => readonly Node[];

/**
 * `norm(input + bias + skip)` in one node becomes the sums and the norm. Outputs: the norm, its mean and inverse deviation,
 * and the sum. The bias is that of the product before, so it is added to its side.
 *
 * Source: ONNX Runtime, docs/ContribOperators.md. ONNX Runtime fuses the parts again when it loads the graph.
 */
const skipNorm =
  (opType: string, biasInput: number): Spelling =>
  (node) => {
    const [input = "", skip = "", ...rest] = node.inputs;
    const bias = node.inputs[biasInput] ?? "";
    const [output = "", mean = "", inverse = "", sumOutput = ""] = node.outputs;
    const sum = sumOutput || `${node.name}/sum`;
    const add = (part: string, a: string, b: string, out: string): Node => ({
      name: `${node.name}/${part}`,
      opType: "Add",
      domain: "",
      inputs: [a, b],
      outputs: [out],
      attributes: {},
    });
    const biased = bias === "" ? input : `${node.name}/biased`;
    const outputs = [output, mean, inverse].filter((name, i) => i === 0 || name !== "");
    return [
      ...(bias === "" ? [] : [add("bias", input, bias, biased)]),
      add("skip", biased, skip, sum),
      { ...node, opType, domain: "", inputs: [sum, ...rest.slice(0, biasInput - 2)].filter((name) => name !== ""), outputs },
    ];
  };

const spellings: Readonly<Record<string, Spelling>> = {
  "com.microsoft::SkipLayerNormalization": skipNorm("LayerNormalization", 4),
  "com.microsoft::SkipSimplifiedLayerNormalization": skipNorm("SimplifiedLayerNormalization", 3),
};

/** The graph with every residual addition in the open; the same graph if none was hidden. */
export function spellOut(graph: Graph): Graph {
  if (!graph.nodes.some((n) => spellings[operatorKey(n)])) return graph;
  return { ...graph, nodes: graph.nodes.flatMap((n) => spellings[operatorKey(n)]?.(n) ?? [n]) };
}
