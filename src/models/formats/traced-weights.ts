import { EspalierError } from "../../errors.ts";
import { numberAt } from "../../number-at.ts";
import { type Model, sizeOf } from "../../onnx/ir.ts";
import type { TensorReader } from "../../onnx/read-tensor.ts";
import { anatomyOf } from "../../structures/anatomy.ts";
import type { Branch } from "../../structures/branches.ts";
import { parametersOf } from "../../structures/parameters.ts";
import type { Blueprint } from "../blueprints/blueprint.ts";
import type { Place, Role } from "../blueprints/places.ts";
import type { FoundLayer, FoundWeights } from "./found-weights.ts";
import { type Matrix, mapped, matrixOf, rowsOf, stacked, turned } from "./matrix.ts";
import { type TracedBranch, tracedBranch } from "./traced-branches.ts";
import { type Product, type Read, TracedGraph } from "./traced-graph.ts";

/** Where the graph's weights were found by what they do, those of a packed matrix and those that are packed into one. */
const packs: Readonly<Partial<Record<Role, readonly Role[]>>> = { qkv: ["q", "k", "v"], gateUp: ["gate", "up"] };

const refuse = (message: string, details: Record<string, unknown> = {}): never => {
  throw new EspalierError("EXPORT_UNSUPPORTED", message, details);
};

/**
 * The weights of a graph that an exporter wrote, found by what they do: names say nothing there. Whether they were found right is proven by
 * the logits of what is written.
 *
 * @param indexes places of the layers in the model that the configuration's rules were made for; null where they are not known
 * @throws EspalierError EXPORT_UNSUPPORTED with the layer and branch that has another form than the family's
 */
