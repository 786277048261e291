import { EspalierError } from "../errors.ts";
import { usesOf } from "./edit.ts";
import { dataTypes, type Model, operatorKey, sizeOf } from "./ir.ts";

/** How many faults an error tells. */
const told = 20;

/**
 * Checks what a graph must satisfy after every transform: each value defined once and before its use, outputs
 * defined, initializers as long as their shapes say, every operator's domain imported.
 *
 * @throws EspalierError INVALID_GRAPH with the first faults found, and the number of the others
 */
export function verify(model: Model): void {
  const { graph, opsets } = model;
  const faults: string[] = [];
  let count = 0;
  // No more are kept than are told: each may repeat a long name, and there may be as many as the file has bytes.
  const fault = (message: () => string) => {
    if (++count <= told) faults.push(message());
  };
  const defined = new Set<string>();
  const define = (name: string, by: string) => {
    if (name === "") return;
    if (defined.has(name)) fault(() => `"${name}" is defined twice, the second time by ${by}`);
    defined.add(name);
  };
  for (const [name, t] of graph.initializers) {
    define(name, "an initializer");
    if (t.name !== name) fault(() => `initializer "${t.name}" is listed as "${name}"`);
    const need = t.dataType === "string" ? 0 : Math.ceil(sizeOf(t.dims) * dataTypes[t.dataType].bytes);
    const has = t.data.kind === "inline" ? t.data.bytes.length : t.data.length;
    if (has !== need) fault(() => `initializer "${name}" of shape [${t.dims}] needs ${need} bytes, but has ${has}`);
  }
  // Files of IR version 3 list initializers among the inputs too: an input with a default value.
  for (const input of graph.inputs) if (!graph.initializers.has(input.name)) define(input.name, "an input");
  for (const node of graph.nodes) {
    for (const name of usesOf(node))
      if (!defined.has(name)) fault(() => `node "${node.name}" (${node.opType}) reads "${name}", which is not defined before it`);
    for (const name of node.outputs) define(name, `node "${node.name}"`);
    const domain = node.domain === "ai.onnx" ? "" : node.domain;
    // Tables of operators are plain records, in which every object's own words would be found.
    if (operatorKey(node) in Object.prototype) fault(() => `node "${node.name}" is of operator "${node.opType}", which there is not`);
    if (!Object.hasOwn(opsets, domain)) fault(() => `node "${node.name}" is of domain "${domain}", which the model does not import`);
  }
  for (const output of graph.outputs) if (!defined.has(output.name)) fault(() => `output "${output.name}" is not defined`);
  if (count === 0) return;
  const more = count > told ? `; and ${count - told} more` : "";
  throw new EspalierError("INVALID_GRAPH", `the graph is not valid: ${faults.join("; ")}${more}`, { faults });
}
