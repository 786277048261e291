import { countedRows } from "../algebra/counted-rows.ts";
import { addTo } from "../algebra/vectors.ts";
import { GraphBuilder, type Value } from "../onnx/builder.ts";
import { removeUnusedInputs, usesOf } from "../onnx/edit.ts";
import { encode } from "../onnx/encode.ts";
import { type Model, type Node, type StaticType, sizeOf, type TypedGraph, type ValueInfo } from "../onnx/ir.ts";
import { float32Tensor } from "../onnx/tensors.ts";
import type { ConcreteProvider } from "../runtime/providers.ts";
import { openSession, type TensorValue } from "../runtime/session.ts";

/** Texts of a batch, as the first stage is fed. */
export interface TextFeeds {
  readonly ids: Readonly<Record<string, TensorValue>>;
  /** [B T]: 1 for a token that counts, 0 for padding. */
  readonly counted: Float32Array;
}

/** A node is left out of what follows once it has been run; its values that are still read are carried along. */
type Carried = Map<string, TensorValue>;

const countedName = "stage/counted";

/**
 * A forward pass over texts that stops where it is told, and goes on after weights have changed: each node is run once for each batch. So what
 * products are given can be looked at one after another, each behind those that are compressed already, for the price of one pass.
 */
export class Stages {
  private readonly done = new Set<Node>();
  private readonly carried: readonly Carried[];
  private readonly replaced = new Map<string, Float32Array>();
  /** Values that depend on the tokens. All others are worked out anew in each stage that reads them. */
  private readonly stream: ReadonlySet<string>;

  /**
   * @param typed a graph of a batch of texts [B, T]
   * @param folder where its external data lies
   * @param ends the values that it will be asked for, in order
   */
  constructor(
    private readonly model: Model,
    private readonly typed: TypedGraph,
    private readonly folder: string,
    private readonly executionProvider: ConcreteProvider,
    private readonly batches: readonly TextFeeds[],
    private ends: readonly string[],
  ) {
    const { graph } = typed;
    const stream = new Set(graph.inputs.map((i) => i.name));
    for (const node of graph.nodes) if (usesOf(node).some((name) => stream.has(name))) for (const o of node.outputs) stream.add(o);
    this.stream = stream;
    this.carried = batches.map(({ ids }) => new Map(Object.entries(ids)));
  }

  /** Weights in place of others from now on, with the dims that the graph has. */
  replace(parameter: string, weights: Float32Array): void {
    this.replaced.set(parameter, weights);
  }

  /**
   * Goes on to the next end: what products are given, with the tokens of all texts before.
   *
   * @param wantsGram whether to sum up `X' X` [n, n] over all tokens that count
   * @returns the sum, in float64
   */
  async next(wantsGram: boolean): Promise<Float64Array | null> {
    const { typed, executionProvider, folder, model } = this;
    const { graph, types } = typed;
    const [input, ...later] = this.ends;
    if (input === undefined) throw new Error("there is no end left to go to");
    this.ends = later;
    const run = before(graph.nodes, [input], this.done).filter((n) => n.outputs.some((o) => this.stream.has(o)));
    const rest = graph.nodes.filter((n) => !this.done.has(n));
    for (const node of run) this.done.add(node);
    const read = new Set([...before(graph.nodes, later, this.done).flatMap(usesOf), ...later]);
    const isKept = (name: string) => this.stream.has(name) && read.has(name);
    const kept = run.flatMap((n) => n.outputs).filter(isKept);
    const given = [...(this.carried[0]?.keys() ?? [])];
    const infos = given.map((name): ValueInfo => ({ name, ...(types.get(name) as StaticType) }));
    const b = new GraphBuilder({ ...typed, graph: { ...graph, inputs: infos, nodes: rest } }, "stage");
    const counted = b.input(countedName, "float32", [this.batches[0]?.counted.length ?? 0, 1, 1]);
    const gram = wantsGram ? gramOf(b, b.value(input), counted) : null;
    const outputs = [...kept.map((name) => b.value(name)), ...(gram ? [gram] : [])];
    const sum = gram ? new Float64Array(sizeOf(gram.shape)) : null;
    if (outputs.length > 0) {
      const built = b.build(outputs);
      const initializers = new Map(built.graph.initializers);
      for (const [name, t] of built.graph.initializers) {
        const weights = this.replaced.get(name);
        if (weights) initializers.set(name, float32Tensor(name, t.dims, weights));
        // What reads it is run once.
        this.replaced.delete(name);
      }
      const now = removeUnusedInputs({ ...built.graph, initializers });
      const bytes = encode({ ...model, opsets: built.opsets, graph: now });
      const session = await openSession({ bytes, externalFolder: folder }, { executionProvider, lean: true });
      try {
        for (const [i, { counted: weights }] of this.batches.entries()) {
          const own = this.carried[i] as Carried;
          const all: Record<string, TensorValue> = { ...Object.fromEntries(own) };
          all[countedName] = { dataType: "float32", dims: counted.shape, data: weights };
          const feeds = Object.fromEntries(now.inputs.map(({ name }) => [name, all[name] as TensorValue]));
          const found = await session.run(feeds);
          for (const name of kept) own.set(name, found[name] as TensorValue);
          if (sum && gram) addTo(sum, found[gram.name]?.data as Float32Array);
        }
      } finally {
        await session.close();
      }
    }
    // Of what is carried, what nothing reads any more goes.
    for (const own of this.carried) for (const name of own.keys()) if (!isKept(name)) own.delete(name);
    return sum;
  }
}

/** The nodes that lead to values, in order, but for those that are done. */
function before(nodes: readonly Node[], names: readonly string[], done: ReadonlySet<Node>): Node[] {
  const needed = new Set(names);
  const found: Node[] = [];
  for (const node of nodes.toReversed()) {
    if (done.has(node) || !node.outputs.some((o) => needed.has(o))) continue;
    found.push(node);
    for (const use of usesOf(node)) needed.add(use);
  }
  return found.reverse();
}

/** `X' X` over tokens that count. */
function gramOf(b: GraphBuilder, x: Value, counted: Value): Value {
  const rows = countedRows(b, x, counted);
  return b.matMul(b.transpose(rows), rows);
}
