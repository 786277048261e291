import { createHash } from "node:crypto";
import { consumers } from "../onnx/edit.ts";
import { dataTypes, isFloat, type Node, sizeOf, type Tensor } from "../onnx/ir.ts";
import type { Flow } from "./flow.ts";

/**
 * Trained weights and how many parameters each adds to the model.
 *
 * An initializer is a parameter if it is a float tensor of more than one element that meets the text: read by a node of
 * the stream, itself or after being turned (Transpose, Cast, ...), or looked up in a table that is added to it (learned
 * positions). Frequencies and sines of rotary positions, masks and scalars are none.
 *
 * Each weight counts once: of tensors with the same elements, or of which one is the other's transpose (PyTorch exports
 * a tied head as a second, transposed copy of the embedding), the first counts and the others add 0. Equal zeros or ones
 * are common in vectors that are not tied, so only matrices are compared.
 */
export function parametersOf(flow: Flow): Map<string, number> {
  const readers = consumers(flow.graph);
  const constant = new Set(flow.graph.initializers.keys());
  for (const node of flow.graph.nodes)
    if (node.inputs.every((i) => i === "" || constant.has(i))) for (const o of node.outputs) constant.add(o);

  const meetsText = (name: string): boolean =>
    (readers.get(name) ?? []).some((node) => {
      if (node.outputs.some((o) => flow.stream.has(o))) return true;
      if (node.inputs.every((i) => i === "" || constant.has(i))) return node.outputs.some(meetsText);
      return node.opType === "Gather" && node.inputs[0] === name && isAdded(node);
    });
  const isAdded = (table: Node): boolean =>
    (readers.get(table.outputs[0] as string) ?? []).some((n) => n.opType === "Add" && n.outputs.some((o) => flow.stream.has(o)));

  const counts = new Map<string, number>();
  const seen = new Set<string>();
  for (const t of flow.graph.initializers.values()) {
    if (!isFloat(t.dataType) || sizeOf(t.dims) <= 1 || !meetsText(t.name)) continue;
    const prints = t.dims.length === 2 ? fingerprints(t) : [];
    counts.set(t.name, prints.some((p) => seen.has(p)) ? 0 : sizeOf(t.dims));
    for (const p of prints.slice(0, 1)) seen.add(p);
  }
  return counts;
}

/** A matrix's digest, and its transpose's. External tensors are told apart by where they lie. */
function fingerprints(t: Tensor): string[] {
  if (t.data.kind === "external") return [`${t.data.location}:${t.data.offset}`];
  const [rows, columns] = t.dims as [number, number];
  const width = dataTypes[t.dataType].bytes;
  const digest = (bytes: Uint8Array, dims: readonly number[]) => `${dims}:${createHash("sha256").update(bytes).digest("hex")}`;
  return [digest(t.data.bytes, [rows, columns]), digest(transposed(t.data.bytes, rows, columns, width), [columns, rows])];
}

function transposed(bytes: Uint8Array, rows: number, columns: number, width: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++)
      for (let b = 0; b < width; b++) out[(c * rows + r) * width + b] = bytes[(r * columns + c) * width + b] as number;
  return out;
}
