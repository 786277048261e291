import { EspalierError } from "../errors.ts";
import { numberAt } from "../number-at.ts";
import { type DataType, sizeOf, type Tensor } from "./ir.ts";

/** Typed views of small constant tensors. ONNX bytes are little-endian, as is every platform Node and ONNX Runtime share. */
export const bytesOf = (tensor: Tensor): Uint8Array => {
  if (tensor.data.kind === "inline") return tensor.data.bytes;
  throw new EspalierError("EXTERNAL_TENSOR", `tensor "${tensor.name}" lies in an external file and was not read`);
};

/** Elements in memory, as a graph holds them; nothing is copied. */
export const tensorOf = (
  name: string,
  { dataType, dims, data }: { readonly dataType: DataType; readonly dims: readonly number[]; readonly data: ArrayBufferView },
): Tensor => ({
  name,
  dataType,
  dims,
  data: { kind: "inline", bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) },
});

type IntegerArray = BigInt64Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>;

const integerArrays: Partial<Record<DataType, (length: number, value: (i: number) => number) => IntegerArray>> = {
  int64: (length, value) => BigInt64Array.from({ length }, (_, i) => BigInt(value(i))),
  int32: (length, value) => Int32Array.from({ length }, (_, i) => value(i)),
  bool: (length, value) => Uint8Array.from({ length }, (_, i) => value(i)),
};

/** The element types that can hold what a model is fed beside floats: ids, masks, positions. */
export const isInteger = (dataType: DataType): boolean => dataType in integerArrays;

/** The elements of an integer or bool tensor, by their places. @throws EspalierError TENSOR_TYPE */
export function integerArray(dataType: DataType, length: number, value: (i: number) => number): IntegerArray {
  const make = integerArrays[dataType];
  if (!make) throw new EspalierError("TENSOR_TYPE", `integers are asked for as ${dataType}; they can be int64, int32 or bool`);
  return make(length, value);
}

/** @throws EspalierError TENSOR_TYPE */
export const integerTensor = (name: string, dataType: DataType, dims: readonly number[], values: readonly number[]): Tensor =>
  tensorOf(name, { dataType, dims, data: integerArray(dataType, values.length, (i) => numberAt(values, i)) });

export const int64Tensor = (name: string, dims: readonly number[], values: readonly number[]): Tensor =>
  integerTensor(name, "int64", dims, values);

export const float32Tensor = (name: string, dims: readonly number[], values: Float32Array | readonly number[]): Tensor =>
  tensorOf(name, { dataType: "float32", dims, data: Float32Array.from(values) });

/** A tensor of floats of any width, rounded to the nearest, ties to even. @throws EspalierError TENSOR_TYPE */
export function floatTensor(name: string, dataType: DataType, dims: readonly number[], values: Float32Array): Tensor {
  const write: Partial<Record<DataType, () => ArrayBufferView>> = {
    float32: () => values,
    float64: () => Float64Array.from(values),
    float16: () => Uint16Array.from(values, numberToHalf),
    bfloat16: () => Uint16Array.from(new Uint32Array(Float32Array.from(values).buffer), upperHalf),
  };
  const data = write[dataType]?.();
  if (!data) throw new EspalierError("TENSOR_TYPE", `tensor "${name}" is ${dataType}, not of floats`);
  return tensorOf(name, { dataType, dims, data });
}

/** The upper half of a float32, rounded. Numbers that are none stay so. */
const upperHalf = (bits: number): number =>
  (bits & 0x7fffffff) > 0x7f800000 ? (bits >>> 16) | 0x40 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;

/** IEEE 754 binary16 of a number, which beyond its range is infinite. */
function numberToHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return sign | 0x7e00;
  // Numbers are 1,024 steps apart from one power of two to the next, and all below the least power are as far apart as above it.
  const exponent = Math.max(-14, Math.floor(Math.log2(size || 2 ** -14)));
  const step = 2 ** (exponent - 10);
  const steps = size / step;
  const below = Math.floor(steps);
  const rest = steps - below;
  const rounded = rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
  if (rounded * step >= 65_536) return sign | 0x7c00;
  // Rounding up to the next power of two carries into the exponent by itself.
  return sign + (rounded < 1024 ? rounded : (exponent + 14) * 1024 + rounded);
}

/** The elements of an integer or bool tensor as numbers. @throws EspalierError if external or not of an integer type. */
export function integersOf(tensor: Tensor): number[] {
  const bytes = bytesOf(tensor);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const n = sizeOf(tensor.dims);
  const read: Partial<Record<DataType, (i: number) => number>> = {
    int64: (i) => Number(view.getBigInt64(i * 8, true)),
    int32: (i) => view.getInt32(i * 4, true),
    uint8: (i) => view.getUint8(i),
    int8: (i) => view.getInt8(i),
    bool: (i) => view.getUint8(i),
  };
  const get = read[tensor.dataType];
  if (!get) throw new EspalierError("TENSOR_TYPE", `tensor "${tensor.name}" is ${tensor.dataType}, not an integer type`);
  return Array.from({ length: n }, (_, i) => get(i));
}

/** The elements of a float32 tensor; copied only where its bytes are not aligned. */
export function float32Of(tensor: Tensor): Float32Array {
  if (tensor.dataType !== "float32") throw new EspalierError("TENSOR_TYPE", `tensor "${tensor.name}" is ${tensor.dataType}, not float32`);
  const bytes = bytesOf(tensor);
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}

/** IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** What each binary16 stands for: made once, for matrices have millions. */
let halves: Float32Array | undefined;

function widened(bits: Uint16Array): Float32Array {
  halves ??= Float32Array.from({ length: 1 << 16 }, (_, i) => halfToNumber(i));
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = halves[bits[i] as number] as number;
  return values;
}

function upperHalves(bits: Uint16Array): Float32Array {
  const wide = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) wide[i] = (bits[i] as number) << 16;
  return new Float32Array(wide.buffer);
}

/** The elements of a tensor of floats of any width, whose bytes have been read. @throws EspalierError TENSOR_TYPE */
export function floatsOf({ name, dataType }: Pick<Tensor, "name" | "dataType">, bytes: Uint8Array): Float32Array {
  const own = bytes.byteOffset % 8 === 0 ? bytes : bytes.slice();
  const as = <T>(array: new (buffer: ArrayBufferLike, offset: number, length: number) => T, width: number): T =>
    new array(own.buffer, own.byteOffset, own.byteLength / width);
  const read: Partial<Record<DataType, () => Float32Array>> = {
    float32: () => as(Float32Array, 4),
    float64: () => Float32Array.from(as(Float64Array, 8)),
    float16: () => widened(as(Uint16Array, 2)),
    // The upper half of a float32.
    bfloat16: () => upperHalves(as(Uint16Array, 2)),
  };
  const values = read[dataType]?.();
  if (!values) throw new EspalierError("TENSOR_TYPE", `tensor "${name}" is ${dataType}, not of floats`);
  return values;
}
