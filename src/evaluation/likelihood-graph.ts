import * as attr from "../onnx/attributes.ts";
import { producers, replaceUses, usesOf } from "../onnx/edit.ts";
import {
  type DataType,
  type Dim,
  dataTypes,
  type Graph,
  type Model,
  type Node,
  operatorKey,
  type Tensor,
  type ValueInfo,
} from "../onnx/ir.ts";
import { float32Tensor, int64Tensor } from "../onnx/tensors.ts";
import { batchAxisOf, type CacheEntry, cacheEntries } from "../signature/caches.ts";
import { logitsOf } from "../signature/logits.ts";
import { type Signature, signatureOf } from "../signature/signature.ts";

/** A graph that tells how probable tokens are, and the names by which it is fed and read; the model's own inputs keep theirs. */
export interface LikelihoodGraph {
  readonly model: Model;
  /** Of the model's own inputs. */
  readonly signature: Signature;
  readonly caches: readonly CacheEntry[];
  /** Whether several sequences can be gone on from by more than a token at once. */
  readonly goesOn: boolean;
  /** Input [R] int64: which row of the cache fed in each row [R, T] of tokens goes on from. Null without a cache. */
  readonly rows: string | null;
  /** Input [1, M] int64: places in the rows, counted through all R * T, whose next token is looked at; repeats allowed. */
  readonly places: string;
  /** Input [1, M, 1] int64: the token looked at, for each place. */
  readonly targets: string;
  /** Output [1, M, 1] float32: log softmax(logits)[target]. */
  readonly logProbabilities: string;
  /** Output [1, M, 1] bool: whether the target is the most probable token. */
  readonly greedy: string;
  /** Output [1, M, V] float32, of a model that others are held against: log softmax(logits). Null of others. */
  readonly distributions: string | null;
  /** Of a model that is held against another; null of others. */
  readonly against: HeldAgainst | null;
}

/** What compares a model's distributions with another's. */
export interface HeldAgainst {
  /** Input [1, M, V] float32: the other's log probabilities. */
  readonly theirs: string;
  /** Output [1, M, 1] float32: KL(theirs || own), in nats. */
  readonly divergence: string;
  /** Output [1, M, 1] bool: whether both find the same token most probable. */
  readonly agrees: string;
}

/** What a graph is for: to judge alone, to give its distributions to another model, or to be held against another's. */
export type LikelihoodRole = "ALONE" | "REFERENCE" | "HELD_AGAINST";

const name = (part: string) => `likelihood/${part}`;

/**
 * Extends a language model's graph so that no logits leave it: they are worked out at the places asked for only, and of each
 * row of V one number is given (or all, to hold another model against them). The places are picked before the head's product, which is much of a small model's work.
 * A cache is fed once for many rows that begin alike: the graph repeats it.
 *
 * @throws EspalierError NO_TOKEN_INPUT, UNSUPPORTED_INPUT, NO_LOGITS or UNSUPPORTED_CACHE if the graph is not that of a language model
 */
export function likelihoodGraph(model: Model, role: LikelihoodRole = "ALONE"): LikelihoodGraph {
  const signature = signatureOf(model.graph.inputs);
  const logits = logitsOf(model.graph.outputs);
  const caches = cacheEntries(model.graph.inputs, model.graph.outputs);
  const presents = new Set(caches.map((c) => c.output));
  const [rows, places, targets] = [name("rows"), name("places"), name("targets")];

  const shared = repeatCaches(model.graph, signature.caches, rows);
  const { graph, logits: picked } = pick(shared, logits.name, places);
  const z = logits.dataType === "float32" ? picked : name("float32");
  const [logP, best, logProbabilities, greedy] = [name("logP"), name("best"), name("logProbabilities"), name("greedy")];
  const nodes: Node[] = [
    ...graph.nodes,
    ...(z === picked ? [] : [node("Cast", [picked], z, { to: attr.int(dataTypes.float32.onnx) })]),
    node("LogSoftmax", [z], logP, { axis: attr.int(-1) }),
    node("GatherElements", [logP, targets], logProbabilities, { axis: attr.int(2) }),
    node("ArgMax", [z], best, { axis: attr.int(2), keepdims: attr.int(1) }),
    node("Equal", [best, targets], greedy),
  ];
  const against = role === "HELD_AGAINST" ? heldAgainst(model.opsets[""] ?? 1, logP, best) : null;
  const input = (of: string, shape: readonly Dim[]): ValueInfo => ({ name: of, dataType: "int64", shape });
  const output = (of: string, dataType: DataType): ValueInfo => ({ name: of, dataType, shape: [1, "M", 1] });
  return {
    model: {
      ...model,
      graph: {
        ...graph,
        nodes: [...nodes, ...(against?.nodes ?? [])],
        initializers: new Map([...graph.initializers, ...(against?.constants ?? []).map((c) => [c.name, c] as const)]),
        valueInfo: [],
        inputs: [
          ...graph.inputs,
          ...(caches.length > 0 ? [input(rows, ["R"])] : []),
          input(places, [1, "M"]),
          input(targets, [1, "M", 1]),
          ...(against ? [distributions(against.names.theirs)] : []),
        ],
        outputs: [
          output(logProbabilities, "float32"),
          output(greedy, "bool"),
          ...(against ? [output(against.names.divergence, "float32"), output(against.names.agrees, "bool")] : []),
          ...(role === "REFERENCE" ? [distributions(logP)] : []),
          ...graph.outputs.filter((o) => presents.has(o.name)),
        ],
      },
    },
    signature,
    caches,
    goesOn: caches.length > 0 && !model.graph.nodes.some((n) => oneRowOnly.has(operatorKey(n))),
    rows: caches.length > 0 ? rows : null,
    places,
    targets,
    logProbabilities,
    greedy,
    distributions: role === "REFERENCE" ? logP : null,
    against: against?.names ?? null,
  };
}

