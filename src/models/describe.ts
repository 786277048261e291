import { type Graph, type Model, operatorKey, type Tensor } from "../onnx/ir.ts";
import type { TensorReader } from "../onnx/read-tensor.ts";
import { signatureOf } from "../onnx/signature.ts";
import { discover } from "../structures/discover.ts";
import type { InspectedModel } from "./types.ts";

/** What a model is, apart from its files. */
export type Facts = Omit<InspectedModel, "digest" | "files" | "sizeBytes">;

/** Operator to number of nodes, in the order of first use. */
export function operatorCounts(graph: Graph): Record<string, number> {
  const counts = new Map<string, number>();
  for (const node of graph.nodes) counts.set(operatorKey(node), (counts.get(operatorKey(node)) ?? 0) + 1);
  return Object.fromEntries(counts);
}

/**
 * What a graph says of itself. The context length is the one fact it cannot say.
 *
 * @throws EspalierError as `discover`
 */
export function describe(model: Model, read: TensorReader, contextLength: number | null): Facts {
  const { graph } = model;
  const { tokens, layers, structures, parameterCount } = discover(model, read);
  const embedding = embeddingOf(graph, tokens);
  const [vocabularySize = 0, hiddenSize = 0] = embedding?.dims ?? [];
  const caches = signatureOf(graph.inputs).caches.map((c) => (c.shape ?? []).filter((d) => typeof d === "number"));
  return {
    parameterCount,
    opset: model.opsets[""] ?? 0,
    operators: operatorCounts(graph),
    structures,
    architecture: {
      layers,
      hiddenSize,
      vocabularySize,
      // Keys and values come in pairs of the same shape, [B, K, past, D].
      cache: caches.filter((_, i) => i % 2 === 0).map(([heads = 0, headWidth = 0]) => ({ heads, headWidth })),
      contextLength,
      dataType: embedding?.dataType ?? "float32",
    },
  };
}

/** The table that the token ids are looked up in: [V, H]. */
function embeddingOf(graph: Graph, tokens: string): Tensor | undefined {
  const lookup = graph.nodes.find((n) => n.opType === "Gather" && n.inputs[1] === tokens);
  return lookup && graph.initializers.get(lookup.inputs[0] as string);
}
