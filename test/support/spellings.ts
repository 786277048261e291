import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import * as pb from "onnx-buf";
import * as attr from "../../src/onnx/attributes.ts";
import { decode } from "../../src/onnx/decode.ts";
import { replaceUses } from "../../src/onnx/edit.ts";
import { encode } from "../../src/onnx/encode.ts";
import { type Attribute, dataTypes, type Graph, type Model, type Node, type Tensor, type ValueInfo } from "../../src/onnx/ir.ts";
import { int64Tensor, isInteger } from "../../src/onnx/tensors.ts";
import { type Random, randomInteger } from "../../src/random.ts";

/** A graph's file, and the files beside it. */
export interface Spelled {
  readonly graph: Uint8Array;
  readonly beside?: Readonly<Record<string, Uint8Array>>;
}

/** Writes a model in another way that computes the same. */
export type Spelling = (model: Model, random: Random) => Spelled;

const inline = (t: Tensor): Uint8Array => {
  if (t.data.kind !== "inline") throw new Error(`"${t.name}" is external`);
  return t.data.bytes;
};

const withGraph = (model: Model, parts: Partial<Graph>): Model => ({ ...model, graph: { ...model.graph, ...parts } });

/** Tensors of so many bytes and more in a file beside the graph. */
export const external =
  (smallest: number, location: string): Spelling =>
  (model) => {
    const parts: Uint8Array[] = [];
    let offset = 0;
    const move = (t: Tensor): Tensor => {
      if (t.strings || t.data.kind === "external" || inline(t).length < smallest) return t;
      const bytes = inline(t);
      parts.push(bytes);
      offset += bytes.length;
      return { ...t, data: { kind: "external", location, offset: offset - bytes.length, length: bytes.length } };
    };
    const initializers = new Map([...model.graph.initializers].map(([name, t]) => [name, move(t)]));
    return { graph: encode(withGraph(model, { initializers })), beside: { [location]: Buffer.concat(parts) } };
  };

const constantOf = (t: Tensor): Node => {
  const plain = { ...t, name: "" };
  const attributes: Record<string, Attribute> =
    t.dataType === "int64" && t.dims.length === 1
      ? { value_ints: { kind: "ints", value: [...new BigInt64Array(inline(t).slice().buffer)] } }
      : { value: attr.tensor(plain) };
  return { name: `${t.name}/Constant`, opType: "Constant", domain: "", inputs: [], outputs: [t.name], attributes };
};

export const constants: Spelling = (model) => {
  const tensors = [...model.graph.initializers.values()];
  const inputs = model.graph.inputs.filter((i) => !model.graph.initializers.has(i.name));
  const nodes = [...tensors.map(constantOf), ...model.graph.nodes];
  return { graph: encode(withGraph(model, { inputs, initializers: new Map(), nodes })) };
};

/** As files of the third version must. */
export const initializersAsInputs: Spelling = (model) => {
  const weights = [...model.graph.initializers.values()].map(({ name, dataType, dims }): ValueInfo => ({ name, dataType, shape: dims }));
  return { graph: encode({ ...withGraph(model, { inputs: [...model.graph.inputs, ...weights] }), irVersion: 3 }) };
};

export const shuffled: Spelling = (model, random) => {
  const nodes = [...model.graph.nodes];
  for (let i = nodes.length - 1; i > 0; i--) {
    const j = randomInteger(random, i + 1);
    [nodes[i], nodes[j]] = [nodes[j] as Node, nodes[i] as Node];
  }
  return { graph: encode(withGraph(model, { nodes })) };
};

/** Inputs of integers are taken as int32, as some exporters for other runtimes have it. */
export const int32Inputs: Spelling = (model) => {
  const { graph } = model;
  const longs = graph.inputs.filter((i) => isInteger(i.dataType) && i.dataType === "int64");
  const to = attr.int(dataTypes.int64.onnx);
  const casts = longs.map(
    ({ name }): Node => ({
      name: `${name}/long`,
      opType: "Cast",
      domain: "",
      inputs: [name],
      outputs: [`${name}/long`],
      attributes: { to },
    }),
  );
  const { nodes } = replaceUses(graph, new Map(longs.map(({ name }) => [name, `${name}/long`])));
  const inputs = graph.inputs.map((i) => (longs.includes(i) ? { ...i, dataType: "int32" as const } : i));
  return { graph: encode(withGraph(model, { inputs, nodes: [...casts, ...nodes] })) };
};

