import { usesOf } from "../onnx/edit.ts";
import type { StaticType } from "../onnx/ir.ts";
import { type Model, operatorKey, type ValueInfo } from "../onnx/ir.ts";
import { signatureOf } from "../onnx/signature.ts";
import { staticTypes } from "../runtime/static-types.ts";
import type { Anatomy } from "./anatomy.ts";
import { axesOf } from "./axes.ts";
import { type Axis, find, leavesOf } from "./axis.ts";
import type { Branch } from "./branches.ts";
import { attentions, products } from "./operators.ts";
import { shapeValues } from "./shape-arithmetic.ts";

/** An axis along which a branch divides into units of its own: each entry can go, with its slices of the branch's weights. */
export interface Division {
  readonly kind: "HEAD" | "CHANNEL";
  readonly layer: number;
  readonly branch: Branch;
  /** A leaf; its entries are the units. */
  readonly leaf: Axis;
}

/** Why a branch has no heads or channels that can go. */
export interface Obstacle {
  readonly kind: Division["kind"];
  readonly layer: number;
  readonly reason: string;
}

/** A model's axes, and what divides along them. */
export interface Divisions {
  readonly types: ReadonlyMap<string, StaticType>;
  /** Elements of the values read as shapes, for these types. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  readonly axes: ReadonlyMap<string, readonly Axis[]>;
  /** From the first layer on. */
  readonly divisions: readonly Division[];
  readonly obstacles: readonly Obstacle[];
}

/** Sizes that stand for the dynamic ones. Any would do: axes are told apart by what operators do to them. */
const [batch, tokens, past] = [5, 7, 11];

/** Static shapes for every input, by its role. */
function probeShapes(inputs: readonly ValueInfo[]): Record<string, number[]> {
  const signature = signatureOf(inputs);
  const fixed = (input: ValueInfo, sizes: readonly number[]) => {
    const left = [...sizes];
    return (input.shape ?? []).map((d) => (typeof d === "number" ? d : (left.shift() ?? 1)));
  };
  const earlier = signature.caches.length > 0 ? past : 0;
  const shapes: [ValueInfo | null, number[]][] = [
    [signature.tokens, [batch, tokens]],
    [signature.mask, [batch, earlier + tokens]],
    [signature.positions, [batch, tokens]],
    ...signature.caches.map((c): [ValueInfo, number[]] => [c, [batch, past]]),
  ];
  return Object.fromEntries(shapes.flatMap(([input, sizes]) => (input ? [[input.name, fixed(input, sizes)]] : [])));
}

/**
 * Finds the axes along which attentions divide into heads and MLPs into channels.
 *
 * An axis divides a branch if every value that depends on the text and has the axis lies inside that branch (so that it is
 * summed away before the trunk), if a weight has it, and if no operator mixes its entries. Heads are the entries of the
 * axis on which a product in which tokens meet is batched; of several such axes, as there are where queries share keys and
 * values, the one that most weights have: whole groups.
 *
 * @throws EspalierError as `staticTypes` and `shapeValues`
 */
export async function divisionsOf(model: Model, anatomy: Anatomy, parameters: ReadonlyMap<string, number>): Promise<Divisions> {
  const { graph } = model;
  const types = await staticTypes(model, probeShapes(graph.inputs));
  const shapes = await shapeValues(model, types);
  const axes = axesOf(graph, model.opsets[""] ?? 1, types, shapes);
  const leaves = new Map([...axes].map(([name, list]) => [name, new Set(list.flatMap((a) => [...leavesOf(a)]))]));
  const having = (names: Iterable<string>) => new Set([...names].flatMap((n) => [...(leaves.get(n) ?? [])]));

  const branches = anatomy.places
    .filter((p) => p.kind !== "LAYER")
    .flatMap((p) => p.branches.map((branch) => ({ layer: p.layer, branch })));
  const owners = new Map<string, Set<Branch>>();
  for (const { branch } of branches)
    for (const node of branch.nodes) for (const o of node.outputs) owners.set(o, (owners.get(o) ?? new Set()).add(branch));
  /** The branches whose values have a leaf; null stands for what lies outside all branches. */
  const homes = new Map<Axis, Set<Branch | null>>();
  for (const name of anatomy.flow.stream)
    for (const leaf of leaves.get(name) ?? []) {
      const home = homes.get(leaf) ?? new Set();
      for (const owner of owners.get(name) ?? [null]) home.add(owner);
      homes.set(leaf, home);
    }
  const weights = new Map<Axis, number>();
  for (const name of parameters.keys()) for (const leaf of leaves.get(name) ?? []) weights.set(leaf, (weights.get(leaf) ?? 0) + 1);

  const divisions: Division[] = [];
  const obstacles: Obstacle[] = [];
  for (const { layer, branch } of branches.sort((a, b) => a.layer - b.layer)) {
    const kind = branch.kind === "ATTENTION" ? "HEAD" : "CHANNEL";
    const own = [...(kind === "HEAD" ? batched(branch) : having([...branch.nodes].flatMap((n) => n.outputs)))].filter(
      (leaf) => homes.get(leaf)?.size === 1 && weights.has(leaf),
    );
    const free = own.filter((leaf) => leaf.frozen === null);
    const most = Math.max(...free.map((leaf) => weights.get(leaf) as number));
    const chosen = kind === "HEAD" ? free.filter((leaf) => weights.get(leaf) === most).slice(0, 1) : free;
    divisions.push(...chosen.map((leaf) => ({ kind, layer, branch, leaf }) as const));
    if (chosen.length === 0)
      obstacles.push({ kind, layer, reason: own.find((l) => l.frozen !== null)?.frozen ?? "no axis of its weights is its own" });
  }
  return { types, shapes, axes, divisions, obstacles };

  /** Leaves that are in all operands and the result of a node in which tokens meet. */
  function batched({ nodes }: Branch): Set<Axis> {
    const meets = [...nodes].filter((n) => {
      const operands = usesOf(n).filter((u) => anatomy.flow.stream.has(u));
      return attentions.has(operatorKey(n)) || (products.has(operatorKey(n)) && operands.length === n.inputs.length);
    });
    const all = meets.map((n) => {
      const operands = n.inputs.filter((i) => anatomy.flow.stream.has(i)).map((i) => having([i]));
      return [...having(n.outputs)].filter((leaf) => operands.every((o) => o.has(leaf)));
    });
    return new Set(all.flat().map(find));
  }
}
