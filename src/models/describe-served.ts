import { EspalierError } from "../errors.ts";
import { intOf } from "../onnx/attributes.ts";
import { type Graph, isFloat, type Model, type Node, operatorKey, sizeOf } from "../onnx/ir.ts";
import type { TensorReader } from "../onnx/read-tensor.ts";
import { operatorOf } from "../operators/operators.ts";
import { cacheLayers } from "../signature/caches.ts";
import { answerOf } from "../signature/logits.ts";
import { signatureOf } from "../signature/signature.ts";
import { anatomyOf } from "../structures/anatomy.ts";
import { flowOf } from "../structures/flow.ts";
import { parametersOf } from "../structures/parameters.ts";
import { architectureOf, type Facts, type Known, operatorCounts } from "./describe.ts";

/**
 * What a graph says of itself that is served and not pruned: one of quantised weights, or of operators without gradients.
 *
 * @param obstacle what keeps it from being pruned
 * @throws EspalierError NO_TOKEN_INPUT, NO_LOGITS, UNSUPPORTED_INPUT (see src/signature)
 */
export function describeServed(model: Model, read: TensorReader, known: Pick<Known, "length" | "answer">, obstacle: EspalierError): Facts {
  const { graph } = model;
  const signature = signatureOf(graph.inputs);
  const flow = flowOf(graph, signature.tokens.name, answerOf(graph.outputs).name);
  const layers = Math.max(cacheLayers(signature.caches).length, layersOf(model));
  return {
    parameterCount: countOf(graph, parametersOf(flow, read)),
    opset: model.opsets[""] ?? 0,
    operators: operatorCounts(graph),
    structures: [],
    obstacles: [],
    architecture: architectureOf(model, flow.stream, layers, known),
    pruningObstacle: { code: obstacle.code, message: obstacle.message },
  };
}

/** Layers as far as they are seen: behind quantised weights they are not, and those that keep a cache are known by it. */
function layersOf(model: Model): number {
  try {
    return anatomyOf(model).places.filter((p) => p.kind === "LAYER").length;
  } catch (error) {
    if (error instanceof EspalierError) return 0;
    throw error;
  }
}

/** Weights as they were before they were quantised. Scales and zero points, which only quantised operators read, are none. */
function countOf(graph: Graph, floats: ReadonlyMap<string, number>): number {
  const steps = graph.nodes.filter((n) => operatorOf(n)?.quantised);
  const own = new Set(steps.flatMap((n) => n.inputs));
  const plain = [...floats].filter(([name]) => !own.has(name));
  // A table that is looked up first and dequantised then is read by the lookup.
  const lookups = graph.nodes.filter((n) => operatorKey(n) === "Gather" && isQuantised(graph, n.inputs[0]));
  const seen = new Set<string>();
  const packed = [...steps, ...lookups].reduce((n, node) => n + weightsOf(graph, node, seen), 0);
  return plain.reduce((n, [, count]) => n + count, packed);
}

const isQuantised = (graph: Graph, name = ""): boolean => {
  const tensor = graph.initializers.get(name);
  return tensor !== undefined && tensor.dims.length > 1 && !isFloat(tensor.dataType) && tensor.dataType !== "int64";
};

const isScales = (graph: Graph, name: string): boolean => {
  const tensor = graph.initializers.get(name);
  return tensor !== undefined && tensor.dims.length > 1 && isFloat(tensor.dataType);
};

/** Elements of the whole-number matrix that a node reads; one that is packed states its shape in attributes. */
function weightsOf(graph: Graph, node: Node, seen: Set<string>): number {
  const [name] = node.inputs
    .filter((i) => isQuantised(graph, i) && !seen.has(i))
    .sort((a, b) => sizeOf(graph.initializers.get(b)?.dims ?? []) - sizeOf(graph.initializers.get(a)?.dims ?? []));
  if (name === undefined) return 0;
  // A table that is the head too stands there twice, with the codes laid out for each; the scales of its blocks are the same.
  const blocks = node.inputs.filter((i) => isScales(graph, i));
  const isKnown = blocks.some((i) => seen.has(i));
  for (const own of [name, ...blocks]) seen.add(own);
  if (isKnown) return 0;
  const { dims = [], dataType } = graph.initializers.get(name) ?? {};
  // Whole bytes hold several codes of fewer bits.
  const inEach = dataType === "uint8" ? 8 / intOf(node, "bits", 8) : 1;
  return intOf(node, "K", 0) * intOf(node, "N", 0) || sizeOf(dims) * inEach;
}
