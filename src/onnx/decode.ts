import { fromBinary } from "@bufbuild/protobuf";
import * as pb from "onnx-buf";
import { EspalierError } from "../errors.ts";
import { dense } from "./dense.ts";
import { inlineFunctions } from "./inline-functions.ts";
import {
  type Attribute,
  type DataType,
  dataTypes,
  type Graph,
  type Model,
  type Node,
  sizeOf,
  type Tensor,
  type TensorData,
  type ValueInfo,
} from "./ir.ts";

const names = new Map(Object.entries(dataTypes).map(([name, t]) => [t.onnx as number, name as DataType]));

const fail = (message: string, details?: Record<string, unknown>): never => {
  throw new EspalierError("INVALID_ONNX", message, details);
};

const dataType = (code: number, where: string): DataType =>
  names.get(code) ?? fail(`${where} has element type ${code}, which is not supported`);

/** What the format lists and the IR looks up by name: a second of a name would take the first one's place unseen. */
function once<T>(entries: readonly (readonly [name: string, T])[], what: string): Map<string, T> {
  const map = new Map<string, T>();
  for (const [name, value] of entries) {
    if (map.has(name)) fail(`there is a second ${what} "${name}"`);
    map.set(name, value);
  }
  return map;
}

/** What is called by a name in a graph is stored and told by it; PostgreSQL cannot store NUL, and no name means it. */
function named(name: string): string {
  if (name.includes("\0")) fail(`the name ${JSON.stringify(name.slice(0, 100))} holds the character NUL`);
  return name;
}

/** Sizes come from the file: anything that is not a sane non-negative integer is refused here, before it is multiplied. */
function dimension(value: bigint, where: string): number {
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) fail(`${where} has the absurd dimension ${value}`);
  return Number(value);
}

function externalData(t: pb.TensorProto, bytes: number): TensorData {
  const entries = Object.fromEntries(t.externalData.map((e) => [e.key, e.value]));
  const location = entries["location"] ?? fail(`tensor "${t.name}" is external but names no file`);
  const offset = Number(entries["offset"] ?? 0);
  const length = Number(entries["length"] ?? bytes);
  if (!Number.isSafeInteger(offset) || offset < 0 || length !== bytes)
    fail(`tensor "${t.name}" has offset ${entries["offset"]} and length ${entries["length"]} in "${location}", but needs ${bytes} bytes`);
  return { kind: "external", location, offset, length };
}

