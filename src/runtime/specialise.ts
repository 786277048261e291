import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EspalierError } from "../errors.ts";
import { decode } from "../onnx/decode.ts";
import { removeDead, removeUnusedInputs, renameValues, replaceUses, usesOf } from "../onnx/edit.ts";
import { encode } from "../onnx/encode.ts";
import { type DataType, type Graph, type Model, type StaticType, sizeOf, type Tensor, type TypedGraph } from "../onnx/ir.ts";
import { verify } from "../onnx/verify.ts";
import { evaluate, isSizedByElements, withResults } from "./evaluate.ts";
import { openSession } from "./session.ts";

/** What is fixed before a graph is specialised. Every graph input is in one of the two. */
export interface Binding {
  /** Static shapes of the inputs that stay inputs. */
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  /** Inputs that become constants, so that all that follows from them (masks, rotary tables, empty caches) folds away. */
  readonly constants: readonly Tensor[];
  /** Initializers that are kept as they are, under their names, as those are that lie in other files; all others are free to be folded. */
  readonly parameters: readonly string[];
  /** Whether transpositions stay where the model has them, for who looks for its patterns: ONNX Runtime moves them through tables. */
  readonly keepTransposes?: boolean;
}

/**
 * Fixes a graph's shapes and folds the arithmetic on them, with ONNX Runtime as the oracle: no shape rule is written
 * here. The result computes those of the graph's outputs
 * that are named and nothing else; its weights are the same initializers under the same names, and
 * every value's type and static shape is known.
 *
 * How: weights become inputs (so that they are not folded), a session at level `basic` writes its optimised graph, and a
 * second session over that graph, with every value an output, tells types and shapes. Neither session sees a parameter's
 * bytes, so this takes the time and memory of the graph alone.
 *
 * @throws EspalierError UNBOUND_INPUT if an input is left dynamic; ONNX_RUNTIME if the graph does not load;
 *   DYNAMIC_SHAPE if a shape depends on the data
 */
export async function specialise(model: Model, binding: Binding, outputs: readonly string[]): Promise<TypedGraph> {
  const constants = new Map(binding.constants.map((t) => [t.name, t]));
  const inputs = model.graph.inputs.filter((i) => !constants.has(i.name) && !model.graph.initializers.has(i.name));
  const bound = inputs.map((input) => {
    const shape = binding.shapes[input.name];
    if (!shape) throw new EspalierError("UNBOUND_INPUT", `no shape was given for the model's input "${input.name}"`, { input: input.name });
    return { ...input, shape };
  });
  const kept = new Set(binding.parameters);
  const weights = new Map([...model.graph.initializers].filter(([name, t]) => kept.has(name) || t.data.kind === "external"));
  const graph = removeDead({
    ...model.graph,
    inputs: bound,
    outputs: model.graph.outputs.filter((o) => outputs.includes(o.name)).map((o) => ({ ...o, shape: null })),
    initializers: new Map([...model.graph.initializers, ...constants]),
    valueInfo: [],
  });

  const folded = await foldAll({ ...model, graph: weightsAsInputs(spellOut(graph), weights) }, binding.keepTransposes ?? false);
  const lean = removeUnusedInputs(removeDead(joinEmpty(folded.graph)));
  const types = await typesOf({ ...folded, graph: lean });
  for (const t of weights.values()) if (types.has(t.name)) types.set(t.name, { dataType: t.dataType, shape: t.dims });

  const signature = new Set(bound.map((i) => i.name));
  const used = new Set(lean.inputs.map((i) => i.name));
  const specialised: Graph = {
    ...lean,
    inputs: lean.inputs.filter((i) => signature.has(i.name)),
    outputs: lean.outputs.map((o) => ({ ...o, ...(types.get(o.name) as StaticType) })),
    initializers: new Map([...lean.initializers, ...[...weights].filter(([name]) => used.has(name))]),
  };
  verify({ ...folded, graph: specialised });
  return { graph: specialised, opsets: folded.opsets, types };
}

/** ONNX Runtime's Node binding has no bfloat16 inputs: while shapes are worked out, such a weight stands as its fellow of two bytes. */
const standIn = (type: DataType): DataType => (type === "bfloat16" ? "float16" : type);

const weightsAsInputs = (graph: Graph, weights: ReadonlyMap<string, Tensor>): Graph => ({
  ...graph,
  inputs: [
    ...graph.inputs.filter((i) => !weights.has(i.name)),
    ...[...weights.values()]
      .filter((t) => graph.initializers.has(t.name))
      .map((t) => ({ name: t.name, dataType: standIn(t.dataType), shape: t.dims })),
  ],
  initializers: new Map([...graph.initializers].filter(([name]) => !weights.has(name))),
});

/**
 * `a <= b` as `a < b or a = b`, as ONNX defines it: before operator set 16 its schema infers no shape, and ONNX Runtime
 * then takes all that follows for scalars.
 */
