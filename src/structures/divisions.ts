import { append } from "../large-lists.ts";
import { producers } from "../onnx/edit.ts";
import type { StaticType } from "../onnx/ir.ts";
import { type Model, type Node } from "../onnx/ir.ts";
import { type Axis, leavesOf } from "../operators/axis.ts";
import { isProduct, operatorOf } from "../operators/operators.ts";
import { staticTypes } from "../runtime/static-types.ts";
import { staticShapes } from "../signature/feeds.ts";
import { signatureOf } from "../signature/signature.ts";
import type { Anatomy } from "./anatomy.ts";
import { axesOf } from "./axes.ts";
import type { Branch } from "./branches.ts";
import { type Experts, expertsIn } from "./experts.ts";
import { type Unshared, withOwnConstants } from "./own-constants.ts";
import { shapeValues } from "./shape-arithmetic.ts";
import type { Obstacle } from "./structure.ts";

/** An axis along which a branch divides into units of its own: each entry can go, with its slices of the branch's weights. */
export interface Division {
  readonly kind: "EXPERT" | "HEAD" | "CHANNEL";
  readonly layer: number;
  readonly branch: Branch;
  /** A leaf; its entries are the units. */
  readonly leaf: Axis;
  /** Of experts: how they are chosen and computed. */
  readonly experts: Experts | null;
}

