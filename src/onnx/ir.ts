/**
 * The graph: frozen records, edges by name, exactly what ONNX says and nothing derived.
 * A transform is a function from a graph to a new graph; what it does not touch is shared, never copied.
 *
 * Source: the ONNX specification, docs/IR.md.
 */

/** A size, or the name of a size that is known only at run time. `""` is a size without a name. */
export type Dim = number | string;

/** Element types, in the words of ONNX Runtime. */
export const dataTypes = {
  float32: { onnx: 1, bytes: 4 },
  uint8: { onnx: 2, bytes: 1 },
  int8: { onnx: 3, bytes: 1 },
  uint16: { onnx: 4, bytes: 2 },
  int16: { onnx: 5, bytes: 2 },
  int32: { onnx: 6, bytes: 4 },
  int64: { onnx: 7, bytes: 8 },
  string: { onnx: 8, bytes: 0 },
  bool: { onnx: 9, bytes: 1 },
  float16: { onnx: 10, bytes: 2 },
  float64: { onnx: 11, bytes: 8 },
  uint32: { onnx: 12, bytes: 4 },
  uint64: { onnx: 13, bytes: 8 },
  bfloat16: { onnx: 16, bytes: 2 },
  uint4: { onnx: 21, bytes: 0.5 },
  int4: { onnx: 22, bytes: 0.5 },
} as const satisfies Record<string, { onnx: number; bytes: number }>;
export type DataType = keyof typeof dataTypes;

/** Whether numbers of this type have 16 bits: sums of them lose much. */
export const isHalfPrecision = (type: DataType): boolean => type === "float16" || type === "bfloat16";
export const isFloat = (type: DataType): boolean => type === "float32" || type === "float16" || type === "bfloat16" || type === "float64";

/** Element type and shape of a tensor; `shape: null` where the rank is unknown. */
export interface TensorType {
  readonly dataType: DataType;
  readonly shape: readonly Dim[] | null;
}

/** A named, typed graph input or output. */
export interface ValueInfo extends TensorType {
  readonly name: string;
}

/** Where a tensor's little-endian bytes are: here, or in a file beside the model. */
export type TensorData =
  | { readonly kind: "inline"; readonly bytes: Uint8Array }
  | { readonly kind: "external"; readonly location: string; readonly offset: number; readonly length: number };

/** A constant tensor. String tensors hold their strings in `strings` and no bytes. */
export interface Tensor {
  readonly name: string;
  readonly dataType: DataType;
  readonly dims: readonly number[];
  readonly data: TensorData;
  readonly strings?: readonly Uint8Array[];
}

export type Attribute =
  | { readonly kind: "float"; readonly value: number }
  | { readonly kind: "int"; readonly value: bigint }
  | { readonly kind: "string"; readonly value: Uint8Array }
  | { readonly kind: "tensor"; readonly value: Tensor }
  | { readonly kind: "graph"; readonly value: Graph }
  | { readonly kind: "floats"; readonly value: readonly number[] }
  | { readonly kind: "ints"; readonly value: readonly bigint[] }
  | { readonly kind: "strings"; readonly value: readonly Uint8Array[] };

/** One operator call. An absent optional input or output is `""`. */
export interface Node {
  readonly name: string;
  readonly opType: string;
  /** `""` is the standard ONNX domain. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, Attribute>>;
}

/** Nodes are in topological order; every value name is defined once. */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly initializers: ReadonlyMap<string, Tensor>;
  readonly nodes: readonly Node[];
  /** Types the file states for inner values; a hint, never relied upon. */
  readonly valueInfo: readonly ValueInfo[];
}

export interface Model {
  readonly irVersion: number;
  /** Version by domain; `""` is the standard domain. */
  readonly opsets: Readonly<Record<string, number>>;
  readonly producerName: string;
  readonly producerVersion: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly graph: Graph;
}

/** A graph in which every value's type and static shape is known (see runtime/specialise). */
export interface TypedGraph {
  readonly graph: Graph;
  readonly opsets: Readonly<Record<string, number>>;
  /** By value name: graph inputs, initializers and every node output. */
  readonly types: ReadonlyMap<string, StaticType>;
}

export interface StaticType {
  readonly dataType: DataType;
  readonly shape: readonly number[];
}

/**
 * The size of one axis, counted from the end if it is negative.
 *
 * @throws Error if there is no such axis
 */
export function sizeAt(dims: readonly number[], axis: number): number {
  const size = dims.at(axis);
  if (size === undefined) throw new Error(`there is no axis ${axis} in [${dims.join(", ")}]`);
  return size;
}

/** Number of elements. */
export const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

/** Elements between two neighbours along each axis. */
export const stridesOf = (shape: readonly number[]): number[] => shape.map((_, i) => sizeOf(shape.slice(i + 1)));

/** `domain::opType`, without the prefix for the standard domain: the key of every operator table. */
export const operatorKey = (node: Node): string =>
  node.domain === "" || node.domain === "ai.onnx" ? node.opType : `${node.domain}::${node.opType}`;