/** Files may hold elements in typed fields instead of raw bytes; they are brought to raw bytes here, once. */
function typedFields(t: pb.TensorProto, type: DataType): Uint8Array {
  const arrays: Partial<Record<DataType, () => ArrayBufferView>> = {
    float32: () => Float32Array.from(t.floatData),
    float64: () => Float64Array.from(t.doubleData),
    int64: () => BigInt64Array.from(t.int64Data),
    uint64: () => BigUint64Array.from(t.uint64Data),
    uint32: () => Uint32Array.from(t.uint64Data, Number),
    int32: () => Int32Array.from(t.int32Data),
    int16: () => Int16Array.from(t.int32Data),
    uint16: () => Uint16Array.from(t.int32Data),
    float16: () => Uint16Array.from(t.int32Data),
    bfloat16: () => Uint16Array.from(t.int32Data),
    int8: () => Int8Array.from(t.int32Data),
    uint8: () => Uint8Array.from(t.int32Data),
    bool: () => Uint8Array.from(t.int32Data),
    int4: () => Uint8Array.from(t.int32Data),
    uint4: () => Uint8Array.from(t.int32Data),
  };
  const view = (arrays[type] ?? (() => fail(`tensor "${t.name}" of type ${type} has no raw data`)))();
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function tensor(t: pb.TensorProto): Tensor {
  const type = dataType(t.dataType, `tensor "${t.name}"`);
  const dims = t.dims.map((d) => dimension(d, `tensor "${t.name}"`));
  const count = sizeOf(dims);
  if (!Number.isSafeInteger(count)) fail(`tensor "${t.name}" has absurd dimensions ${dims.join(" x ")}`);
  if (type === "string") {
    if (t.stringData.length !== count) fail(`tensor "${t.name}" needs ${count} strings, but holds ${t.stringData.length}`);
    return { name: t.name, dataType: type, dims, data: { kind: "inline", bytes: new Uint8Array() }, strings: t.stringData };
  }
  const need = Math.ceil(count * dataTypes[type].bytes);
  if (t.dataLocation === pb.TensorProto_DataLocation.EXTERNAL) return { name: t.name, dataType: type, dims, data: externalData(t, need) };
  const bytes = t.rawData.length > 0 || need === 0 ? t.rawData : typedFields(t, type);
  if (bytes.length !== need) fail(`tensor "${t.name}" needs ${need} bytes, but holds ${bytes.length}`);
  return { name: t.name, dataType: type, dims, data: { kind: "inline", bytes } };
}

function sparseTensor({ values, indices, dims }: pb.SparseTensorProto, where: string): Tensor {
  if (!values || !indices) return fail(`the sparse tensor of ${where} has no values or no indices`);
  return dense(
    tensor(values),
    tensor(indices),
    dims.map((d) => dimension(d, `the sparse tensor of ${where}`)),
  );
}

function attribute(a: pb.AttributeProto, node: string): Attribute {
  const T = pb.AttributeProto_AttributeType;
  if (a.refAttrName !== "") return fail(`attribute "${a.name}" of node "${node}" refers to one of a caller, and there is none`);
  switch (a.type) {
    case T.FLOAT:
      return { kind: "float", value: a.f };
    case T.INT:
      return { kind: "int", value: a.i };
    case T.STRING:
      return { kind: "string", value: a.s };
    case T.TENSOR:
      return { kind: "tensor", value: tensor(a.t ?? fail(`attribute "${a.name}" of node "${node}" holds no tensor`)) };
    case T.SPARSE_TENSOR:
      return {
        kind: "tensor",
        value: sparseTensor(a.sparseTensor ?? fail(`attribute "${a.name}" of node "${node}" holds no tensor`), `node "${node}"`),
      };
    case T.GRAPH:
      return { kind: "graph", value: graph(a.g ?? fail(`attribute "${a.name}" of node "${node}" holds no graph`)) };
    case T.FLOATS:
      return { kind: "floats", value: a.floats };
    case T.INTS:
      return { kind: "ints", value: a.ints };
    case T.STRINGS:
      return { kind: "strings", value: a.strings };
    default:
      return fail(`attribute "${a.name}" of node "${node}" has kind ${T[a.type] ?? a.type}, which is not supported`);
  }
}

function node(n: pb.NodeProto, index: number): Node {
  const name = named(n.name || `${n.opType}_${index}`);
  return {
    name,
    opType: named(n.opType),
    domain: named(n.domain),
    inputs: n.input.map(named),
    outputs: n.output.map(named),
    attributes: Object.fromEntries(
      once(
        // A sparse constant is written out, and is then a constant as others are.
        n.attribute.map((a) => [a.name === "sparse_value" ? "value" : named(a.name), attribute(a, name)] as const),
        `attribute of node "${name}"`,
      ),
    ),
  };
}

function valueInfo(v: pb.ValueInfoProto): ValueInfo {
  const type = v.type?.value;
  if (type?.case !== "tensorType") return fail(`value "${v.name}" is not a tensor`);
  const shape = type.value.shape
    ? type.value.shape.dim.map((d) =>
        d.value.case === "dimValue" ? dimension(d.value.value, `value "${v.name}"`) : named(d.value.value ?? ""),
      )
    : null;
  return { name: named(v.name), dataType: dataType(type.value.elemType, `value "${v.name}"`), shape };
}

function graph(g: pb.GraphProto): Graph {
  return {
    name: g.name,
    inputs: g.input.map(valueInfo),
    outputs: g.output.map(valueInfo),
    initializers: once(
      [...g.initializer.map(tensor), ...g.sparseInitializer.map((s) => sparseTensor(s, "an initializer"))].map(
        (t) => [named(t.name), t] as const,
      ),
      "initializer",
    ),
    nodes: g.node.map(node),
    valueInfo: g.valueInfo.filter((v) => v.type?.value.case === "tensorType").map(valueInfo),
  };
}

/**
 * Reads an ONNX file. Tensor bytes stay views into `file`; external data is named, not read. Local functions are inlined
 * and sparse tensors written out, so that the IR needs no words for them.
 *
 * @throws EspalierError INVALID_ONNX if the bytes are not a whole ONNX model, or hold something the IR cannot say
 *   (sequence types): what cannot be written back is not read.
 */
export function decode(file: Uint8Array): Model {
  let m: pb.ModelProto;
  try {
    // A plain view: a Buffer's subarrays would be Buffers, and tensors compare by kind too.
    m = fromBinary(pb.ModelProtoSchema, new Uint8Array(file.buffer, file.byteOffset, file.byteLength));
  } catch (cause) {
    throw new EspalierError("INVALID_ONNX", "the file is not an ONNX model, or is cut short", {}, { cause });
  }
  if (!m.graph || m.graph.node.length === 0) return fail("the file is not an ONNX model: it holds no graph");
  m = inlineFunctions(m);
  return {
    irVersion: Number(m.irVersion),
    opsets: Object.fromEntries(m.opsetImport.map((o) => [o.domain === "ai.onnx" ? "" : named(o.domain), Number(o.version)])),
    producerName: m.producerName,
    producerVersion: m.producerVersion,
    metadata: Object.fromEntries(m.metadataProps.map((p) => [p.key, p.value])),
    graph: graph(m.graph as pb.GraphProto),
  };
}
