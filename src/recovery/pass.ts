import { numberAt } from "../number-at.ts";
import type { Model, TypedGraph } from "../onnx/ir.ts";
import { type Held, hold, InPlaceSession } from "../runtime/in-place.ts";
import type { ConcreteProvider } from "../runtime/providers.ts";
import type { TensorValue } from "../runtime/session.ts";
import { integerFeed } from "../signature/feeds.ts";
import type { Forward } from "./forward.ts";
import type { TextBatch } from "./texts.ts";
import type { BatchGraph } from "./training-graph.ts";

/** For graphs over large weights that run a few hundred times: no memory pattern, and no packed copies of weights. */
export const lean = { enableMemPattern: false, extra: { disable_prepacking: "1" } } as const;

/** The tokens of a batch, for the inputs that read them. */
export function tokenFeeds(inputs: readonly Forward["tokens"][], { ids }: Pick<TextBatch, "ids">): Record<string, TensorValue> {
  const [B, T] = [ids.length, ids[0]?.length ?? 0];
  return Object.fromEntries(inputs.map(({ name, dataType }) => [name, integerFeed(dataType, [B, T], rowMajor(ids))]));
}

const rowMajor = (rows: readonly (readonly number[])[]) => {
  const T = rows[0]?.length ?? 0;
  return (i: number): number => rows[Math.floor(i / T)]?.[i % T] ?? 0;
};

/** A session over a batch graph. */
export class Pass {
  private readonly loss = new Float32Array(1);
  private readonly results: Held;

  private constructor(
    private readonly session: InPlaceSession,
    private readonly graph: BatchGraph,
    private readonly inputs: readonly Forward["tokens"][],
    private readonly held: Held,
    into: Held,
  ) {
    this.results = { ...hold({ [graph.loss]: { dataType: "float32", dims: [1], data: this.loss } }), ...into };
  }

  static async open(
    model: Model,
    graph: BatchGraph,
    root: string,
    inputs: readonly Forward["tokens"][],
    held: Held,
    into: Held,
    executionProvider: ConcreteProvider,
  ): Promise<Pass> {
    const session = await InPlaceSession.open(asModel(model, graph.graph), root, { executionProvider, native: lean });
    const read = new Set(graph.graph.graph.inputs.map((i) => i.name));
    return new Pass(
      session,
      graph,
      inputs.filter((i) => read.has(i.name)),
      Object.fromEntries(Object.entries(held).filter(([name]) => read.has(name))),
      into,
    );
  }

  async run(batch: TextBatch): Promise<number> {
    const { targets, weights } = batch;
    const N = weights.length;
    const feeds = hold({
      ...tokenFeeds(this.inputs, batch),
      [this.graph.targets]: integerFeed("int64", [N, 1], rowMajor(targets)),
      [this.graph.weights]: { dataType: "float32", dims: [N, 1], data: weights },
    });
    await this.session.run({ ...this.held, ...feeds }, this.results);
    return numberAt(this.loss, 0);
  }

  /** The losses of batches together: their mean, where the weights of all tokens add up to 1. */
  async sum(batches: readonly TextBatch[]): Promise<number> {
    let sum = 0;
    for (const batch of batches) sum += await this.run(batch);
    return sum;
  }

  close(): Promise<void> {
    return this.session.close();
  }
}

const asModel = (model: Model, { graph, opsets }: TypedGraph): Model => ({ ...model, opsets, graph });
