import { EspalierError } from "../errors.ts";
import { numberAt } from "../number-at.ts";
import { dataTypes, sizeAt, sizeOf, type Tensor } from "./ir.ts";
import { integersOf } from "./tensors.ts";

/** A sparse tensor may be so large when it is written out: a few bytes can state any size. */
const mostBytes = 1 << 28;

const fail = (name: string, what: string): never => {
  throw new EspalierError("INVALID_ONNX", `the sparse tensor "${name}" ${what}`);
};

/**
 * A sparse tensor written out.
 *
 * @param values [N], the elements that are not 0
 * @param indices [N] places counted through the whole tensor, or [N, rank] places along each axis
 * @throws EspalierError INVALID_ONNX if they do not fit each other, or are too much
 */
export function dense(values: Tensor, indices: Tensor, dims: readonly number[]): Tensor {
  const { name, dataType } = values;
  const width = dataTypes[dataType].bytes;
  const size = sizeOf(dims);
  if (width < 1) fail(name, `is of type ${dataType}`);
  if (!(size * width <= mostBytes)) fail(name, `would take ${size * width} bytes written out; at most ${mostBytes} are`);
  if (values.data.kind !== "inline" || indices.data.kind !== "inline") return fail(name, "lies in an external file");
  const count = sizeOf(values.dims);
  const perPlace = indices.dims.length === 2 ? dims.length : 1;
  const places = integersOf(indices);
  if (places.length !== count * perPlace) fail(name, `has ${count} elements and ${places.length} indices`);
  const bytes = new Uint8Array(size * width);
  for (let i = 0; i < count; i++) {
    const along = places.slice(i * perPlace, (i + 1) * perPlace);
    const at = perPlace === 1 ? numberAt(along, 0) : along.reduce((n, k, axis) => n * sizeAt(dims, axis) + k, 0);
    if (!(at >= 0 && at < size)) fail(name, `has an element at ${along}, of [${dims}]`);
    bytes.set(values.data.bytes.subarray(i * width, (i + 1) * width), at * width);
  }
  return { name, dataType, dims, data: { kind: "inline", bytes } };
}
