import { type Model, sizeOf } from "../onnx/ir.ts";
import type { Discovery } from "../structures/discover.ts";
import { type DividedGroup, entriesOf, type Known } from "../structures/divide.ts";
import { ownersOf } from "../structures/entries.ts";
import { isDivided, type StructureGroup, type StructureId, type StructureKind, structureKinds } from "../structures/structure.ts";
import { leastKept, type PruningOptions } from "./options.ts";

/** What structures are of one parameter: all of it, or slices along an axis. */
export interface Part {
  readonly parameter: string;
  /** Null: the group is a single structure, and the whole parameter is its. */
  readonly axis: number | null;
  /** For each position of the axis, which structure of the group has it, by place in `indexes`; -1 for none. */
  readonly owners: Int32Array;
}

/** The structures of a group that may be removed from a model as it is now. */
export interface OpenGroup {
  readonly kind: StructureKind;
  readonly layer: number;
  /** Their names, those they have in the base model. */
  readonly indexes: readonly number[];
  /** Parameters of each that are still there. */
  readonly parameterCount: number;
  readonly parts: readonly Part[];
  /** How many of them may go. */
  readonly removable: number;
}

/** A base model, and what it consists of. */
export interface Whole extends Discovery, Known {}

type Choice = Pick<PruningOptions, "structureKinds" | "protectFirst" | "protectLast" | "minKeepRatio" | "uniform">;

/** Whether an attention is left once those parameters are gone: a model's last cannot be removed. */
export function leavesAttention(structures: readonly StructureGroup[], gone: (parameter: string) => boolean): boolean {
  const attentions = structures.filter((s) => s.kind === "ATTENTION");
  return attentions.length === 0 || attentions.some((s) => !s.parameters.every(gone));
}

/** Parameters of a model as it is now, each weight counted once. */
export function parametersLeft({ parameters }: Discovery, now: Model): number {
  return [...parameters.keys()].reduce((n, name) => n + sizeLeft(parameters, now, name), 0);
}

const sizeLeft = (parameters: ReadonlyMap<string, number>, now: Model, name: string): number =>
  parameters.get(name) ? sizeOf(now.graph.initializers.get(name)?.dims ?? [0]) : 0;

/**
 * What is left of each group that may go: of the kinds asked for, outside the protected layers.
 *
 * @param now the base model without `removed`
 */
export function openGroups(whole: Whole, removed: readonly StructureId[], now: Model, options: Choice): OpenGroup[] {
  const { structures, layers, parameters, divided } = whole;
  const gone = (parameter: string) => !now.graph.initializers.has(parameter);
  const open = (g: StructureGroup) =>
    options.structureKinds.includes(g.kind) && g.layer >= options.protectFirst && g.layer < layers - options.protectLast;

  const wholes = structures.filter(open).flatMap(({ kind, layer, index, parameters: own }): OpenGroup[] => {
    const left = own.filter((p) => !gone(p));
    if (left.length === 0 || !leavesAttention(structures, (p) => gone(p) || left.includes(p))) return [];
    const parts = left.map((parameter): Part => ({ parameter, axis: null, owners: new Int32Array() }));
    const parameterCount = left.reduce((n, p) => n + sizeLeft(parameters, now, p), 0);
    return [{ kind, layer, indexes: [index], parameterCount, parts, removable: 1 }];
  });
  if (!divided) return wholes;

  const lost = entriesOf(divided.groups, removed.filter(isDivided));
  const entries = new Map([...lost].map(([group, own]) => [group.leaf, own]));
  const groups = divided.groups.filter((g) => open(g) && !g.parameters.every(gone));
  const parted = groups.map((group): OpenGroup => {
    const own = lost.get(group) ?? new Set();
    const left = Array.from({ length: group.count }, (_, entry) => entry).filter((entry) => !own.has(entry));
    const floor = leastKept(options, group.count);
    return {
      kind: group.kind,
      layer: group.layer,
      indexes: left.map((entry) => group.index + entry),
      parts: partsOf(group, left, entries),
      parameterCount: group.parameterCount,
      removable: Math.max(0, left.length - floor),
    };
  });
  const order = (g: OpenGroup) => structureKinds.indexOf(g.kind);
  // What all layers keep equally many of is limited by those that can spare none.
  const some = parted.filter((g) => options.uniform || g.removable > 0);
  return [...wholes, ...some].sort((a, b) => order(a) - order(b) || a.layer - b.layer);
}

function partsOf({ leaf, slices }: DividedGroup, left: readonly number[], removed: Parameters<typeof ownersOf>[2]): Part[] {
  const place = new Map(left.map((entry, i) => [entry, i]));
  return slices.map(({ parameter, axis, of }) => ({
    parameter,
    axis,
    owners: ownersOf(of, leaf, removed).map((entry) => place.get(entry) ?? -1),
  }));
}
