import { EspalierError } from "../errors.ts";
import * as attr from "./attributes.ts";
import { removeDead } from "./edit.ts";
import { type Model, type Node, operatorKey, sizeOf, type Tensor } from "./ir.ts";
import { type PackedCodes, unpackedRows } from "./packed-codes.ts";
import type { TensorReader } from "./read-tensor.ts";
import { floatsOf } from "./tensors.ts";

/** A graph in floats, and what reads its weights. */
export interface Unpacked {
  readonly model: Model;
  /** Unpacks what is asked for, and reads all else as before. */
  readonly read: TensorReader;
  /** How many matrices were codes. */
  readonly count: number;
}

/** A matrix of codes. */
interface Matrix {
  readonly inputs: number;
  readonly outputs: number;
  /** Whether it is to lie as [inputs, outputs]. */
  readonly isInputsFirst: boolean;
  /** Codes of some outputs. */
  readonly some: (from: number, count: number) => PackedCodes;
}

/** The name of the matrix that a node reads codes of. */
export const matrixOfCodes = (node: Node): string =>
  (node.inputs[operatorKey(node) === product ? 1 : 0] ?? "").replace(/\/(?:codes|table)$/, "");

const [product, table] = ["com.microsoft::MatMulNBits", "com.microsoft::GatherBlockQuantized"];

/**
 * The same model with a matrix in float32 in the place of each matrix of codes, and with `MatMul` and `Gather` to read them. Nothing is unpacked before it is read.
 *
 * @param isInputsFirst whether a matrix of a name lies as [inputs, outputs] in the graph that is made; else it is turned there
 * @returns the model itself if it has no codes
 * @throws EspalierError UNSUPPORTED_CODES with the node, for codes of another form than this server writes
 */
export function withoutCodes(model: Model, read: TensorReader, isInputsFirst: (name: string) => boolean): Unpacked {
  const { graph } = model;
  const matrices = new Map<string, Matrix>();
  const nodes = graph.nodes.flatMap((node): Node[] => {
    const isProduct = operatorKey(node) === product;
    if (!isProduct && operatorKey(node) !== table) return [node];
    const given = node.inputs[isProduct ? 0 : 1] ?? "";
    const name = matrixOfCodes(node);
    const found = { ...(isProduct ? ofProduct(node, model, read) : ofTable(node, model, read)) };
    const isTurned = isProduct && !isInputsFirst(name);
    matrices.set(name, { ...found, isInputsFirst: isProduct && !isTurned });
    const plain = { ...node, domain: "", attributes: {} };
    if (!isProduct) return [{ ...plain, opType: "Gather", inputs: [name, given] }];
    if (!isTurned) return [{ ...plain, opType: "MatMul", inputs: [given, name] }];
    const turned = `${node.outputs[0]}/turned`;
    const attributes = { perm: attr.ints([1, 0]) };
    return [
      { name: `${node.name}/turned`, opType: "Transpose", domain: "", inputs: [name], outputs: [turned], attributes },
      { ...plain, opType: "MatMul", inputs: [given, turned] },
    ];
  });
  if (matrices.size === 0) return { model, read, count: 0 };
  const initializers = new Map(graph.initializers);
  for (const [name, { inputs, outputs, isInputsFirst: first }] of matrices) {
    const data = { kind: "external", location: name, offset: 0, length: 4 * inputs * outputs } as const;
    initializers.set(name, { name, dataType: "float32", dims: first ? [inputs, outputs] : [outputs, inputs], data });
  }
  const unpacked = { ...model, graph: removeDead({ ...graph, nodes, initializers }) };
  return { model: unpacked, read: unpackingReader(read, matrices), count: matrices.size };
}

