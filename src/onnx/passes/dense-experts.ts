import * as attr from "../attributes.ts";
import { intOf, intsOf, stringOf } from "../attributes.ts";
import { producers, removeDead, replaceUses } from "../edit.ts";
import { dataTypes, type Graph, isFloat, type Node, operatorKey, type Tensor } from "../ir.ts";
import { int64Tensor, integersOf } from "../tensors.ts";
import type { Pass } from "./pass.ts";

/**
 * Exporters write a mixture of experts as a loop, unrolled: of each expert, the tokens that chose it are looked for, gathered, computed, and
 * scattered back with their weights. How many these are depends on the data. Here each expert computes all tokens, each times its
 * weight, which is zero where the token did not choose it: the same numbers, of sizes that follow from the input's alone.
 *
 *     y[t] += sum over j with chosen[t, j] = e of weight[t, j] * expert_e(x[t])
 *
 * Whatever is written otherwise than is understood stays as it is.
 */
export const denseExperts: Pass = (model) => {
  const { graph } = model;
  if (!graph.nodes.some((n) => operatorKey(n) === "NonZero")) return model;
  const written = new Dispatches(graph).dense();
  return written ? { ...model, graph: written } : model;
};

/** Which slots of which tokens chose an expert: `[chosen == expert]`, whose axes are tokens and slots in this order. */
interface Choice {
  /** Name of what was chosen [tokens, slots]. */
  readonly chosen: string;
  readonly expert: number;
  readonly axes: readonly Letter[];
}

/** Of the tensors that lead to a choice: tokens, slots, experts, and an axis of one. */
type Letter = "t" | "j" | "e" | "1";

type Fact =
  /** One-hot rows of what was chosen. */
  | { readonly kind: "oneHot"; readonly chosen: string; readonly axes: readonly Letter[]; readonly expert: number | null }
  /** The places of a choice, [2, n]; or [n, 2]. */
  | { readonly kind: "places"; readonly choice: Choice; readonly down: boolean }
  /** Tokens or slots of a choice's places. */
  | { readonly kind: "coordinate"; readonly choice: Choice; readonly letter: Letter }
  /** Tokens times the number of slots; with the slot added, places in a flat [tokens * slots]; both side by side. */
  | { readonly kind: "scaled" | "flat" | "pair"; readonly choice: Choice }
  /** A row for each place, which all tokens have in the dense form; new as long as nothing has been computed of it. */
  | { readonly kind: "rows"; readonly choice: Choice; readonly dense: string; readonly isNew: boolean }
  /** Something else that depends on how many places there are. */
  | { readonly kind: "sized" };

const layouts: ReadonlySet<string> = new Set(["Expand", "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"]);
const sums: ReadonlySet<string> = new Set(["ScatterElements", "ScatterND"]);

class Dispatches {
  readonly #facts = new Map<string, Fact>();
  readonly #made: ReadonlyMap<string, Node>;
  readonly #initializers: Map<string, Tensor>;
  readonly #nodes: Node[] = [];
  /** What is read in the place of a value. */
  readonly #alias = new Map<string, string>();
  readonly #weights = new Map<string, string>();
  #some = false;

  constructor(private readonly graph: Graph) {
    this.#made = producers(graph);
    this.#initializers = new Map(graph.initializers);
  }