/** A model's axes, and what divides along them. */
export interface Divisions {
  /** The model's graph as the axes are of: residual additions in the open, and each branch with its own constants. */
  readonly unshared: Unshared;
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

/**
 * Finds the axes along which attentions divide into heads and MLPs into channels, or experts and these into channels.
 *
 * An axis divides a branch if every value on the way to the logits that has the axis lies inside that branch (so that it is
 * summed away before the residual stream), if a weight has it, and if no operator mixes its entries. Heads are the entries of the
 * axis on which the products in which tokens meet are batched, if keys and values have it too: where queries share them, an
 * entry is a whole group. Where they are all one, or have parts that are (latent attention), entries are those of the queries.
 * Experts are the entries of an axis from which the best are chosen for each token (experts.ts).
 *
 * @throws EspalierError as `staticTypes` and `shapeValues`
 */
export async function divisionsOf(model: Model, anatomy: Anatomy, parameters: ReadonlyMap<string, number>): Promise<Divisions> {
  const { stream } = anatomy.flow;
  const branches = anatomy.places
    .filter((p) => p.kind !== "LAYER")
    .flatMap((p) => p.branches.map((branch) => ({ layer: p.layer, branch })));
  const owners = new Map<string, Set<Branch>>();
  for (const { branch } of branches)
    for (const node of branch.nodes) for (const o of node.outputs) owners.set(o, (owners.get(o) ?? new Set()).add(branch));
  const ownerOf = new Map(
    [...stream]
      .map((name) => [name, [...(owners.get(name) ?? [])]] as const)
      .map(([name, own]) => [name, own.length === 1 ? (own[0] as Branch).output : null]),
  );

  const unshared = withOwnConstants(anatomy.flow.graph, new Set(parameters.keys()), ownerOf);
  const { graph } = unshared;
  const whole = { ...model, graph };
  const made = producers(graph);
  const types = await staticTypes(whole, staticShapes(signatureOf(graph.inputs), batch, tokens, past));
  const shapes = await shapeValues(whole, types);
  const { axes, places } = axesOf(graph, model.opsets[""] ?? 1, types, shapes);
  const leaves = new Map([...axes].map(([name, list]) => [name, new Set(list.flatMap((a) => [...leavesOf(a)]))]));
  const having = (names: Iterable<string>) => new Set([...names].flatMap((n) => [...(leaves.get(n) ?? [])]));

  /** The branches whose values have a leaf; null stands for what lies outside all branches. */
  const homes = new Map<Axis, Set<Branch | null>>();
  for (const name of anatomy.flow.path.flatMap((n) => n.outputs))
    for (const leaf of leaves.get(name) ?? []) {
      const home = homes.get(leaf) ?? new Set();
      for (const owner of owners.get(name) ?? [null]) home.add(owner);
      homes.set(leaf, home);
    }
  const trained = having(parameters.keys());

  const experts = expertsIn({ graph, stream, axes, places, shapes, parameters: new Set(parameters.keys()) });

  const divisions: Division[] = [];
  const obstacles: Obstacle[] = [];
  for (const { layer, branch } of branches.sort((a, b) => a.layer - b.layer)) {
    const kind = branch.kind === "ATTENTION" ? "HEAD" : "CHANNEL";
    const within = [...having([...branch.nodes].flatMap((n) => n.outputs))].filter(
      (leaf) => trained.has(leaf) && homes.get(leaf)?.size === 1,
    );
    const stuck = new Set<string>();
    for (const leaf of within) {
      const found = experts(branch, leaf);
      const reason = typeof found === "string" ? found : leaf.frozen;
      if (found !== null && reason !== null) stuck.add(reason);
      else if (found !== null && typeof found !== "string") divisions.push({ kind: "EXPERT", layer, branch, leaf, experts: found });
    }
    append(
      obstacles,
      [...stuck].map((reason) => ({ kind: "EXPERT", layer, reason }) as const),
    );
    const own = kind === "HEAD" ? batched(branch, within) : inOrder(within);
    const free = own.filter((leaf) => leaf.frozen === null && leaf.weighed === null);
    const chosen = kind === "HEAD" ? free.slice(0, 1) : free;
    append(
      divisions,
      chosen.map((leaf) => ({ kind, layer, branch, leaf, experts: null }) as const),
    );
    if (chosen.length > 0) continue;
    const reasons = [...own, ...within].flatMap((leaf) => leaf.frozen ?? leaf.weighed ?? []);
    obstacles.push({ kind, layer, reason: reasons[0] ?? "no axis of its weights is its own" });
  }
  return { unshared, types, shapes, axes, divisions, obstacles };

  /** Leaves as weights that have them come, where experts have channels each. */
  function inOrder(own: readonly Axis[]): readonly Axis[] {
    const list = [...parameters.keys()];
    const place = new Map(own.map((leaf) => [leaf, list.findIndex((name) => leaves.get(name)?.has(leaf))]));
    return divisions.at(-1)?.kind === "EXPERT" ? [...own].sort((a, b) => (place.get(a) ?? 0) - (place.get(b) ?? 0)) : own;
  }

  /**
   * Those of a branch's leaves that the result of every node in which tokens meet has, and that its operands have from their
   * projections on: all operands, or, where all queries share one key and value, the queries alone.
   */
  function batched(branch: Branch, own: readonly Axis[]): Axis[] {
    const meets = [...branch.nodes].filter((n) => operatorOf(n)?.mixesTokens === "attention" || (isProduct(n) && !projects(n)));
    const results = meets.map((n) => having(n.outputs));
    const by = (which: "every" | "some") =>
      own.filter((leaf) => results.every((r) => r.has(leaf)) && meets.every((n) => projects(n) || carriedInto(n, leaf, which, branch)));
    const whole = by("every");
    return whole.length > 0 ? whole : by("some");
  }

  /** Whether the values that a node reads of the stream, every one or some, have a leaf from their projections on. */
  function carriedInto(node: Node, leaf: Axis, which: "every" | "some", branch: Branch, seen: Set<string> = new Set()): boolean {
    return node.inputs.filter((i) => stream.has(i))[which]((i) => carried(leaf, i, which, branch, seen));
  }

  /** Whether what leads from projections to a value has a leaf: what is repeated for several queries has not. */
  function carried(leaf: Axis, value: string, which: "every" | "some", branch: Branch, seen: Set<string>): boolean {
    if (seen.has(value)) return which === "every";
    seen.add(value);
    if (!leaves.get(value)?.has(leaf)) return false;
    const node = made.get(value);
    if (!node || !owners.get(value)?.has(branch) || projects(node)) return true;
    return carriedInto(node, leaf, which, branch, seen);
  }

  function projects(node: Node): boolean {
    return isProduct(node) && node.inputs.some((i) => i !== "" && !stream.has(i));
  }
}
