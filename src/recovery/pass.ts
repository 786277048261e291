import type { Model, TypedGraph } from "../onnx/ir.ts";
import { type Held, hold, InPlaceSession } from "../runtime/in-place.ts";
import type { ConcreteProvider } from "../runtime/providers.ts";
import { integerFeed } from "../signature/feeds.ts";
import type { Forward } from "./forward.ts";
import type { TextBatch } from "./texts.ts";
import type { BatchGraph } from "./training-graph.ts";

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
    const lean = { enableMemPattern: false, extra: { disable_prepacking: "1" } };
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

  async run({ ids, targets, weights }: TextBatch): Promise<number> {
    const [B, T] = [ids.length, ids[0]?.length ?? 0];
    const at = (rows: readonly (readonly number[])[]) => (i: number) => rows[Math.floor(i / T)]?.[i % T] ?? 0;
    const tokens = Object.fromEntries(this.inputs.map(({ name, dataType }) => [name, integerFeed(dataType, [B, T], at(ids))]));
    const feeds = hold({
      ...tokens,
      [this.graph.targets]: integerFeed("int64", [B * T, 1], at(targets)),
      [this.graph.weights]: { dataType: "float32", dims: [B * T, 1], data: weights },
    });
    await this.session.run({ ...this.held, ...feeds }, this.results);
    return this.loss[0] as number;
  }

  close(): Promise<void> {
    return this.session.close();
  }
}

const asModel = (model: Model, { graph, opsets }: TypedGraph): Model => ({ ...model, opsets, graph });