/** Unpacks rows as they are asked for; what lies by inputs is unpacked whole, and kept until another is. */
function unpackingReader(read: TensorReader, matrices: ReadonlyMap<string, Matrix>): TensorReader {
  let kept: { readonly name: string; readonly bytes: Uint8Array } | null = null;
  return (tensor, from = 0, length) => {
    const matrix = matrices.get(tensor.name);
    if (!matrix) return read(tensor, from, length);
    const { inputs, outputs, some, isInputsFirst } = matrix;
    const end = length === undefined ? 4 * inputs * outputs : from + length;
    if (isInputsFirst) {
      if (kept?.name !== tensor.name) {
        const rows = unpackedRows(some(0, outputs));
        const columns = new Float32Array(rows.length);
        for (let j = 0; j < outputs; j++) for (let i = 0; i < inputs; i++) columns[i * outputs + j] = rows[j * inputs + i] as number;
        kept = { name: tensor.name, bytes: new Uint8Array(columns.buffer) };
      }
      return kept.bytes.slice(from, end);
    }
    const rowBytes = 4 * inputs;
    const first = Math.floor(from / rowBytes);
    const { buffer } = unpackedRows(some(first, Math.ceil(end / rowBytes) - first));
    return new Uint8Array(buffer, from - first * rowBytes, end - from);
  };
}

function ofProduct(node: Node, model: Model, read: TensorReader) {
  const [inputs, outputs] = [attr.intOf(node, "K", 0), attr.intOf(node, "N", 0)];
  const blockSize = attr.intOf(node, "block_size", 0);
  if (node.inputs.slice(4).some((name) => name !== "")) refuse(node, "its inputs are grouped, or it has a bias of its own");
  const bits = bitsOf(node);
  return coded(node, model, read, { bits, blockSize, inputs, outputs, rowBytes: (Math.ceil(inputs / blockSize) * blockSize * bits) / 8 });
}

function ofTable(node: Node, model: Model, read: TensorReader) {
  const [outputs = 0, rowBytes = 0] = model.graph.initializers.get(node.inputs[0] ?? "")?.dims ?? [];
  const bits = bitsOf(node);
  if (attr.intOf(node, "gather_axis", 0) !== 0 || attr.intOf(node, "quantize_axis", 1) !== 1)
    refuse(node, "its blocks do not lie along rows");
  return coded(node, model, read, {
    bits,
    blockSize: attr.intOf(node, "block_size", 128),
    inputs: (rowBytes * 8) / bits,
    outputs,
    rowBytes,
  });
}

interface Shape extends Pick<PackedCodes, "bits" | "blockSize" | "inputs" | "outputs"> {
  /** Bytes of the codes of an output. */
  readonly rowBytes: number;
}

/** @param node has its codes' scales and zero points as inputs 2 and 3 */
function coded(node: Node, { graph }: Model, read: TensorReader, { rowBytes, ...shape }: Shape): Omit<Matrix, "isInputsFirst"> {
  const tensorOf = (name: string | undefined): Tensor | undefined => graph.initializers.get(name ?? "");
  const codes = tensorOf(node.inputs[operatorKey(node) === product ? 1 : 0]);
  const [scales, zeroPoints] = [tensorOf(node.inputs[2]), tensorOf(node.inputs[3])];
  const { bits, blockSize, inputs, outputs } = shape;
  const blocks = Math.ceil(inputs / blockSize);
  const zeroBytes = Math.ceil((blocks * bits) / 8);
  if (codes?.dataType !== "uint8" || sizeOf(codes.dims) !== outputs * rowBytes) return refuse(node, "its codes are no bytes of its graph");
  if (!scales || sizeOf(scales.dims) !== outputs * blocks) return refuse(node, "its scales are not one a block");
  if (node.inputs[3] && (zeroPoints?.dataType !== "uint8" || sizeOf(zeroPoints.dims) !== outputs * zeroBytes))
    return refuse(node, "its zero points are no codes");
  const all = floatsOf(scales, read(scales));
  const some = (from: number, count: number): PackedCodes => ({
    ...shape,
    outputs: count,
    codes: read(codes, from * rowBytes, count * rowBytes),
    scales: all.subarray(from * blocks, (from + count) * blocks),
    zeroPoints: zeroPoints ? read(zeroPoints, from * zeroBytes, count * zeroBytes) : null,
  });
  return { inputs, outputs, some };
}

function bitsOf(node: Node): PackedCodes["bits"] {
  const bits = attr.intOf(node, "bits", 4);
  return bits === 2 || bits === 4 || bits === 8 ? bits : refuse(node, `codes of ${bits} bits are not read`);
}

function refuse(node: Node, why: string): never {
  throw new EspalierError(
    "UNSUPPORTED_CODES",
    `the codes of ${operatorKey(node)} ${node.name} are of a form that is not unpacked: ${why}`,
    {
      node: node.name,
    },
  );
}
