import { transposed } from "../../algebra/vectors.ts";
import { EspalierError } from "../../errors.ts";
import type { Value } from "../../onnx/builder.ts";
import { consumers } from "../../onnx/edit.ts";
import { sizeAt, sizeOf, type Tensor, type TypedGraph } from "../../onnx/ir.ts";
import { floatsOf } from "../../onnx/tensors.ts";
import type { Prepared, Subject, Trained } from "./method.ts";
import { spliced } from "./splice.ts";

/** A weight that repeats another, as it is or turned. */
export interface Copy {
  readonly of: string;
  readonly isTurned: boolean;
}

/**
 * The weights themselves are trained: each becomes an input, in float32 whatever it is stored in. One that repeats another goes on
 * repeating it.
 *
 * @param parameters names of initializers
 * @throws EspalierError NOTHING_TO_TRAIN if the logits depend on none of them
 */
export function asInputs(subject: Subject, parameters: readonly string[], copies: ReadonlyMap<string, Copy> = new Map()): Prepared {
  const { forward: typed, initializers, read } = subject;
  const float32 = inFloat32(typed);
  const used = parameters.filter((name) => typed.types.has(name) && typed.graph.initializers.has(name));
  if (used.length === 0) throw new EspalierError("NOTHING_TO_TRAIN", "the model has no weights of the kind that is to be trained");
  const inputName = (parameter: string) => `trained/${parameter}`;
  const forward = spliced(typed, (b, instead) => {
    const inputs = new Map<string, Value>();
    const inputOf = (name: string): Value => {
      const known = inputs.get(name) ?? b.input(inputName(name), "float32", (initializers.get(name) as Tensor).dims);
      inputs.set(name, known);
      return known;
    };
    for (const name of used) {
      const copy = copies.get(name);
      const value = copy ? (copy.isTurned ? b.transpose(inputOf(copy.of)) : inputOf(copy.of)) : inputOf(name);
      instead.set(float32(name), value);
    }
  });
  const own = [...new Set(used.map((name) => copies.get(name)?.of ?? name))];
  const valuesOf = (name: string) => {
    const tensor = initializers.get(name) as Tensor;
    return floatsOf(tensor, read(tensor));
  };
  return {
    forward,
    trained: own.map(
      (name): Trained => ({ name: inputName(name), shape: (initializers.get(name) as Tensor).dims, initial: () => valuesOf(name) }),
    ),
    *merged(values) {
      for (const name of used) {
        const { of, isTurned } = copies.get(name) ?? { of: name, isTurned: false };
        const found = values(inputName(of));
        yield [name, isTurned ? turnedBack(found, (initializers.get(of) as Tensor).dims) : found];
      }
    },
  };
}

/** Where a weight that is stored narrow is read: what it is widened to. */
export function inFloat32({ graph, types }: TypedGraph): (parameter: string) => string {
  const readers = consumers(graph);
  return (parameter) => {
    if (types.get(parameter)?.dataType === "float32") return parameter;
    const wide = (readers.get(parameter) ?? []).flatMap((n) => n.outputs).filter((o) => types.get(o)?.dataType === "float32");
    return wide.length === 1 ? (wide[0] as string) : parameter;
  };
}

const turnedBack = (values: Float32Array, dims: readonly number[]): Float32Array => transposed(values, sizeAt(dims, 0), sizeAt(dims, 1));

/** Which of the matrices that count for nothing repeat which that count. */
export function copiesAmong({ whole, initializers, read }: Pick<Subject, "whole" | "initializers" | "read">): Map<string, Copy> {
  const found = new Map<string, Copy>();
  const tensors = [...whole.parameters].map(([name, count]) => ({ tensor: initializers.get(name), count }));
  const sized = (t: Tensor, other: Tensor) => t.dataType === other.dataType && t.dims.length === 2 && sizeOf(t.dims) === sizeOf(other.dims);
  for (const { tensor, count } of tensors) {
    if (count > 0 || !tensor) continue;
    const bytes = floatsOf(tensor, read(tensor));
    for (const { tensor: other, count: own } of tensors) {
      if (!other || own === 0 || !sized(tensor, other)) continue;
      const values = floatsOf(other, read(other));
      const same = (turned: boolean) => {
        const it = turned ? turnedBack(values, other.dims) : values;
        const dims = turned ? [...other.dims].reverse() : other.dims;
        return dims.every((d, i) => d === tensor.dims[i]) && it.every((v, i) => Object.is(v, bytes[i]));
      };
      if (same(false)) found.set(tensor.name, { of: other.name, isTurned: false });
      else if (same(true)) found.set(tensor.name, { of: other.name, isTurned: true });
      if (found.has(tensor.name)) break;
    }
  }
  return found;
}