export function spellOut(graph: Graph): Graph {
  const strict: Readonly<Record<string, string>> = { LessOrEqual: "Less", GreaterOrEqual: "Greater" };
  const nodes = graph.nodes.flatMap((node) => {
    const opType = node.domain === "" ? strict[node.opType] : undefined;
    if (opType === undefined) return [node];
    const part = (kind: string) => ({ ...node, opType: kind, name: `${node.name}/${kind}`, outputs: [`${node.outputs[0]}/${kind}`] });
    const parts = [part(opType), part("Equal")];
    return [...parts, { ...node, opType: "Or", inputs: parts.flatMap((p) => p.outputs) }];
  });
  return { ...graph, nodes };
}

/** Constant folding; what ONNX Runtime does not fold of it is run, and what follows is folded again. */
async function foldAll(model: Model, keepTransposes: boolean): Promise<Model> {
  const folded = await fold(model, keepTransposes);
  const { graph } = folded;
  const left = graph.nodes.filter((n) => isSizedByElements(n) && usesOf(n).every((i) => graph.initializers.has(i)));
  if (left.length === 0) return folded;
  const read = new Set(left.flatMap(usesOf));
  const part = { ...graph, nodes: left, initializers: new Map([...graph.initializers].filter(([name]) => read.has(name))) };
  const results = await evaluate(
    { ...folded, graph: part },
    left.flatMap((n) => n.outputs.filter((o) => o !== "")),
  );
  return foldAll({ ...folded, graph: withResults(graph, results) }, keepTransposes);
}

/** Constant folding and the removal of redundant nodes, by ONNX Runtime. */
async function fold(model: Model, keepTransposes: boolean): Promise<Model> {
  const folder = await mkdtemp(join(tmpdir(), "espalier-"));
  try {
    const path = join(folder, "folded.onnx");
    const extra = keepTransposes ? { extra: { optimization: { disable_specified_optimizers: "TransposeOptimizer" } } } : {};
    const session = await openSession(
      { bytes: encode(model) },
      { executionProvider: "CPU", threads: 1, native: { graphOptimizationLevel: "basic", optimizedModelFilePath: path, ...extra } },
    );
    await session.close();
    const folded = ownNames(decode(await readFile(path)), model.graph);
    // ONNX Runtime imports every domain it knows; keep those in use.
    const domains = new Set(folded.graph.nodes.map((n) => n.domain));
    return { ...folded, opsets: Object.fromEntries(Object.entries(folded.opsets).filter(([d]) => d === "" || domains.has(d))) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Names of constants that ONNX Runtime made up are made ours: it would make up the same again for the graph's next session. */
function ownNames(folded: Model, before: Graph): Model {
  const known = new Set([...before.initializers.keys(), ...before.nodes.flatMap((n) => n.outputs)]);
  const made = [...folded.graph.initializers.keys()].filter((name) => !known.has(name));
  return { ...folded, graph: renameValues(folded.graph, new Map(made.map((name) => [name, `folded/${name}`]))) };
}

/** A cache of length 0 contributes nothing: it leaves its Concat, and a Concat of one input is that input. */
function joinEmpty(graph: Graph): Graph {
  const empty = new Set([...graph.initializers.values()].filter((t) => sizeOf(t.dims) === 0).map((t) => t.name));
  const outputs = new Set(graph.outputs.map((o) => o.name));
  const alias = new Map<string, string>();
  const nodes = graph.nodes.flatMap((node) => {
    if (node.opType !== "Concat" || !node.inputs.some((i) => empty.has(i))) return [node];
    const inputs = node.inputs.filter((i) => !empty.has(i));
    const [only, ...more] = inputs;
    const [output] = node.outputs as [string];
    if (only === undefined || more.length > 0 || outputs.has(output)) return [{ ...node, inputs }];
    alias.set(output, alias.get(only) ?? only);
    return [];
  });
  return replaceUses({ ...graph, nodes }, alias);
}

/** Types and static shapes of every value, from the metadata of a session in which every value is an output. */
async function typesOf(model: Model): Promise<Map<string, StaticType>> {
  const { graph } = model;
  const values = graph.nodes.flatMap((n) => n.outputs.filter((o) => o !== ""));
  const probe = encode({ ...model, graph: { ...graph, outputs: [] } }, values);
  const session = await openSession({ bytes: probe }, { executionProvider: "CPU", threads: 1, lean: true });
  const types = new Map<string, StaticType>();
  for (const v of [...session.inputs, ...session.outputs]) {
    if (!v.shape?.every((d) => typeof d === "number"))
      throw new EspalierError("DYNAMIC_SHAPE", `the shape of "${v.name}" depends on the data: [${v.shape}]`, { value: v.name });
    types.set(v.name, { dataType: v.dataType, shape: v.shape });
  }
  await session.close();
  for (const t of graph.initializers.values()) types.set(t.name, { dataType: t.dataType, shape: t.dims });
  const missing = graph.nodes.flatMap(usesOf).filter((name) => !types.has(name));
  if (missing.length > 0)
    throw new EspalierError("DYNAMIC_SHAPE", `ONNX Runtime states no type for ${missing.slice(0, 5).join(", ")}`, { missing });
  return types;
}
