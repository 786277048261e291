import { EspalierError } from "../errors.ts";
import { intOf } from "../onnx/attributes.ts";
import { replaceUses } from "../onnx/edit.ts";
import { type Dim, type Graph, type Node, operatorKey, type ValueInfo } from "../onnx/ir.ts";
import { int64Tensor } from "../onnx/tensors.ts";

/** The sizes that are fixed: exporters give the one length of the past a name for each entry. */
const fixed = ({ shape }: ValueInfo) => JSON.stringify(shape?.map((d) => (typeof d === "number" ? d : null)));

/**
 * Reads a cache's shape from another one that stays. Where heads went, layers are of different widths: then the sizes that are
 * fixed are multiplied by how much they differ.
 *
 * @throws EspalierError UNSUPPORTED_INPUT if no other is dynamic in the same places
 */
export function withStandIn(graph: Graph, cache: ValueInfo, others: readonly ValueInfo[]): Graph {
  const same = others.find((c) => fixed(c) === fixed(cache));
  if (same) return replaceUses(graph, new Map([[cache.name, same.name]]));
  const old = cache.shape ?? [];
  const other = others.find(({ shape }) => shape?.length === old.length && old.every((d, i) => typeof d === typeof shape[i]));
  const readers = graph.nodes.filter((n) => n.inputs.includes(cache.name));
  if (!other || readers.some((n) => operatorKey(n) !== "Shape"))
    throw new EspalierError(
      "UNSUPPORTED_INPUT",
      `the graph reads the shape of "${cache.name}", which goes, and no cache entry of the same dimensions stays`,
      { input: cache.name },
    );
  const now = other.shape ?? [];
  const initializers = new Map(graph.initializers);
  const nodes = graph.nodes.flatMap((node): Node[] => {
    if (!readers.includes(node)) return [node];
    const [output] = node.outputs as [string];
    const factor = (opType: string, from: string, sizes: readonly Dim[], to: string): Node => {
      const values = sizes.map((d) => (typeof d === "number" ? d : 1)).slice(intOf(node, "start", 0), intOf(node, "end", sizes.length));
      const by = `${to}/by`;
      initializers.set(by, int64Tensor(by, [values.length], values));
      return { name: to, opType, domain: "", inputs: [from, by], outputs: [to], attributes: {} };
    };
    const [shape, times] = [`${output}/of/${other.name}`, `${output}/times`];
    return [
      { ...node, inputs: [other.name], outputs: [shape] },
      factor("Mul", shape, old, times),
      { ...factor("Div", times, now, `${output}/over`), outputs: [output] },
    ];
  });
  return { ...graph, nodes, initializers };
}
