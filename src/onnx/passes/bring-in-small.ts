import { isSmall } from "../file-references.ts";
import type { Model, Tensor } from "../ir.ts";
import type { TensorReader } from "../read-tensor.ts";

/** The same model with small tensors, which files beside it may hold, in the graph itself. @throws EspalierError MISSING_EXTERNAL_DATA */
export function bringInSmall(model: Model, read: TensorReader): Model {
  const { graph } = model;
  const goesIn = (t: Tensor) => t.data.kind === "external" && isSmall(t);
  if (![...graph.initializers.values()].some(goesIn)) return model;
  const brought = [...graph.initializers].map(([name, t]): [string, Tensor] => [
    name,
    goesIn(t) ? { ...t, data: { kind: "inline", bytes: read(t) } } : t,
  ]);
  return { ...model, graph: { ...graph, initializers: new Map(brought) } };
}