/** Optimum's decoder for both: the first branch reads the cache, the second has none to read. Their values have the same names. */
export const merged: Spelling = (model) => {
  const { graph } = model;
  const body = { ...graph, inputs: [], initializers: new Map<string, Tensor>(), valueInfo: [] };
  const branch = (name: string) => ({ kind: "graph" as const, value: { ...body, name } });
  const node: Node = {
    name: "optimum::if",
    opType: "If",
    domain: "",
    inputs: ["use_cache_branch"],
    outputs: graph.outputs.map((o) => o.name),
    attributes: { then_branch: branch("with_past"), else_branch: branch("no_past") },
  };
  const flag: ValueInfo = { name: "use_cache_branch", dataType: "bool", shape: [1] };
  return { graph: encode(withGraph(model, { inputs: [...graph.inputs, flag], nodes: [node], valueInfo: [] })) };
};

const isVector = (t: Tensor): boolean => t.dims.length === 1 && t.dataType === "float32";

/** Tensors of floats as sparse ones that leave nothing out. */
const sparsely = (t: pb.TensorProto): pb.SparseTensorProto => {
  const count = Number(t.dims[0]);
  const indices = create(pb.TensorProtoSchema, {
    name: `${t.name}/indices`,
    dataType: dataTypes.int64.onnx,
    dims: [BigInt(count)],
    rawData: new Uint8Array(BigInt64Array.from({ length: count }, (_, i) => BigInt(i)).buffer),
  });
  return create(pb.SparseTensorProtoSchema, { values: t, indices, dims: t.dims });
};

/**
 * A decoder merged of two that are not the same. The branch with the cache holds weights of its own: vectors in sparse constants, the
 * others in a file beside the graph. The one without makes empty caches, and weights of these names are zero in it.
 */
export const mergedOfTwo: Spelling = (model) => {
  const { graph } = model;
  const all = [...graph.initializers.values()];
  const vectors = all.filter(isVector);
  const matrices = all.filter((t) => t.dataType === "float32" && t.dims.length === 2).slice(0, 6);
  const own = [...vectors, ...matrices];
  const caches = graph.inputs.filter((i) => i.shape?.length === 4);
  const ints = (name: string, values: readonly number[]): Tensor => int64Tensor(name, [values.length], values);
  const node = (opType: string, inputs: string[], output: string, attributes: Node["attributes"] = {}): Node => ({
    name: output,
    opType,
    domain: "",
    inputs,
    outputs: [output],
    attributes,
  });
  const empties = [
    node("Shape", [graph.inputs[0]?.name as string], "empty/sizes"),
    node("Slice", ["empty/sizes", "empty/0", "empty/1"], "empty/batch"),
    ...caches.flatMap(({ name }) => [
      node("Concat", ["empty/batch", `empty/${name}/rest`], `empty/${name}/shape`, { axis: attr.int(0) }),
      node("ConstantOfShape", [`empty/${name}/shape`], `empty/${name}`),
    ]),
  ];
  const zeros = [
    ints("empty/0", [0]),
    ints("empty/1", [1]),
    ...caches.map(({ name, shape }) => ints(`empty/${name}/rest`, [Number(shape?.[1]), 0, Number(shape?.[3])])),
    ...own.map((t): Tensor => ({ ...t, data: { kind: "inline", bytes: new Uint8Array(inline(t).length) } })),
  ];
  const named = (tensors: readonly Tensor[]) => new Map(tensors.map((t) => [t.name, t]));
  const { graph: file, beside } = external(0, "branch.bin")(withGraph(model, { initializers: named(matrices) }), () => 0);
  const body = { ...graph, inputs: [], valueInfo: [] };
  const withPast = { ...body, initializers: decode(file).graph.initializers, nodes: [...vectors.map(constantOf), ...graph.nodes] };
  const without = replaceUses(body, new Map(caches.map(({ name }) => [name, `empty/${name}`])));
  const noPast = { ...without, initializers: named(zeros), nodes: [...empties, ...without.nodes] };
  const choice: Node = {
    ...node("If", ["use_cache_branch"], "", {
      then_branch: { kind: "graph", value: { ...withPast, name: "with_past" } },
      else_branch: { kind: "graph", value: { ...noPast, name: "no_past" } },
    }),
    outputs: graph.outputs.map((o) => o.name),
  };
  const flag: ValueInfo = { name: "use_cache_branch", dataType: "bool", shape: [1] };
  const initializers = named(all.filter((t) => !own.includes(t)));
  const merged = withGraph(model, { inputs: [...graph.inputs, flag], nodes: [choice], valueInfo: [], initializers });
  const proto = fromBinary(pb.ModelProtoSchema, encode(merged));
  const branch = proto.graph?.node[0]?.attribute.find((a) => a.name === "then_branch")?.g;
  for (const constant of branch?.node.slice(0, vectors.length) ?? [])
    for (const a of constant.attribute) {
      const sparseTensor = sparsely(a.t as pb.TensorProto);
      Object.assign(a, { name: "sparse_value", type: pb.AttributeProto_AttributeType.SPARSE_TENSOR, sparseTensor });
      delete a.t;
    }
  return { graph: toBinary(pb.ModelProtoSchema, proto), ...(beside ? { beside } : {}) };
};

