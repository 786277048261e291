import { closeSync, openSync, readSync } from "node:fs";
import { EspalierError } from "../../errors.ts";
import { numberAt } from "../../number-at.ts";
import { sizeOf } from "../../onnx/ir.ts";
import { bytesOfElements } from "./element-types.ts";
import type { Piece, Plan, Source } from "./tensor-plan.ts";

/** How many elements are held at once. */
const chunk = 1 << 20;

/** Open files of sources, by their paths. */
export class Sources {
  readonly #handles = new Map<string, number>();

  /** Fills the target with the bytes at an offset. @throws EspalierError INVALID_GGUF if the file has become shorter */
  read({ path, name }: Source, target: Uint8Array, offset: number): void {
    const known = this.#handles.get(path);
    const handle = known ?? openSync(path, "r");
    if (known === undefined) this.#handles.set(path, handle);
    for (let read = 0; read < target.length; ) {
      const got = readSync(handle, target, read, target.length - read, offset + read);
      if (got === 0)
        throw new EspalierError("INVALID_GGUF", `tensor "${name}" ends before its bytes do: the file was cut short`, { tensor: name });
      read += got;
    }
  }

  close(): void {
    for (const handle of this.#handles.values()) closeSync(handle);
    this.#handles.clear();
  }
}

/**
 * The bytes of a tensor by its plan, piece by piece: memory holds some megabytes, or for one that is turned the whole of it.
 *
 * @throws EspalierError WEIGHTS_MISMATCH, with the tensor, where numbers lie beyond what its type can hold
 */
export function* bytesOf(plan: Plan, sources: Sources): Generator<Uint8Array> {
  if (plan.from instanceof Float32Array) yield encoded(plan, plan.from);
  else if (plan.turned) yield* turned(plan, plan.from[0] as Piece, sources);
  else for (const piece of plan.from) yield* copied(plan, piece, sources);
}

/** How many rows a source has, and how long each is. */
function shapeOf({ source, rows }: Piece): readonly [count: number, width: number] {
  const width = rows && source.dims.length === 1 ? 1 : (source.dims.at(-1) ?? 1);
  return [sizeOf(source.dims) / width, width];
}

function* copied(plan: Plan, piece: Piece, sources: Sources): Generator<Uint8Array> {
  const { source, rows } = piece;
  const [all, width] = shapeOf(piece);
  const rowBytes = bytesOfElements(source.type, width);
  const count = rows?.length ?? all;
  const most = Math.max(1, Math.floor(chunk / width));
  const same = source.type.name === plan.type.name && !plan.plus;
  for (let row = 0; row < count; row += most) {
    const length = Math.min(most, count - row);
    const bytes = new Uint8Array(length * rowBytes);
    for (let i = 0; i < length; ) {
      // Rows that follow one another are read at once.
      const first = rows ? numberAt(rows, row + i) : row + i;
      let run = 1;
      if (rows) while (i + run < length && rows[row + i + run] === first + run) run++;
      else run = length;
      sources.read(source, bytes.subarray(i * rowBytes, (i + run) * rowBytes), source.offset + first * rowBytes);
      i += run;
    }
    if (same) yield bytes;
    else {
      const values = new Float32Array(length * width);
      source.type.decode(bytes, values);
      yield encoded(plan, values);
    }
  }
}

function* turned(plan: Plan, piece: Piece, sources: Sources): Generator<Uint8Array> {
  const { source } = piece;
  const [rows, width] = shapeOf(piece);
  const values = new Float32Array(rows * width);
  let at = 0;
  for (const bytes of copied({ ...plan, type: source.type, plus: 0 }, piece, sources)) {
    const part = values.subarray(at, at + (bytes.length / source.type.bytes) * source.type.elements);
    source.type.decode(bytes, part);
    at += part.length;
  }
  const most = Math.max(1, Math.floor(chunk / rows));
  for (let column = 0; column < width; column += most) {
    const count = Math.min(most, width - column);
    const out = new Float32Array(count * rows);
    for (let i = 0; i < count; i++) for (let row = 0; row < rows; row++) out[i * rows + row] = values[row * width + column + i] as number;
    yield encoded(plan, out);
  }
}

/** Numbers, which are changed in place, as the plan's type keeps them. */
function encoded({ name, type, plus }: Plan, values: Float32Array): Uint8Array {
  if (plus) for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) + plus;
  const bytes = new Uint8Array(bytesOfElements(type, values.length));
  if (!type.encode) throw new Error(`nothing is written as ${type.name}`);
  type.encode(values, bytes);
  if (type.name === "F16") requireHalves(name, values, bytes);
  return bytes;
}

function requireHalves(name: string, values: Float32Array, bytes: Uint8Array): void {
  for (let i = 0; i < values.length; i++)
    if (((bytes[2 * i + 1] as number) & 0x7f) === 0x7c && bytes[2 * i] === 0 && Number.isFinite(values[i] as number))
      throw new EspalierError("WEIGHTS_MISMATCH", `tensor "${name}" holds ${values[i]}, which is beyond float16`, { tensor: name });
}
