import { EspalierError } from "../errors.ts";
import { usesOf } from "./edit.ts";
import { dataTypes, type Model, sizeOf } from "./ir.ts";

/**
 * Checks what a graph must satisfy after every transform: each value defined once and before its use, outputs
 * defined, initializers as long as their shapes say, every operator's domain imported.
 *
 * @throws EspalierError INVALID_GRAPH with all faults found (the first 20 in its message)
 */
export function verify(model: Model): void {
  const { graph, opsets } = model;
  const faults: string[] = [];
  const defined = new Set<string>();
  const define = (name: string, by: string) => {
    if (name === "") return;
    if (defined.has(name)) faults.push(`"${name}" is defined twice, the second time by ${by}`);
    defined.add(name);
  };
  for (const [name, t] of graph.initializers) {
    define(name, "an initializer");
    if (t.name !== name) faults.push(`initializer "${t.name}" is listed as "${name}"`);
    const need = t.dataType === "string" ? 0 : Math.ceil(sizeOf(t.dims) * dataTypes[t.dataType].bytes);
    const has = t.data.kind === "inline" ? t.data.bytes.length : t.data.length;
    if (has !== need) faults.push(`initializer "${name}" of shape [${t.dims}] needs ${need} bytes, but has ${has}`);
  }
  // Files of IR version 3 list initializers among the inputs too: an input with a default value.
  for (const input of graph.inputs) if (!graph.initializers.has(input.name)) define(input.name, "an input");
  for (const node of graph.nodes) {
    for (const name of usesOf(node))
      if (!defined.has(name)) faults.push(`node "${node.name}" (${node.opType}) reads "${name}", which is not defined before it`);
    for (const name of node.outputs) define(name, `node "${node.name}"`);
    const domain = node.domain === "ai.onnx" ? "" : node.domain;
    if (opsets[domain] === undefined) faults.push(`node "${node.name}" is of domain "${domain}", which the model does not import`);
  }
  for (const output of graph.outputs) if (!defined.has(output.name)) faults.push(`output "${output.name}" is not defined`);
  if (faults.length === 0) return;
  const more = faults.length > 20 ? `; and ${faults.length - 20} more` : "";
  throw new EspalierError("INVALID_GRAPH", `the graph is not valid: ${faults.slice(0, 20).join("; ")}${more}`, { faults });
}