const distributions = (of: string): ValueInfo => ({ name: of, dataType: "float32", shape: [1, "M", "V"] });

/**
 * `KL(theirs || own) = sum over tokens of p (log p - log q)`, p being theirs and q the model's own; what they find impossible adds nothing.
 *
 * @param own its log probabilities
 * @param best its most probable token
 */
function heldAgainst(
  opset: number,
  own: string,
  best: string,
): { readonly names: HeldAgainst; readonly nodes: readonly Node[]; readonly constants: readonly Tensor[] } {
  const names = { theirs: name("theirs"), divergence: name("divergence"), agrees: name("agrees") };
  const [p, apart, terms, possible] = [name("p"), name("apart"), name("terms"), name("possible")];
  const [counted, theirBest] = [name("counted"), name("theirBest")];
  const [zero, axes] = [float32Tensor(name("zero"), [], [0]), int64Tensor(name("axes"), [1], [2])];
  const byInput = opset >= 13;
  return {
    names,
    constants: [zero, ...(byInput ? [axes] : [])],
    nodes: [
      node("Exp", [names.theirs], p),
      node("Sub", [names.theirs, own], apart),
      node("Mul", [p, apart], terms),
      node("Greater", [p, zero.name], possible),
      node("Where", [possible, terms, zero.name], counted),
      byInput
        ? node("ReduceSum", [counted, axes.name], names.divergence, { keepdims: attr.int(1) })
        : node("ReduceSum", [counted], names.divergence, { axes: attr.ints([2]), keepdims: attr.int(1) }),
      node("ArgMax", [names.theirs], theirBest, { axis: attr.int(2), keepdims: attr.int(1) }),
      node("Equal", [theirBest, best], names.agrees),
    ],
  };
}

/** Operators that take several new tokens after earlier ones for one sequence at a time. */
const oneRowOnly: ReadonlySet<string> = new Set(["com.microsoft::GroupQueryAttention"]);

const node = (opType: string, inputs: readonly string[], output: string, attributes: Node["attributes"] = {}): Node => ({
  name: output,
  opType,
  domain: "",
  inputs,
  outputs: [output],
  attributes,
});

/** Reads each cache input through a Gather of its rows, along the batch. */
function repeatCaches(graph: Graph, caches: readonly ValueInfo[], rows: string): Graph {
  const repeated = new Map(caches.map((c) => [c.name, name(`repeated/${c.name}`)]));
  const gathers = caches.map((c) => node("Gather", [c.name, rows], repeated.get(c.name) as string, { axis: attr.int(batchAxisOf(c)) }));
  const { nodes } = replaceUses(graph, repeated);
  return { ...graph, nodes: [...gathers, ...nodes] };
}

/** Operators that work on each element alone, whatever the leading dimensions: scaling, capping and shifting of logits. */
const elementwise: ReadonlySet<string> = new Set(["Add", "Sub", "Mul", "Div", "Tanh", "Cast", "Identity"]);
/** Products of the last axis with weights that come second. */
const products: ReadonlySet<string> = new Set(["MatMul", "com.microsoft::MatMulNBits"]);

/**
 * Picks places out of [B, T, ...], which become [1, M, ...]: of the hidden states that the head multiplies, where nothing but
 * the product and elementwise operators lies between them and the logits, else of the logits.
 */
function pick(graph: Graph, logits: string, places: string): { readonly graph: Graph; readonly logits: string } {
  const made = producers(graph);
  const varies = varying(graph);
  const [flat, picked] = [name("flat"), name("picked")];
  const take = (value: string) => [
    node("Flatten", [value], flat, { axis: attr.int(2) }),
    node("Gather", [flat, places], picked, { axis: attr.int(0) }),
  ];
  for (let value = logits; ; ) {
    const by = made.get(value);
    const from = by?.inputs.filter((i) => varies.has(i)) ?? [];
    if (!by || from.length !== 1 || (by.inputs[0] !== from[0] && products.has(operatorKey(by)))) break;
    if (products.has(operatorKey(by))) {
      const [hidden] = from as [string];
      const head = { ...by, inputs: by.inputs.map((i) => (i === hidden ? picked : i)) };
      return { graph: { ...graph, nodes: graph.nodes.flatMap((n) => (n === by ? [...take(hidden), head] : [n])) }, logits };
    }
    if (!elementwise.has(operatorKey(by))) break;
    value = from[0] as string;
  }
  return { graph: { ...graph, nodes: [...graph.nodes, ...take(logits)] }, logits: picked };
}

/** Values that depend on what is fed. */
function varying(graph: Graph): Set<string> {
  const varies = new Set(graph.inputs.map((i) => i.name).filter((i) => !graph.initializers.has(i)));
  for (const n of graph.nodes) if (usesOf(n).some((use) => varies.has(use))) for (const o of n.outputs) varies.add(o);
  return varies;
}
