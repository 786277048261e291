import { EspalierError } from "../errors.ts";
import { type Model, sizeOf } from "../onnx/ir.ts";
import type { TensorReader } from "../onnx/read-tensor.ts";
import { type Axis, leavesOf } from "../operators/axis.ts";
import { type Anatomy, anatomyOf, placesOf } from "./anatomy.ts";
import type { Branch } from "./branches.ts";
import { type Division, type Divisions, divisionsOf } from "./divisions.ts";
import { entryCounts } from "./entries.ts";
import type { Experts } from "./experts.ts";
import { parametersOf } from "./parameters.ts";
import { remove } from "./remove.ts";
import { removeEntries } from "./remove-entries.ts";
import { holds, isDivided, type StructureGroup, type StructureId, structureKinds } from "./structure.ts";

/** Where the entries of a leaf lie in a parameter: along one of its axes. */
export interface Slice {
  readonly parameter: string;
  readonly axis: number;
  readonly of: Axis;
}

/** The heads of an attention or the experts or channels of an MLP: the entries of a leaf, with their slices of the branch's weights. */
export interface DividedGroup extends StructureGroup {
  readonly kind: Division["kind"];
  readonly branch: Branch;
  readonly leaf: Axis;
  readonly slices: readonly Slice[];
  /** Of experts: how they are chosen and computed. */
  readonly experts: Experts | null;
}

export interface Divided {
  readonly divisions: Divisions;
  /** Experts, heads and channels by layer; each kind is numbered from the input on. */
  readonly groups: readonly DividedGroup[];
}

/** What is known of a model: its anatomy, and its experts, heads and channels unless nobody asked for them. */
export interface Known {
  readonly anatomy: Anatomy;
  readonly divided: Divided | null;
}

/**
 * Finds the experts, heads and channels of a model, which need the sizes of its axes and so ONNX Runtime.
 *
 * @param parameters as `discover` gives them
 * @throws EspalierError as `divisionsOf`
 */
export async function divide(model: Model, anatomy: Anatomy, parameters: ReadonlyMap<string, number>): Promise<Divided> {
  const divisions = await divisionsOf(model, anatomy, parameters);
  const next = { EXPERT: 0, HEAD: 0, CHANNEL: 0 };
  const all = [...parameters.keys()].flatMap((parameter) =>
    (divisions.axes.get(parameter) ?? []).map((of, axis): Slice => ({ parameter, axis, of })),
  );
  const owners = new Map<string, number>();
  const groups = divisions.divisions.map(({ kind, layer, leaf, branch, experts }): DividedGroup => {
    const slices = all.filter(({ of }) => leavesOf(of).has(leaf));
    const group = { kind, index: next[kind], count: leaf.size, layer, branch, leaf, slices, experts };
    next[kind] += leaf.size;
    for (const [e, { parameters: weights }] of (experts?.own ?? []).entries())
      for (const name of weights) owners.set(name, group.index + e);
    const expert = kind === "CHANNEL" ? owners.get(slices[0]?.parameter ?? "") : undefined;
    const own = (experts?.own ?? []).flatMap((e) => e.parameters);
    const ownCount = own.reduce((n, name) => n + (parameters.get(name) ?? 0), 0);
    return {
      ...group,
      parameters: [...new Set([...slices.map((s) => s.parameter), ...own])],
      parameterCount: countOfEach(model, slices, leaf, parameters) + Math.round(ownCount / leaf.size),
      ...(experts ? { leastLeft: experts.chosen } : {}),
      ...(expert === undefined ? {} : { expert }),
    };
  });
  return { divisions, groups };
}

/** Parameters of one entry of a leaf; those in two slices of a tensor count once. */
function countOfEach({ graph }: Model, slices: readonly Slice[], leaf: Axis, parameters: ReadonlyMap<string, number>): number {
  const names = [...new Set(slices.map((s) => s.parameter))].filter((name) => (parameters.get(name) ?? 0) > 0);
  return names.reduce((n, name) => {
    const dims = graph.initializers.get(name)?.dims ?? [];
    const own = slices.filter((s) => s.parameter === name);
    const left = dims.map((d, axis) => d - own.filter((s) => s.axis === axis).reduce((k, s) => k + entryCounts(s.of, leaf), 0));
    return n + sizeOf(dims) - sizeOf(left);
  }, 0);
}

/**
 * Removes structures of any kinds in one rewrite. Experts, heads and channels of a branch that goes as a whole go with it.
 *
 * @param known of the model; what is missing is found anew
 * @throws EspalierError UNKNOWN_STRUCTURE, LAST_ATTENTION; as `divide` and `removeEntries`
 */
export async function removeStructures(model: Model, ids: readonly StructureId[], read: TensorReader, known?: Known): Promise<Model> {
  const parts = ids.filter(isDivided);
  const whole = ids.filter((id) => !isDivided(id));
  if (parts.length === 0) return remove(model, whole, known?.anatomy);
  const anatomy = known?.anatomy ?? anatomyOf(model);
  const { divisions, groups } = known?.divided ?? (await divide(model, anatomy, parametersOf(anatomy.flow, read)));
  const going = new Set(placesOf(anatomy, whole).flatMap((p) => p.branches.map((b) => b.output)));
  const staying = [...entriesOf(groups, parts)].filter(([group]) => !going.has(group.branch.output));
  const entries = new Map(staying.map(([group, own]) => [group.leaf, own]));
  return remove(await removeEntries(model, divisions, entries, read), whole);
}

/** The entries of leaves that structures are. */
export function entriesOf(groups: readonly DividedGroup[], ids: readonly StructureId[]): Map<DividedGroup, Set<number>> {
  const entries = new Map<DividedGroup, Set<number>>();
  const byKind = new Map(structureKinds.map((kind) => [kind, groups.filter((g) => g.kind === kind)]));
  for (const id of ids) {
    const { kind, index } = id;
    const group = holding(byKind.get(kind) ?? [], id);
    if (!group) throw new EspalierError("UNKNOWN_STRUCTURE", `the model has no structure ${kind} ${index}`, { kind, index });
    const own = entries.get(group) ?? new Set();
    entries.set(group, own.add(index - group.index));
  }
  return entries;
}

/** That of a kind's groups, in order, which has a structure. */
function holding(groups: readonly DividedGroup[], id: StructureId): DividedGroup | undefined {
  let [low, high] = [0, groups.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((groups[middle] as DividedGroup).index <= id.index) low = middle + 1;
    else high = middle;
  }
  const group = groups[low - 1];
  return group && holds(group, id) ? group : undefined;
}
