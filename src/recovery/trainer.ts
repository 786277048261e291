import { numberAt } from "../number-at.ts";
import { sizeOf } from "../onnx/ir.ts";
import { seededRandom } from "../random.ts";
import { type Held, hold } from "../runtime/in-place.ts";
import type { ConcreteProvider } from "../runtime/providers.ts";
import type { TensorValue } from "../runtime/session.ts";
import { Adamw, paddedLength, type StepSize, type Vectors } from "./adamw.ts";
import type { Adapter } from "./beside-codes.ts";
import { forwardOf, type Located } from "./forward.ts";
import type { Trained } from "./methods/method.ts";
import type { RecoveryOptions } from "./options.ts";
import { Pass } from "./pass.ts";
import { inParts, type TextBatch } from "./texts.ts";
import { type BatchGraph, buildLossGraph } from "./training-graph.ts";
import { type TrainerSetting, type TrainingPlan, trainingPlan } from "./training-plan.ts";

/**
 * The numbers that are trained, with their gradients and moments, in memory of ours: ONNX Runtime reads and writes them where they lie, so that none
 * of them crosses its binding. All tensors lie one after another in one vector each.
 */
export class Trainer {
  private constructor(
    readonly trained: readonly Trained[],
    /** Where each begins in the vectors. */
    readonly offsets: readonly number[],
    readonly vectors: Vectors,
    readonly plan: TrainingPlan,
    private readonly seed: number,
    private readonly training: Pass,
    private readonly measuring: Pass,
    private readonly update: Adamw,
  ) {}

  /** @throws EspalierError what `trainingPlan` throws */
  static async open(setting: TrainerSetting): Promise<Trainer> {
    const { subject, options, executionProvider } = setting;
    const plan = await trainingPlan(setting);
    const { prepared, training, root, inputs } = plan;
    const { trained } = prepared;
    const counts = trained.map((t) => sizeOf(t.shape));
    const length = paddedLength(counts.reduce((a, b) => a + b, 0));
    const vector = () => new Float32Array(length);
    const vectors: Vectors = { weights: vector(), gradients: vector(), first: vector(), second: vector() };
    const offsets = counts.map((_, i) => counts.slice(0, i).reduce((a, b) => a + b, 0));
    const piece = (of: Float32Array, i: number): TensorValue => {
      const at = numberAt(offsets, i);
      return { dataType: "float32", dims: (trained[i] as Trained).shape, data: of.subarray(at, at + numberAt(counts, i)) };
    };
    const weights = hold(Object.fromEntries(trained.map((t, i) => [t.name, piece(vectors.weights, i)])));
    const before = hold(Object.fromEntries(training.sums.map((s, i) => [s.before, piece(vectors.gradients, i)])));
    const after = hold(Object.fromEntries(training.sums.map((s, i) => [s.after, piece(vectors.gradients, i)])));
    const openPass = (graph: BatchGraph, held: Held, into: Held) =>
      Pass.open(subject.model, graph, root, inputs, { ...weights, ...held }, into, executionProvider);
    const trains = await openPass(training, before, after);
    const measuring = await openPass(plan.measuring, {}, {});
    const made = new Trainer(trained, offsets, vectors, plan, options.seed, trains, measuring, await Adamw.open(vectors, "CPU"));
    made.begin();
    return made;
  }

  /** Everything is as it was before the first step. */
  begin(): void {
    for (const vector of Object.values(this.vectors)) vector.fill(0);
    for (const [i, tensor] of this.trained.entries())
      this.vectors.weights.set(tensor.initial(seededRandom(this.seed, `recovery/${tensor.name}`)), this.offsets[i]);
  }

  get trainedCount(): number {
    return this.trained.reduce((n, t) => n + sizeOf(t.shape), 0);
  }

  /** Adds the gradient of a batch to the sum. @returns its weighted loss */
  addGradient(batch: TextBatch): Promise<number> {
    return this.training.sum(this.parts([batch]));
  }

  /** Batches as they are run: of as many texts as a pass has. */
  parts(batches: readonly TextBatch[]): TextBatch[] {
    return batches.flatMap((batch) => inParts(batch, this.plan.rows));
  }

  /** The norm of the sum of gradients: not finite if any of them is not. */
  gradientNorm(): number {
    let sum = 0;
    for (const g of this.vectors.gradients) sum += g * g;
    return Math.sqrt(sum);
  }

  /** Makes a step by the sum of gradients, which begins at 0 again. */
  async step(size: StepSize): Promise<void> {
    await this.update.step(size);
    this.vectors.gradients.fill(0);
  }

  /** The weighted cross-entropy of texts together, which nothing is learnt from. */
  measure(batches: readonly TextBatch[]): Promise<number> {
    return this.measuring.sum(this.parts(batches));
  }

  /** The weights that the model has now in place of its own, in float32, one after another. */
  merged(weights: Float32Array = this.vectors.weights): Generator<readonly [parameter: string, values: Float32Array]> {
    return this.plan.prepared.merged(this.valuesIn(weights));
  }

  /** What is added to its matrices; null of a method that changes them. */
  adapters(weights: Float32Array = this.vectors.weights): Generator<Adapter> | null {
    return this.plan.prepared.adapters?.(this.valuesIn(weights)) ?? null;
  }

  private valuesIn(weights: Float32Array): (name: string) => Float32Array {
    const places = new Map(this.trained.map(({ name, shape }, i) => [name, { shape, at: numberAt(this.offsets, i) }]));
    return (name) => {
      const own = places.get(name);
      if (!own) throw new Error(`${name} is not trained`);
      return weights.subarray(own.at, own.at + sizeOf(own.shape));
    };
  }

  async close(): Promise<void> {
    for (const session of [this.training, this.measuring, this.update]) await session.close();
  }
}

/** The mean loss of a model as it is, in nats per token. */
export async function lossOf(
  { model, folder }: Located,
  batches: readonly TextBatch[],
  { batchSize, sequenceLength }: Pick<RecoveryOptions, "batchSize" | "sequenceLength">,
  executionProvider: ConcreteProvider,
): Promise<number> {
  const { typed, tokens, logits } = await forwardOf(model, [], [batchSize, sequenceLength]);
  const pass = await Pass.open(model, buildLossGraph(typed, logits), folder, [tokens], {}, {}, executionProvider);
  try {
    return await pass.sum(batches);
  } finally {
    await pass.close();
  }
}
