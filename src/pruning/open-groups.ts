import { type Model, sizeOf } from "../onnx/ir.ts";
import type { Discovery } from "../structures/discover.ts";
import { type DividedGroup, entriesOf, type Known } from "../structures/divide.ts";
import { ownersOf } from "../structures/entries.ts";
import type { Experts, OwnExpert } from "../structures/experts.ts";
import { isDivided, type StructureGroup, type StructureId, type StructureKind, structureKinds } from "../structures/structure.ts";
import { mean } from "./mean.ts";
import { leastKept, type PruningOptions } from "./options.ts";

/** What structures are of one parameter: all of it, or slices along an axis. */
export interface Part {
  readonly parameter: string;
  /** Null: the whole parameter is one structure's. */
  readonly axis: number | null;
  /** For each position of the axis, or for all of the parameter, which structure of the group has it, by place in `indexes`; -1 for none. */
  readonly owners: Int32Array;
}

/** Where experts are in the graph as it is now. */
export interface OpenExperts {
  /** As they were found. */
  readonly found: Experts;
  /** Of each structure, by place in `indexes`, what it adds and where; null where all are computed together. */
  readonly own: readonly OwnExpert[] | null;
}

/** The structures of a group that may be removed from a model as it is now. */
export interface OpenGroup {
  readonly kind: StructureKind;
  readonly layer: number;
  /** Their names, those they have in the base model. */
  readonly indexes: readonly number[];
  /** Parameters of each that are still there; where they are not alike, on the mean. */
  readonly parameterCount: number;
  /** Those of each, where they are not alike. */
  readonly parameterCounts?: readonly number[];
  /** Of experts alone. */
  readonly experts?: OpenExperts;
  readonly parts: readonly Part[];
  /** How many of them may go. */
  readonly removable: number;
  /** How many there were at the start; unsaid of what is no part of a branch. */
  readonly width?: number;
}

/** A base model, and what it consists of. */
export interface Whole extends Discovery, Known {}

/** Parameters of one structure of a group, by its place in `indexes`. */
export const countOf = (
  { parameterCount, parameterCounts }: Pick<OpenGroup, "parameterCount" | "parameterCounts">,
  place: number,
): number => parameterCounts?.[place] ?? parameterCount;

/** Values in which what experts give stands. */
export const expertOutputs = ({ experts }: Pick<OpenGroup, "experts">): string[] =>
  experts?.own?.map((e) => e.term) ?? (experts?.found.together ? [experts.found.together.value] : []);

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
    const parts = left.map((parameter): Part => ({ parameter, axis: null, owners: Int32Array.of(0) }));
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
    const floor = Math.max(leastKept(options, group.count), group.leastLeft ?? 1);
    const parts = partsOf(group, left, entries, gone);
    return {
      kind: group.kind,
      layer: group.layer,
      indexes: left.map((entry) => group.index + entry),
      parts,
      ...countsOf(group, parts, left.length, (name) => sizeLeft(parameters, now, name), now),
      ...(group.experts ? { experts: { found: group.experts, own: ownLeft(group.experts, left) } } : {}),
      removable: Math.max(0, left.length - floor),
      width: group.count,
    };
  });
  const order = (g: OpenGroup) => structureKinds.indexOf(g.kind);
  // What all layers keep equally many of is limited by those that can spare none.
  const some = parted.filter((g) => options.uniform || g.removable > 0);
  return [...wholes, ...some].sort((a, b) => order(a) - order(b) || a.layer - b.layer);
}

function partsOf(
  { leaf, slices, experts }: DividedGroup,
  left: readonly number[],
  removed: Parameters<typeof ownersOf>[2],
  gone: (parameter: string) => boolean,
): Part[] {
  const place = new Map(left.map((entry, i) => [entry, i]));
  const sliced = slices
    .filter(({ parameter }) => !gone(parameter))
    .map(({ parameter, axis, of }) => ({
      parameter,
      axis,
      owners: ownersOf(of, leaf, removed).map((entry) => place.get(entry) ?? -1),
    }));
  const wholes = left.flatMap((entry, i) =>
    (experts?.own?.[entry]?.parameters ?? [])
      .filter((name) => !gone(name))
      .map((parameter): Part => ({ parameter, axis: null, owners: Int32Array.of(i) })),
  );
  return [...sliced, ...wholes];
}

/** What experts have changes as others' channels go; heads and channels stay as large as they were. */
function countsOf(
  group: DividedGroup,
  parts: readonly Part[],
  count: number,
  size: (parameter: string) => number,
  now: Model,
): Pick<OpenGroup, "parameterCount" | "parameterCounts"> {
  const { parameterCount, experts, slices } = group;
  const divided = new Set(slices.map((s) => s.parameter));
  if (!experts && divided.size < slices.length) return { parameterCount };
  const counts = new Array<number>(count).fill(0);
  for (const { parameter, axis, owners } of parts) {
    const perPosition = size(parameter) / (axis === null ? 1 : (now.graph.initializers.get(parameter)?.dims[axis] ?? 1));
    for (const owner of owners) if (owner >= 0) counts[owner] = (counts[owner] ?? 0) + perPosition;
  }
  const [first = 0] = counts;
  if (counts.every((n) => n === first)) return { parameterCount: first };
  return { parameterCount: Math.round(mean(counts)), parameterCounts: counts };
}

const ownLeft = ({ own }: Experts, left: readonly number[]): readonly OwnExpert[] | null =>
  own && left.map((entry) => own[entry] as OwnExpert);