export function tracedWeights(
  model: Model,
  sample: Blueprint,
  read: TensorReader,
  indexes: readonly (number | null)[] | null,
): FoundWeights {
  const { flow, places, logits } = anatomyOf(model);
  const graph = new TracedGraph(flow);
  const taken = new Set<string>();
  const [first] = sample.layers as [Blueprint["layers"][number]];
  const { headWidth, projections } = first.attention;
  const sharesNorm = first.attention.before !== null && first.attention.before.weight === first.mlp.before?.weight;
  if (sample.embedding.norm || sample.embedding.project || sample.project || first.attention.afterSum)
    return refuse(
      "weights of a graph that an exporter wrote are not found for families whose embedding is normed or projected, or whose norms come after the sums",
    );

  /** A product's matrix as [out, in]. */
  const outIn = ({ weight }: Product): Matrix => {
    taken.add(weight.tensor.name);
    const stored = matrixOf(weight.tensor, read);
    return weight.turned ? stored : turned(stored);
  };
  const vector = ({ tensor }: Read): Matrix => {
    taken.add(tensor.name);
    return matrixOf(tensor, read);
  };
  const column = (of: Read): Matrix => turned(flat(vector(of)));
  const outputs = (product: Product) => sizeOf(product.weight.tensor.dims) / inputs(product);
  const inputs = ({ weight: { tensor, turned: isTurned } }: Product) => numberAt(tensor.dims, isTurned ? 1 : 0);

  /** Rows of each part of a packed projection, and where they begin. */
  const partsOf = (branch: TracedBranch, packed: Role): ReadonlyMap<Role, readonly [from: number, rows: number]> => {
    const product = branch.products.get(packed) as Product;
    const all = outputs(product);
    if (packed === "gateUp")
      return new Map<Role, readonly [number, number]>([
        ["gate", [0, all / 2]],
        ["up", [all / 2, all / 2]],
      ]);
    const queries = inputs(branch.products.get("output") as Product);
    const keys = (all - queries) / 2;
    return new Map<Role, readonly [number, number]>([
      ["q", [0, queries]],
      ["k", [queries, keys]],
      ["v", [queries + keys, keys]],
    ]);
  };

  /** A linear map's matrix or bias as rows by output, whichever way the graph packs it. */
  const linear = (branch: TracedBranch, role: Role, part: Place["part"]): Matrix | null => {
    const of = (product: Product): Matrix | null => (part === "weight" ? outIn(product) : product.bias && column(product.bias));
    const own = branch.products.get(role);
    if (own) return of(own);
    const parts = packs[role];
    if (parts) {
      if (role === "qkv" && projections.kind === "PACKED" && projections.by === "GROUPS") return null;
      const all = parts.map((each) => linear(branch, each, part));
      return all.every((each) => each !== null) ? stacked(all) : null;
    }
    const packed = (Object.keys(packs) as Role[]).find((each) => packs[each]?.includes(role) && branch.products.has(each));
    const whole = packed && of(branch.products.get(packed) as Product);
    const place = packed && partsOf(branch, packed).get(role);
    return whole && place ? rowsOf(whole, ...place) : null;
  };

  const type = () => embedding.dataType;
  const scaled = (found: { readonly weight: Read | null; readonly bias: Read | null } | undefined, place: Place): Matrix | null => {
    const which = place.part === "weight" ? found?.weight : found?.bias;
    if (!which) return null;
    const [, across] = place.axes;
    const values = across
      ? reshaped(
          vector(which),
          undefined,
          across.reduce((a, b) => a + b, 0),
        )
      : reshaped(vector(which), place.head ? undefined : 1);
    const own = place.head ? rowsOf(reshaped(values, undefined, headWidth), place.head.index, 1) : values;
    return place.aroundOne && !which.plusOne ? mapped(own, type(), (value) => value - 1) : own;
  };
  const isLinear = ({ role }: Place): boolean => ["q", "k", "v", "qkv", "output", "up", "gate", "gateUp", "down"].includes(role);
  const inBranch = (branch: TracedBranch | null, place: Place): Matrix | null => {
    if (!branch) return null;
    if (!isLinear(place)) return scaled(branch.norms.get(place.role), place);
    const found = linear(branch, place.role, place.part);
    if (!found) return null;
    return place.part === "bias" || place.inOut ? turned(found) : found;
  };

  const traced = (branches: readonly Branch[], kind: Branch["kind"], layer: number): TracedBranch | null => {
    const own = branches.filter((b) => b.kind === kind);
    if (own.length === 0) return null;
    const found = own.length === 1 ? tracedBranch(graph, own[0] as Branch) : null;
    return (
      found ??
      refuse(`the ${kind === "MLP" ? "MLP" : "attention"} of layer ${layer} has another form than config.json's family has`, {
        layer,
        kind,
      })
    );
  };
  const layers = places
    .filter((p) => p.kind === "LAYER")
    .map(({ branches, layer }): FoundLayer => {
      const [attention, mlp] = [traced(branches, "ATTENTION", layer), traced(branches, "MLP", layer)];
      const heads = attention ? inputs(attention.products.get("output") as Product) / headWidth : 0;
      const keys = attention?.products.get("k");
      const packed = attention?.products.get("qkv");
      const kvHeads = keys ? outputs(keys) / headWidth : packed ? (outputs(packed) / headWidth - heads) / 2 : 0;
      return {
        index: indexes ? (indexes[layer] ?? null) : layer,
        attention: attention ? { heads, kvHeads } : null,
        mlp: mlp ? { width: inputs(mlp.products.get("down") as Product) } : null,
        // A norm that both branches share is there as long as one of them is.
        matrix: (place, branch) =>
          inBranch(branch === "mlp" || (!attention && sharesNorm && place.role === "before") ? mlp : attention, place),
      };
    });

  // What stands around the layers.
  const inBranches = new Set(places.filter((p) => p.kind === "LAYER").flatMap((p) => p.branches.flatMap((b) => [...b.nodes])));
  const outside = new Set(flow.path.filter((node) => !inBranches.has(node)));
  const table = flow.graph.nodes.find((n) => n.opType === "Gather" && flow.stream.has(n.inputs[1] ?? "") && graph.read(n.inputs[0]));
  const embeddingRead = graph.read(table?.inputs[0]) ?? refuse("the table that tokens are looked up in is not found in the graph");
  const embedding = matrixOf(embeddingRead.tensor, read);
  const atEnd = graph.behind(logits, outside);
  const [head] = atEnd.products;
  const last = head ? normOf(graph, graph.behind(head.input, outside).between) : undefined;
  const around = (place: Place): Matrix | null => {
    if (place.role === "embedding") {
      taken.add(embeddingRead.tensor.name);
      return embeddingRead.turned ? turned(embedding) : embedding;
    }
    if (place.role === "positions") return positionsOf();
    if (place.role === "norm") return scaled(last, place);
    if (place.role === "head" && head) return place.part === "weight" ? outIn(head) : head.bias && vector(head.bias);
    return null;
  };
  const positionsOf = (): Matrix | null => {
    const lookups = flow.graph.nodes.filter((n) => n !== table && n.opType === "Gather");
    const found = lookups
      .map((n) => graph.read(n.inputs[0]))
      .find((r) => r?.tensor.dims.length === 2 && r.tensor.dims[1] === sample.hiddenSize);
    return found ? vector(found) : null;
  };
  return {
    layers,
    matrix: around,
    compensated: [],
    left: () => [...parametersOf(flow, read)].filter(([name, count]) => count > 0 && !taken.has(name)).map(([name]) => name),
  };
}

/** The norm among the nodes before the head. */
function normOf(graph: TracedGraph, nodes: readonly Parameters<TracedGraph["vectors"]>[0][]) {
  const uses = nodes.flatMap((node) => graph.vectors(node) ?? []);
  return {
    weight: uses.map((u) => u.weight).find((w) => w !== null) ?? null,
    bias: uses.map((u) => u.bias).find((b) => b !== null) ?? null,
  };
}

/** A vector, or some of one length, as one row. */
const flat = (of: Matrix): Matrix => reshaped(of, 1);

/** The same numbers in other rows. */
function reshaped(of: Matrix, rows: number | undefined, columns?: number): Matrix {
  const size = of.rows * of.columns;
  const count = rows ?? (columns === undefined ? of.rows : size / columns);
  if (count === of.rows) return of;
  const bytes = of.strip(0, of.rows);
  const width = bytes.length / size;
  const across = size / count;
  return { ...of, rows: count, columns: across, strip: (from, n) => bytes.subarray(from * across * width, (from + n) * across * width) };
}
