import { countedRows } from "../algebra/counted-rows.ts";
import { addTo } from "../algebra/vectors.ts";
import { GraphBuilder } from "../onnx/builder.ts";
import { type Model, sizeOf, type TypedGraph } from "../onnx/ir.ts";
import { type Held, hold, InPlaceSession } from "../runtime/in-place.ts";
import type { ConcreteProvider } from "../runtime/providers.ts";
import type { Moments } from "./correction.ts";
import type { Forward } from "./forward.ts";
import type { Fit } from "./methods/method.ts";
import { lean, tokenFeeds } from "./pass.ts";
import type { TextBatch } from "./texts.ts";

/** Sums of the moments of fits over texts. */
export class Sums {
  private constructor(
    private readonly session: InPlaceSession,
    private readonly tokens: readonly Forward["tokens"][],
    private readonly weights: Held,
    /** Of a run: gram, cross and missing of each fit. */
    private readonly results: readonly Float32Array[],
    private readonly into: Held,
  ) {}

  /**
   * @param typed the forward passes of both models
   * @param weights by input
   */
  static async open(
    base: Model,
    { typed, tokens, root }: { readonly typed: TypedGraph; readonly tokens: readonly Forward["tokens"][]; readonly root: string },
    fits: readonly Fit[],
    weights: Held,
    N: number,
    executionProvider: ConcreteProvider,
  ): Promise<Sums> {
    const b = new GraphBuilder(typed, "sums");
    const counted = b.input(countedName, "float32", [N, 1, 1]);
    const outputs = fits.flatMap((fit) => {
      const values = fit.values(b);
      const [x, e] = [countedRows(b, values.given, counted), countedRows(b, values.missing, counted)];
      const turned = b.transpose(x);
      return [b.matMul(turned, x), b.matMul(turned, e), b.reshape(b.reduceSum(b.mul(e, e), [0, 1]), [1])];
    });
    const { graph, opsets } = b.build(outputs);
    const read = new Set(graph.nodes.flatMap((n) => n.inputs));
    const inputs = graph.inputs.filter((i) => read.has(i.name));
    const model = { ...base, opsets, graph: { ...graph, inputs } };
    const session = await InPlaceSession.open(model, root, { executionProvider, native: lean });
    const results = outputs.map((o) => new Float32Array(sizeOf(o.shape)));
    const into = hold(
      Object.fromEntries(
        outputs.map((o, i) => [o.name, { dataType: "float32" as const, dims: o.shape, data: results[i] as Float32Array }]),
      ),
    );
    const own = Object.fromEntries(Object.entries(weights).filter(([name]) => read.has(name)));
    const fed = tokens.filter(({ name }) => read.has(name));
    return new Sums(session, fed, own, results, into);
  }

  /** Adds the moments of a batch to sums of each fit. */
  async add(batch: TextBatch, to: readonly Moments[]): Promise<void> {
    const { weights } = batch;
    const feeds = hold({
      ...tokenFeeds(this.tokens, batch),
      [countedName]: { dataType: "float32", dims: [weights.length, 1, 1], data: weights.map((w) => (w > 0 ? 1 : 0)) },
    });
    await this.session.run({ ...feeds, ...this.weights }, this.into);
    for (const [k, moments] of to.entries()) {
      addTo(moments.gram, this.results[3 * k] as Float32Array);
      addTo(moments.cross, this.results[3 * k + 1] as Float32Array);
      moments.missing += this.results[3 * k + 2]?.[0] as number;
    }
  }

  close(): Promise<void> {
    return this.session.close();
  }
}

const countedName = "sums/counted";
