import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import * as pb from "onnx-buf";
import { type Attribute, dataTypes, type Graph, type Model, type Node, type Tensor, type ValueInfo } from "./ir.ts";

const bytes = (b: Uint8Array) => b as Uint8Array<ArrayBuffer>;

function tensor(t: Tensor): MessageInitShape<typeof pb.TensorProtoSchema> {
  const head = { name: t.name, dims: t.dims.map(BigInt), dataType: dataTypes[t.dataType].onnx };
  if (t.strings) return { ...head, stringData: t.strings.map(bytes) };
  if (t.data.kind === "inline") return { ...head, rawData: bytes(t.data.bytes) };
  const { location, offset, length } = t.data;
  return {
    ...head,
    dataLocation: pb.TensorProto_DataLocation.EXTERNAL,
    externalData: Object.entries({ location, offset, length }).map(([key, value]) => ({ key, value: String(value) })),
  };
}

function attribute(name: string, a: Attribute): MessageInitShape<typeof pb.AttributeProtoSchema> {
  const T = pb.AttributeProto_AttributeType;
  switch (a.kind) {
    case "float":
      return { name, type: T.FLOAT, f: a.value };
    case "int":
      return { name, type: T.INT, i: a.value };
    case "string":
      return { name, type: T.STRING, s: bytes(a.value) };
    case "tensor":
      return { name, type: T.TENSOR, t: tensor(a.value) };
    case "graph":
      return { name, type: T.GRAPH, g: graph(a.value) };
    case "floats":
      return { name, type: T.FLOATS, floats: [...a.value] };
    case "ints":
      return { name, type: T.INTS, ints: [...a.value] };
    case "strings":
      return { name, type: T.STRINGS, strings: a.value.map(bytes) };
  }
}

const node = (n: Node): MessageInitShape<typeof pb.NodeProtoSchema> => ({
  name: n.name,
  opType: n.opType,
  domain: n.domain,
  input: [...n.inputs],
  output: [...n.outputs],
  attribute: Object.entries(n.attributes).map(([k, v]) => attribute(k, v)),
});

const dimension = (d: number | string): MessageInitShape<typeof pb.TensorShapeProto_DimensionSchema> =>
  typeof d === "number" ? { value: { case: "dimValue", value: BigInt(d) } } : d === "" ? {} : { value: { case: "dimParam", value: d } };

const valueInfo = (v: ValueInfo): MessageInitShape<typeof pb.ValueInfoProtoSchema> => ({
  name: v.name,
  type: {
    value: {
      case: "tensorType",
      value: { elemType: dataTypes[v.dataType].onnx, ...(v.shape ? { shape: { dim: v.shape.map(dimension) } } : {}) },
    },
  },
});

const graph = (g: Graph, probes: readonly string[] = []): MessageInitShape<typeof pb.GraphProtoSchema> => ({
  name: g.name,
  input: g.inputs.map(valueInfo),
  output: [...g.outputs.map(valueInfo), ...probes.map((name) => ({ name }))],
  initializer: [...g.initializers.values()].map(tensor),
  node: g.nodes.map(node),
  valueInfo: g.valueInfo.map(valueInfo),
});

/**
 * Writes a model as ONNX bytes. The same model gives the same bytes; `decode` of them gives the same model.
 *
 * @param probes names of inner values to list as further outputs, without types: whoever loads the file infers them
 */
export function encode(m: Model, probes: readonly string[] = []): Uint8Array {
  return toBinary(
    pb.ModelProtoSchema,
    create(pb.ModelProtoSchema, {
      irVersion: BigInt(m.irVersion),
      opsetImport: Object.entries(m.opsets).map(([domain, version]) => ({ domain, version: BigInt(version) })),
      producerName: m.producerName,
      producerVersion: m.producerVersion,
      metadataProps: Object.entries(m.metadata).map(([key, value]) => ({ key, value })),
      graph: graph(m.graph, probes),
    }),
  );
}
