import { EspalierError } from "../errors.ts";
import { removeDead, removeUnusedInputs } from "../onnx/edit.ts";
import { encode } from "../onnx/encode.ts";
import { isFloat, type Model, type StaticType, sizeAt, sizeOf, type Tensor, type TypedGraph } from "../onnx/ir.ts";
import { openSession, type TensorValue } from "../runtime/session.ts";
import { specialise } from "../runtime/specialise.ts";
import { bindingOf } from "../signature/binding.ts";
import { zeroCache } from "../signature/caches.ts";
import { feedsOf } from "../signature/feeds.ts";
import { logitsOf } from "../signature/logits.ts";
import { signatureOf } from "../signature/signature.ts";

/** What a size of the stream is made of: a number, or B sequences, T tokens of each, or both in one axis; these perhaps times a number. */
export type Size = number | "B" | "T" | "BT" | `${"B" | "T" | "BT"}*${number}`;

/**
 * A model's graph folded for two shapes of its input. What is the same in both is the model; what differs follows the
 * input's shape: declared shapes, positions, masks. So everything an exporter computes about shapes is told from everything
 * a model computes about tokens without knowing any exporter's way of writing it.
 */
export interface TwoViews {
  readonly model: Model;
  /** Where the model's external data lies. */
  readonly folder: string;
  /** Without a past, of the first view's shapes. */
  readonly graph: TypedGraph;
  readonly logits: string;
  /** Values that depend on token ids. */
  readonly stream: ReadonlySet<string>;
  /** Values that depend on no token but on the input's shape: positions, masks, shapes. */
  readonly shaped: ReadonlySet<string>;
  /** The shape of a value of the stream; null if it is none of these. */
  sizes(value: string): readonly Size[] | null;
}

const views = [
  { B: 2, T: 5 },
  { B: 3, T: 7 },
] as const;

/** The B and T that a view's static shapes are of. */
export const firstView = views[0];

/** Which name a size has, by its ratio in the two views. */
const bases = [
  ["B", views[0].B, views[1].B],
  ["T", views[0].T, views[1].T],
  ["BT", views[0].B * views[0].T, views[1].B * views[1].T],
] as const;

/** Why a graph cannot be rewritten for serving; it is then served as it is. */
export const unfit = (why: string): never => {
  throw new EspalierError("CANNOT_REWRITE", why);
};

/** Constants that arithmetic on shapes and positions needs; larger float tensors are weights. */
const isParameter = (t: Tensor): boolean => (!isFloat(t.dataType) ? sizeOf(t.dims) > 4096 : t.dims.length > 1 && sizeOf(t.dims) > 1);

export async function twoViews(model: Model, folder: string): Promise<TwoViews> {
  const logits = logitsOf(model.graph.outputs).name;
  const parameters = [...model.graph.initializers.values()].filter(isParameter).map((t) => t.name);
  const fold = ({ B, T }: (typeof views)[number]) =>
    specialise(model, { ...bindingOf(model, B, T, parameters), keepTransposes: true }, [logits]);
  const first = await fold(views[0]);
  const second = await fold(views[1]);
  const shape = (g: TypedGraph) => g.graph.nodes.map((n) => `${n.opType}(${n.inputs})`).join();
  if (shape(first) !== shape(second)) unfit("its nodes depend on the input's shape");

  const stream = closure(first, new Set(first.graph.inputs.map((i) => i.name)));
  const differing = [...first.graph.initializers.values()].filter((t) => !same(t, second.graph.initializers.get(t.name)));
  const all = closure(first, new Set(differing.map((t) => t.name)));
  const shaped = new Set([...all].filter((name) => !stream.has(name)));
  return {
    model,
    folder,
    graph: first,
    logits,
    stream,
    shaped,
    sizes: (value) => sizesOf(first.types.get(value), second.types.get(value)),
  };
}

function closure({ graph }: TypedGraph, seeds: ReadonlySet<string>): Set<string> {
  const reached = new Set(seeds);
  for (const node of graph.nodes) if (node.inputs.some((i) => reached.has(i))) for (const o of node.outputs) if (o) reached.add(o);
  return reached;
}

function same(a: Tensor, b: Tensor | undefined): boolean {
  if (a === b) return true;
  if (!b || a.dims.join() !== b.dims.join()) return false;
  if (a.data.kind === "inline" && b.data.kind === "inline") return Buffer.compare(a.data.bytes, b.data.bytes) === 0;
  return JSON.stringify(a.data) === JSON.stringify(b.data);
}

function sizesOf(a: StaticType | undefined, b: StaticType | undefined): readonly Size[] | null {
  if (!a || !b || a.shape.length !== b.shape.length) return null;
  const made = a.shape.map((d, i): Size | null => {
    const e = sizeAt(b.shape, i);
    if (d === e) return d;
    for (const [name, one, other] of bases) if (d * other === e * one && d % one === 0) return d === one ? name : `${name}*${d / one}`;
    return null;
  });
  return made.includes(null) ? null : (made as Size[]);
}

/** Values of the model as it was registered that depend on the input's shape alone: for one sequence of T tokens after `past`. */
export async function shapedValues(
  { model, folder }: Pick<TwoViews, "model" | "folder">,
  names: readonly string[],
  past: number,
  T: number,
): Promise<ReadonlyMap<string, TensorValue>> {
  if (names.length === 0) return new Map();
  const { graph } = model;
  const known = new Set([...graph.nodes.flatMap((n) => n.outputs), ...graph.inputs.map((i) => i.name), ...graph.initializers.keys()]);
  const lost = names.find((name) => !known.has(name));
  if (lost !== undefined) unfit(`"${lost}" is no value of the graph as it was registered`);
  const inputs = new Set(graph.inputs.map((i) => i.name));
  const computed = names.filter((name) => !inputs.has(name));
  const part = removeDead({
    ...graph,
    outputs: computed.map((name) => ({ name, dataType: "float32" as const, shape: null })),
    valueInfo: [],
  });
  const only = removeUnusedInputs({ ...part, outputs: [] });
  const signature = signatureOf(graph.inputs);
  const read = new Set([...names, ...only.inputs.map((i) => i.name)]);
  const caches = signature.caches.filter((c) => read.has(c.name));
  const feeds = { ...feedsOf(signature, [new Array<number>(T).fill(0)], past), ...zeroCache(caches, 1, past) };
  const found = new Map(names.filter((name) => inputs.has(name)).map((name) => [name, feeds[name] as TensorValue]));
  if (computed.length === 0) return found;
  const session = await openSession(
    { bytes: encode({ ...model, graph: only }, computed), externalFolder: folder },
    { executionProvider: "CPU", threads: 1, lean: true },
  );
  try {
    const needed = Object.fromEntries(session.inputs.map(({ name }) => [name, feeds[name] as TensorValue]));
    const results = await session.run(needed);
    for (const name of computed) found.set(name, results[name] as TensorValue);
    return found;
  } finally {
    await session.close();
  }
}
