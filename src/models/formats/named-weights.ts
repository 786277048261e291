import { isFloat, type Model, sizeOf, type Tensor } from "../../onnx/ir.ts";
import type { TensorReader } from "../../onnx/read-tensor.ts";
import { floatsOf } from "../../onnx/tensors.ts";
import type { Blueprint } from "../blueprints/blueprint.ts";
import type { Place } from "../blueprints/places.ts";
import type { FoundLayer, FoundWeights } from "./found-weights.ts";
import { type Matrix, mapped, matrixOf, rowsOf } from "./matrix.ts";

/** What restoring by biases calls one, after the weight of the product that it is added to. */
const compensation = "/compensation";

/** What names of a family's tensors begin with, and what comes after the number of the layer. */
const numbered = /^(.*?\.)(\d+)(\..*)$/;

/**
 * The weights of a graph that was built from a family's files, or cut from such a graph: they have kept their names.
 *
 * @param sample a blueprint of the family, of any number of layers
 * @returns null if the graph's weights are called otherwise
 */
export function namedWeights({ graph }: Model, sample: Blueprint, read: TensorReader): FoundWeights | null {
  const [first] = sample.layers;
  const [, prefix = "", , output = ""] = numbered.exec(first?.attention.output.weight ?? "") ?? [];
  const [, , , down = ""] = numbered.exec(first?.mlp.down.weight ?? "") ?? [];
  const { initializers } = graph;
  if (!first || !initializers.has(sample.embedding.weight)) return null;
  const named = (layer: number, rest: string) => initializers.get(`${prefix}${layer}${rest}`);
  const numbers = [...initializers.keys()].flatMap((name) => {
    const rest = name.startsWith(prefix) ? /^(\d+)\./.exec(name.slice(prefix.length)) : null;
    return rest ? [Number(rest[1])] : [];
  });
  const indexes = [...new Set(numbers)].sort((a, b) => a - b).filter((i) => named(i, output) ?? named(i, down));
  // Exporters leave some names, and not that of what they turn.
  if (!indexes.some((i) => named(i, output))) return null;

  const ownHead = `${sample.embedding.weight}/head`;
  const taken = new Set<string>();
  const take = (name: string): Tensor | undefined => {
    const found = initializers.get(name);
    if (found) taken.add(name);
    return found;
  };
  const type = (initializers.get(sample.embedding.weight) as Tensor).dataType;
  const matrix = (place: Place, rename: (name: string) => string): Matrix | null => {
    const name = rename(place.name);
    if (place.head) {
      const all = take(`${rename(place.head.first)}/all`);
      return all ? mapped(rowsOf(matrixOf(all, read), place.head.index, 1), type, (value) => value) : null;
    }
    const own = take(name);
    const extra = name.endsWith(".bias") ? take(name.replace(/bias$/, `weight${compensation}`)) : undefined;
    if (!own) return extra ? mapped(matrixOf(extra, read), type, (value) => value) : null;
    const found = matrixOf(own, read);
    if (place.aroundOne) return mapped(found, type, (value) => value - 1);
    if (!extra) return found;
    const more = floatsOf(extra, read(extra));
    return mapped(found, found.dataType, (value, i) => value + (more[i] as number));
  };
  const layers = indexes.map((index): FoundLayer => {
    const ofLayer = (name: string) => name.replace(numbered, (_, before, __, rest) => `${before}${index}${rest}`);
    const own = expertsOf([...initializers.keys()], `${prefix}${index}.`);
    // Experts are numbered anew where others went.
    const rename = (name: string) =>
      ofLayer(name).replace(expert, (_, before, number, after) => `${before}${own[Number(number)] ?? number}${after}`);
    return { index, ...geometry(first, (name) => initializers.get(rename(name))?.dims), matrix: (place) => matrix(place, rename) };
  });
  const isCompensated = (rest: string) => indexes.some((i) => named(i, rest + compensation));
  return {
    layers,
    // One that has come apart from the embedding keeps its name.
    matrix: (place) => matrix(place, (name) => (place.role === "head" && initializers.has(ownHead) ? ownHead : name)),
    compensated: [...(isCompensated(output) ? (["ATTENTION"] as const) : []), ...(isCompensated(down) ? (["MLP"] as const) : [])],
    left: () => [...initializers.values()].filter((t) => isWeight(t) && !taken.has(t.name)).map((t) => t.name),
  };
}

/** Whether a tensor is one of a family's files, by its name. */
const isWeight = ({ name, dataType, dims }: Tensor): boolean =>
  isFloat(dataType) && sizeOf(dims) > 1 && !name.startsWith("/") && /(?:\.weight|\.bias|\/all|\/compensation|\/head)$/.test(name);

/** Of an expert's tensor, its number. */
const expert = /(\.experts\.)(\d+)(\.)/;

/** The numbers of a layer's experts, in order. */
function expertsOf(names: readonly string[], prefix: string): number[] {
  const numbers = names.flatMap((name) => (name.startsWith(prefix) ? Number(expert.exec(name)?.[2] ?? Number.NaN) : []));
  return [...new Set(numbers.filter((n) => !Number.isNaN(n)))].sort((a, b) => a - b);
}

/** How many heads, experts and channels a layer has, by the shapes of its weights. */
function geometry(
  { attention, mlp }: Blueprint["layers"][number],
  dimsOf: (name: string) => readonly number[] | undefined,
): Pick<FoundLayer, "attention" | "mlp"> {
  const { headWidth, projections, output } = attention;
  const inputs = (linear: { readonly weight: string; readonly stored?: "OUT_IN" | "IN_OUT" }) =>
    dimsOf(linear.weight)?.[linear.stored === "IN_OUT" ? 0 : 1];
  const outputs = (linear: { readonly weight: string; readonly stored?: "OUT_IN" | "IN_OUT" }) =>
    dimsOf(linear.weight)?.[linear.stored === "IN_OUT" ? 1 : 0];
  const mixed = inputs(output);
  const heads = (mixed ?? 0) / headWidth;
  const kvHeads =
    projections.kind === "SEPARATE" ? (outputs(projections.k) ?? 0) / headWidth : ((outputs(projections.qkv) ?? 0) / headWidth - heads) / 2;
  const width = inputs(mlp.down);
  const { mixture } = mlp;
  const experts = mixture && outputs(mixture.router);
  const shared = mixture?.shared && inputs(mixture.shared.down);
  const own = { ...(experts === undefined ? {} : { experts }), ...(shared === undefined ? {} : { shared }) };
  return { attention: mixed === undefined ? null : { heads, kvHeads }, mlp: width === undefined ? null : { width, ...own } };
}