  /** The graph without data-dependent sizes; null if any are left. */
  dense(): Graph | null {
    for (const node of this.graph.nodes) {
      const written = this.#read(node);
      if (written) this.#nodes.push(written);
    }
    const whole = { ...this.graph, nodes: this.#nodes, initializers: this.#initializers };
    const result = removeDead(replaceUses(whole, this.#resolved()));
    const left = result.nodes.some((n) => n.outputs.some((o) => ["places", "sized"].includes(this.#facts.get(o)?.kind ?? "")));
    return left || !(this.#some || this.#alias.size > 0) ? null : result;
  }

  #resolved(): Map<string, string> {
    const end = (name: string): string => (this.#alias.has(name) ? end(this.#alias.get(name) as string) : name);
    return new Map([...this.#alias.keys()].map((name) => [name, end(name)]));
  }

  /** What becomes of a node; null if nothing reads it any more. */
  #read(node: Node): Node | null {
    const [output = ""] = node.outputs;
    const known = node.inputs.map((i) => this.#facts.get(i));
    const tell = (fact: Fact | null) => {
      if (fact) this.#facts.set(output, fact);
    };
    if (known.every((f) => f === undefined)) {
      tell(this.#oneHot(node));
      this.#begun(node);
      return node;
    }
    const [first] = known;
    const summed = sums.has(operatorKey(node)) ? this.#sum(node, known) : undefined;
    if (summed !== undefined) return summed;
    if (known.some((f) => f?.kind === "rows")) return this.#computed(node, known);
    if (first?.kind === "oneHot") tell(this.#chosen(node, first));
    else if (first?.kind === "places") this.#coordinates(node, first);
    else tell(this.#index(node, known));
    if (!this.#facts.has(output)) for (const o of node.outputs) this.#facts.set(o, { kind: "sized" });
    return node;
  }

  /** A sum that begins at zero begins with its first term. */
  #begun(node: Node): void {
    const [a = "", b = ""] = node.inputs;
    const [output = ""] = node.outputs;
    if (operatorKey(node) === "Add" && this.#isZero(a) && this.#alias.has(b)) this.#alias.set(output, b);
  }

  #integers(name: string | undefined): number[] | null {
    const tensor = this.graph.initializers.get(name ?? "");
    return tensor && (tensor.dataType === "int64" || tensor.dataType === "int32") ? integersOf(tensor) : null;
  }

  #isZero(name: string): boolean {
    const node = this.#made.get(name);
    if (!node || operatorKey(node) !== "ConstantOfShape") return false;
    const value = node.attributes["value"];
    return value === undefined || (value.kind === "tensor" && value.value.data.kind === "inline" && isZeros(value.value));
  }

  /** `OneHot(chosen)`, or `chosen == expert`. */
  #oneHot(node: Node): Fact | null {
    const [chosen = "", other = ""] = node.inputs;
    if (operatorKey(node) === "OneHot") {
      if (intOf(node, "axis", -1) !== -1) return null;
      return { kind: "oneHot", chosen, axes: ["t", "j", "e"], expert: null };
    }
    const compared = operatorKey(node) === "Equal" ? this.#integers(other) : null;
    if (compared?.length !== 1 || !this.#isChosen(chosen)) return null;
    return { kind: "oneHot", chosen, axes: ["t", "j"], expert: compared[0] as number };
  }

  /** Whether a value is what a TopK chose, perhaps in another integer type. */
  #isChosen(name: string): boolean {
    const node = this.#made.get(name);
    if (!node) return false;
    return operatorKey(node) === "Cast"
      ? this.#isChosen(node.inputs[0] as string)
      : operatorKey(node) === "TopK" && node.outputs[1] === name;
  }

  /** On the way from one-hot rows to the places of one expert's. */
  #chosen(node: Node, fact: Fact & { kind: "oneHot" }): Fact | null {
    const { axes, chosen, expert } = fact;
    switch (operatorKey(node)) {
      case "Cast":
        return fact;
      case "Transpose": {
        const perm = intsOf(node, "perm") ?? [...axes.keys()].reverse();
        return { ...fact, axes: perm.map((p) => axes[p] as Letter) };
      }
      case "Gather": {
        const at = (intOf(node, "axis", 0) + axes.length) % axes.length;
        const index = this.#integers(node.inputs[1]);
        if (axes[at] !== "e" || index?.length !== 1) return null;
        const one = (this.graph.initializers.get(node.inputs[1] as string) as Tensor).dims.map((): Letter => "1");
        return { ...fact, expert: index[0] as number, axes: [...axes.slice(0, at), ...one, ...axes.slice(at + 1)] };
      }
      case "Squeeze":
        return { ...fact, axes: axes.filter((a) => a !== "1") };
      case "NonZero":
        return expert === null || axes.length !== 2 || axes.includes("1") || axes.includes("e")
          ? null
          : { kind: "places", choice: { chosen, expert, axes }, down: false };
      default:
        return null;
    }
  }

  #coordinates(node: Node, { choice, down }: Fact & { kind: "places" }): void {
    const [output = ""] = node.outputs;
    const along = down ? 1 : 0;
    const axis = intOf(node, "axis", 0);
    const coordinate = (i: number): Fact => ({ kind: "coordinate", choice, letter: choice.axes[i] as Letter });
    if (operatorKey(node) === "Transpose") this.#facts.set(output, { kind: "places", choice, down: !down });
    else if (operatorKey(node) === "Split" && axis === along && node.outputs.length === 2)
      for (const [i, o] of node.outputs.entries()) this.#facts.set(o, coordinate(i));
    else if (operatorKey(node) === "Gather" && axis === along) {
      const index = this.#integers(node.inputs[1]);
      if (index?.length === 1) this.#facts.set(output, coordinate(((index[0] as number) + 2) % 2));
    }
  }

  /** Arithmetic on coordinates, and what is gathered by them. */
  #index(node: Node, known: readonly (Fact | undefined)[]): Fact | null {
    const [data = ""] = node.inputs;
    const [first, second] = known;
    const key = operatorKey(node);
    const tokens = (f: Fact | undefined) => f?.kind === "coordinate" && f.letter === "t";
    const slots = (f: Fact | undefined) => f?.kind === "coordinate" && f.letter === "j";
    const found = known.find((f) => f?.kind === "coordinate" || f?.kind === "scaled" || f?.kind === "flat" || f?.kind === "pair");
    if (!found || !("choice" in found)) return null;
    const { choice } = found;
    if ((layouts.has(key) || key === "Cast") && first === found) return found;
    if (key === "Mul" && known.filter(Boolean).length === 1 && tokens(found)) return { kind: "scaled", choice };
    if (key === "Add" && known.some(slots) && known.some((f) => f?.kind === "scaled")) return { kind: "flat", choice };
    if (key === "Concat" && tokens(first) && slots(second) && known.length === 2) return { kind: "pair", choice };
    if (first !== undefined) return null;
    if (key === "Gather" && tokens(second)) return { kind: "rows", choice, dense: this.#laidOut(data, false), isNew: true };
    if ((key === "Gather" && second?.kind === "flat") || (key === "GatherND" && second?.kind === "pair"))
      return { kind: "rows", choice, dense: this.#weight(choice, this.#laidOut(data, true), node), isNew: true };
    return null;
  }

  /** What Unsqueeze was given, and Flatten or Reshape, one of them at most. */
  #laidOut(name: string, flattened: boolean): string {
    const node = this.#made.get(name);
    const key = node && operatorKey(node);
    if (node && key === "Unsqueeze") return this.#laidOut(node.inputs[0] as string, flattened);
    return node && flattened && (key === "Flatten" || key === "Reshape") ? this.#laidOut(node.inputs[0] as string, false) : name;
  }

  /** The type of what is computed: that of a cast, or of what it is multiplied with. */
  #typeOf(name: string): number {
    for (let node = this.#made.get(name); node; node = this.#made.get(node.inputs[0] ?? "")) {
      if (operatorKey(node) === "Cast") return intOf(node, "to", dataTypes.float32.onnx);
      const own = node.inputs.flatMap((i) => this.graph.initializers.get(i) ?? []).find((t) => isFloat(t.dataType));
      if (own) return dataTypes[own.dataType].onnx;
    }
    return dataTypes.float32.onnx;
  }

  /** Of each token the weight of an expert, [tokens, 1]: zero where it did not choose it. */
  #weight({ chosen, expert }: Choice, weights: string, at: Node): string {
    const key = `${expert}\n${chosen}\n${weights}`;
    const known = this.#weights.get(key);
    if (known !== undefined) return known;
    const name = (part: string) => `${at.outputs[0]}/${part}`;
    const add = (opType: string, part: string, inputs: string[], attributes: Node["attributes"] = {}) => {
      this.#nodes.push({ name: name(part), opType, domain: "", inputs, outputs: [name(part)], attributes });
      return name(part);
    };
    const integers = (part: string, dims: number[], values: number[]) => {
      this.#initializers.set(name(part), int64Tensor(name(part), dims, values));
      return name(part);
    };
    const is = add("Equal", "is_chosen", [chosen, integers("expert", [], [expert])]);
    const one = add("Cast", "chosen", [is], { to: attr.int(this.#typeOf(weights)) });
    const made = add("ReduceSum", "weight", [add("Mul", "weights", [weights, one]), integers("slots", [1], [1])], {
      keepdims: attr.int(1),
    });
    this.#weights.set(key, made);
    return made;
  }

  /** What is computed of rows is computed of all tokens; how they are laid out for some is of no account. */
  #computed(node: Node, known: readonly (Fact | undefined)[]): Node | null {
    const [output = ""] = node.outputs;
    const rows = known.flatMap((f) => (f?.kind === "rows" ? [f] : []));
    const [{ choice, isNew }] = rows as [Fact & { kind: "rows" }];
    const key = operatorKey(node);
    const readsSize = key === "Shape" || key === "Size";
    if (readsSize || rows.some((r) => r.choice !== choice && !sameChoice(r.choice, choice))) {
      for (const o of node.outputs) this.#facts.set(o, { kind: "sized" });
      return node;
    }
    const inputs = node.inputs.map((name, i) => {
      const fact = known[i];
      return fact?.kind === "rows" ? fact.dense : name;
    });
    // What is added is spread by the sum itself, whatever its shape was read from.
    const isSpread = key === "Expand" && !this.graph.initializers.has(node.inputs[1] as string);
    const isLaidOut = layouts.has(key) && (isNew || isSpread || known.slice(1).some((f) => f !== undefined));
    if (isLaidOut) {
      this.#facts.set(output, { kind: "rows", choice, dense: inputs[0] as string, isNew });
      return node;
    }
    for (const o of node.outputs) this.#facts.set(o, { kind: "rows", choice, dense: o, isNew: false });
    return { ...node, inputs };
  }

  /** What is scattered back is added as it is. */
  #sum(node: Node, known: readonly (Fact | undefined)[]): Node | undefined {
    const [data = ""] = node.inputs;
    const [output = ""] = node.outputs;
    const [, places, rows] = known;
    if (places?.kind !== "coordinate" || places.letter !== "t" || rows?.kind !== "rows" || rows.isNew) return undefined;
    if (operatorKey(node) === "ScatterElements" && intOf(node, "axis", 0) !== 0) return undefined;
    const reduction = stringOf(node, "reduction") ?? "none";
    if (this.#isZero(data) && (reduction === "none" || reduction === "add")) {
      this.#alias.set(output, rows.dense);
      return node;
    }
    if (reduction !== "add") return undefined;
    this.#some = true;
    return { name: node.name, opType: "Add", domain: "", inputs: [data, rows.dense], outputs: [output], attributes: {} };
  }
}

const sameChoice = (a: Choice, b: Choice): boolean => a.chosen === b.chosen && a.expert === b.expert;

const isZeros = ({ data }: Tensor): boolean => data.kind === "inline" && data.bytes.every((b) => b === 0);
