import { EspalierError } from "../errors.ts";
import { type Model, sizeOf } from "../onnx/ir.ts";
import type { TensorReader } from "../onnx/read-tensor.ts";
import { anatomyOf, placesOf } from "./anatomy.ts";
import { type Axis, leavesOf } from "./axis.ts";
import { type Divisions, divisionsOf } from "./divisions.ts";
import { type Range, rangesOf } from "./entries.ts";
import { narrow } from "./narrow.ts";
import { parametersOf } from "./parameters.ts";
import { remove } from "./remove.ts";
import type { StructureId } from "./structure.ts";

/** The kinds of structure that are entries of an axis: HEAD is a group of queries with their keys and values, CHANNEL a neuron of an MLP. */
export const unitKinds = ["HEAD", "CHANNEL"] as const;

export interface UnitId {
  readonly kind: (typeof unitKinds)[number];
  readonly index: number;
}

/** Part of a parameter: some entries along one of its axes. */
export interface Slice {
  readonly parameter: string;
  readonly axis: number;
  readonly ranges: readonly Range[];
}

/** One entry of an axis along which a branch divides, and what goes with it. */
export interface Unit extends UnitId {
  readonly layer: number;
  readonly slices: readonly Slice[];
  readonly parameterCount: number;
}

/** The units of a model, each kind counted from the input on. */
export function unitsOf(model: Model, { divisions, axes }: Divisions, parameters: ReadonlyMap<string, number>): Unit[] {
  const count = { HEAD: 0, CHANNEL: 0 };
  const all = [...parameters.keys()].flatMap((parameter) => (axes.get(parameter) ?? []).map((a, axis) => ({ parameter, axis, of: a })));
  return divisions.flatMap(({ kind, layer, leaf }) => {
    const having = all.filter(({ of }) => leavesOf(of).has(leaf));
    return Array.from({ length: leaf.size }, (_, entry): Unit => {
      const slices = having.map(({ parameter, axis, of }) => ({ parameter, axis, ranges: rangesOf(of, leaf, entry) }));
      return { kind, index: count[kind]++, layer, slices, parameterCount: counted(model, slices, parameters) };
    });
  });
}

/** Parameters in slices, those in several slices of a tensor once. */
function counted({ graph }: Model, slices: readonly Slice[], parameters: ReadonlyMap<string, number>): number {
  const gone = (s: Slice) => s.ranges.reduce((n, r) => n + r.length, 0);
  const names = [...new Set(slices.map((s) => s.parameter))].filter((name) => (parameters.get(name) ?? 0) > 0);
  return names.reduce((n, name) => {
    const dims = graph.initializers.get(name)?.dims ?? [];
    const left = dims.map((d, axis) => d - slices.filter((s) => s.parameter === name && s.axis === axis).reduce((k, s) => k + gone(s), 0));
    return n + sizeOf(dims) - sizeOf(left);
  }, 0);
}

/**
 * Removes structures of any kinds. Units of a branch that goes as a whole go with it.
 *
 * @throws EspalierError UNKNOWN_STRUCTURE, LAST_ATTENTION; as `divisionsOf` and `narrow`
 */
export async function removeStructures(model: Model, ids: readonly (StructureId | UnitId)[], read: TensorReader): Promise<Model> {
  const isUnit = (id: StructureId | UnitId): id is UnitId => unitKinds.some((kind) => kind === id.kind);
  const units = ids.filter(isUnit);
  const whole = ids.filter((id): id is StructureId => !isUnit(id));
  if (units.length === 0) return remove(model, whole);
  const anatomy = anatomyOf(model);
  const divisions = await divisionsOf(model, anatomy, parametersOf(anatomy.flow, read));
  const going = new Set(placesOf(anatomy, whole).flatMap((p) => p.branches));
  const leaves = new Set(divisions.divisions.filter((d) => !going.has(d.branch)).map((d) => d.leaf));
  const removed = new Map([...entriesOf(divisions, units)].filter(([leaf]) => leaves.has(leaf)));
  return remove(await narrow(model, divisions, removed, read), whole);
}

/** The entries of leaves that units are. */
function entriesOf({ divisions }: Divisions, ids: readonly UnitId[]): Map<Axis, Set<number>> {
  const removed = new Map<Axis, Set<number>>();
  for (const { kind, index } of ids) {
    let entry = index;
    const division = divisions.find((d) => {
      if (d.kind !== kind) return false;
      if (entry < d.leaf.size) return true;
      entry -= d.leaf.size;
      return false;
    });
    if (!division) throw new EspalierError("UNKNOWN_STRUCTURE", `the model has no structure ${kind} ${index}`, { kind, index });
    removed.set(division.leaf, (removed.get(division.leaf) ?? new Set()).add(entry));
  }
  return removed;
}