/** Every node of some operators is a call of a function with an attribute, which calls another; a fifth of the others too. */
export const functions: Spelling = (model, random) => {
  const proto = fromBinary(pb.ModelProtoSchema, encode(model));
  const graph = proto.graph as pb.GraphProto;
  const made = new Map<string, pb.FunctionProto>();
  const opsetImport = [...proto.opsetImport, { domain: "local", version: 1n }].map(({ domain, version }) =>
    create(pb.OperatorSetIdProtoSchema, { domain, version }),
  );
  const T = pb.AttributeProto_AttributeType;
  for (const [i, node] of graph.node.entries()) {
    if (node.domain !== "" || node.opType === "Constant" || node.attribute.some((a) => a.type === T.GRAPH)) continue;
    if (node.opType !== "Softmax" && randomInteger(random, 5) > 0) continue;
    const formal = (names: readonly string[], as: string) => names.map((name, k) => (name === "" ? "" : `${as}${k}`));
    const [input, output] = [formal(node.input, "x"), formal(node.output, "y")];
    if (input.includes("") || output.includes("")) continue;
    const attribute = node.attribute.map((a) => create(pb.AttributeProtoSchema, { name: a.name, type: a.type, refAttrName: a.name }));
    const call = (domain: string, opType: string, attributes: pb.AttributeProto[], outputs: string[]) =>
      create(pb.NodeProtoSchema, { domain, opType, input, output: outputs, attribute: attributes });
    const own = { domain: "local", input, output, attribute: node.attribute.map((a) => a.name), opsetImport };
    const name = `${node.opType}_${input.length}_${output.length}_${node.attribute.map((a) => a.name).join("_")}`;
    const hidden = output.map((o) => `${o}_inner`);
    const copies = output.map((o, k) => create(pb.NodeProtoSchema, { opType: "Identity", input: [hidden[k] as string], output: [o] }));
    made.set(
      `${name}_inner`,
      create(pb.FunctionProtoSchema, { ...own, name: `${name}_inner`, node: [call("", node.opType, attribute, output)] }),
    );
    made.set(name, create(pb.FunctionProtoSchema, { ...own, name, node: [call("local", `${name}_inner`, attribute, hidden), ...copies] }));
    graph.node[i] = create(pb.NodeProtoSchema, { ...node, domain: "local", opType: name });
  }
  const all = create(pb.ModelProtoSchema, { ...proto, opsetImport, functions: [...made.values()] });
  return { graph: toBinary(pb.ModelProtoSchema, all) };
};

/** Vectors of floats are stored by their elements that are not 0. */
export const sparse: Spelling = (model) => {
  const proto = fromBinary(pb.ModelProtoSchema, encode(model));
  const graph = proto.graph as pb.GraphProto;
  const isVector = (t: pb.TensorProto) => t.dims.length === 1 && t.dataType === dataTypes.float32.onnx && t.rawData.length > 0;
  graph.sparseInitializer = graph.initializer.filter(isVector).map(sparsely);
  graph.initializer = graph.initializer.filter((t) => !isVector(t));
  return { graph: toBinary(pb.ModelProtoSchema, proto) };
};

/** Inputs and outputs of float16 are of float32, by casts that ONNX Runtime's converter leaves at the end of the nodes. */
export const keptTypes = (model: Model): Model => {
  const { graph } = model;
  const narrow = (v: ValueInfo) => v.dataType === "float16";
  const cast = (from: string, to: string, type: "float16" | "float32"): Node => ({
    name: `${to}/cast`,
    opType: "Cast",
    domain: "",
    inputs: [from],
    outputs: [to],
    attributes: { to: attr.int(dataTypes[type].onnx) },
  });
  const inside = (name: string) => `${name}/float16`;
  const fed = replaceUses(graph, new Map(graph.inputs.filter(narrow).map(({ name }) => [name, inside(name)])));
  const given = new Set(graph.outputs.filter(narrow).map((o) => o.name));
  const swap = (name: string) => (given.has(name) ? inside(name) : name);
  const nodes = fed.nodes.map((n) => ({ ...n, inputs: n.inputs.map(swap), outputs: n.outputs.map(swap) }));
  const wide = (v: ValueInfo): ValueInfo => (narrow(v) ? { ...v, dataType: "float32" } : v);
  return withGraph(model, {
    inputs: graph.inputs.map(wide),
    outputs: graph.outputs.map(wide),
    valueInfo: [],
    nodes: [
      ...nodes,
      ...graph.inputs.filter(narrow).map(({ name }) => cast(name, inside(name), "float16")),
      ...[...given].map((name) => cast(inside(name), name, "float32")),
    ],
  });
};
