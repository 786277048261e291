import { type DataType, dataTypes, sizeOf, type Tensor } from "../../onnx/ir.ts";
import type { TensorReader } from "../../onnx/read-tensor.ts";
import { floatsOf, floatTensor } from "../../onnx/tensors.ts";
import type { Segments } from "../blueprints/places.ts";

/**
 * Numbers in rows, read a strip at a time, so that weights are written in another layout without being held in memory. A vector is
 * a matrix of one row.
 */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly dataType: DataType;
  /** The bytes of `count` rows from `from` on, row after row. */
  strip(from: number, count: number): Uint8Array;
}

/** Whole tensors of up to so many bytes are read at once where rows are read across them. */
const atOnce = 64 << 20;

const widthOf = ({ dataType }: Pick<Matrix, "dataType">): number => dataTypes[dataType].bytes;

/** A tensor of one or two axes as it lies. */
export function matrixOf(tensor: Tensor, read: TensorReader): Matrix {
  const { dims, dataType } = tensor;
  const columns = dims.at(-1) ?? 1;
  const bytes = columns * dataTypes[dataType].bytes;
  return { rows: sizeOf(dims) / columns, columns, dataType, strip: (from, count) => read(tensor, from * bytes, count * bytes) };
}

/** Whether two hold the same numbers, in the same type. */
export function isSame(a: Matrix, b: Matrix): boolean {
  if (a.rows !== b.rows || a.columns !== b.columns || a.dataType !== b.dataType) return false;
  const some = Math.max(1, Math.floor(atOnce / (a.columns * widthOf(a))));
  for (let from = 0; from < a.rows; from += some) {
    const count = Math.min(some, a.rows - from);
    if (Buffer.compare(a.strip(from, count), b.strip(from, count)) !== 0) return false;
  }
  return true;
}

/** Rows as columns. */
export function turned(of: Matrix): Matrix {
  const width = widthOf(of);
  let whole: Uint8Array | undefined;
  return {
    rows: of.columns,
    columns: of.rows,
    dataType: of.dataType,
    strip(from, count) {
      const strip = new Uint8Array(count * of.rows * width);
      const copy = (source: Uint8Array, first: number, rows: number) => {
        for (let r = 0; r < rows; r++)
          for (let c = 0; c < count; c++) {
            const at = (r * of.columns + from + c) * width;
            const to = (c * of.rows + first + r) * width;
            for (let b = 0; b < width; b++) strip[to + b] = source[at + b] as number;
          }
      };
      if (of.rows * of.columns * width <= atOnce) {
        whole ??= of.strip(0, of.rows);
        copy(whole, 0, of.rows);
      } else {
        const some = Math.max(1, Math.floor(atOnce / (of.columns * width)));
        for (let first = 0; first < of.rows; first += some) {
          const rows = Math.min(some, of.rows - first);
          copy(of.strip(first, rows), first, rows);
        }
      }
      if (from + count === of.columns) whole = undefined;
      return strip;
    },
  };
}

/** Some rows of a matrix. */
export const rowsOf = (of: Matrix, first: number, rows: number): Matrix => ({
  ...of,
  rows,
  strip: (from, count) => of.strip(first + from, count),
});

/** Matrices of as many columns, one below the other. */
export function stacked(parts: readonly Matrix[]): Matrix {
  const [first] = parts as [Matrix];
  if (parts.length === 1) return first;
  const rows = parts.reduce((n, part) => n + part.rows, 0);
  const bytes = first.columns * widthOf(first);
  return {
    ...first,
    rows,
    strip(from, count) {
      const strip = new Uint8Array(count * bytes);
      let begin = 0;
      for (const part of parts) {
        const [lower, upper] = [Math.max(from, begin), Math.min(from + count, begin + part.rows)];
        if (lower < upper) strip.set(part.strip(lower - begin, upper - lower), (lower - from) * bytes);
        begin += part.rows;
      }
      return strip;
    },
  };
}

const total = (segments: Segments): number => segments.reduce((a, b) => a + b, 0);

/** Where each part of an axis lies in another, whose parts may be longer: begin there, begin here, length. */
function placed(from: Segments, to: Segments): (readonly [target: number, source: number, length: number])[] {
  let [target, source] = [0, 0];
  return from.map((length, i) => {
    const place = [target, source, length] as const;
    target += to[i] as number;
    source += length;
    return place;
  });
}

/** A matrix whose axes are as long as asked for: each part of them is followed by zeros. */
export function widened(of: Matrix, from: readonly [Segments, Segments], to: readonly [Segments, Segments]): Matrix {
  const [rows, columns] = [total(to[0]), total(to[1])];
  if (rows === of.rows && columns === of.columns) return of;
  const width = widthOf(of);
  const [across, down] = [placed(from[1], to[1]), placed(from[0], to[0])];
  return {
    ...of,
    rows,
    columns,
    strip(first, count) {
      const strip = new Uint8Array(count * columns * width);
      for (const [target, source, length] of down) {
        const [lower, upper] = [Math.max(first, target), Math.min(first + count, target + length)];
        if (lower >= upper) continue;
        const bytes = of.strip(source + lower - target, upper - lower);
        for (let r = lower; r < upper; r++)
          for (const [to_, from_, size] of across) {
            const at = ((r - lower) * of.columns + from_) * width;
            strip.set(bytes.subarray(at, at + size * width), ((r - first) * columns + to_) * width);
          }
      }
      return strip;
    },
  };
}

/** Nothing but zeros. */
export const zeros = (rows: number, columns: number, dataType: DataType): Matrix => ({
  rows,
  columns,
  dataType,
  strip: (_, count) => new Uint8Array(count * columns * dataTypes[dataType].bytes),
});

/** Each number changed by itself, and rounded to a type. */
export const mapped = (of: Matrix, dataType: DataType, change: (value: number, column: number) => number): Matrix => ({
  ...of,
  dataType,
  strip(from, count) {
    const values = floatsOf({ name: "", dataType: of.dataType }, of.strip(from, count));
    const changed = Float32Array.from(values, (value, i) => change(value, i % of.columns));
    const { data } = floatTensor("", dataType, [changed.length], changed);
    if (data.kind !== "inline") throw new Error("a tensor in memory lies in memory");
    return data.bytes;
  },
});
