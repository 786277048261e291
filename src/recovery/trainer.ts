import { EspalierError } from "../errors.ts";
import { type Model, sizeOf } from "../onnx/ir.ts";
import { seededRandom } from "../random.ts";
import { type Held, hold } from "../runtime/in-place.ts";
import type { ConcreteProvider } from "../runtime/providers.ts";
import type { TensorValue } from "../runtime/session.ts";
import { type Anatomy, anatomyOf } from "../structures/anatomy.ts";
import { Adamw, paddedLength, type StepSize, type Vectors } from "./adamw.ts";
import { beside, commonFolder, type Forward, forwardOf, type Located, namedFrom, unfused } from "./forward.ts";
import type { Prepared, Subject, Trained, TrainedMethod } from "./methods/method.ts";
import { stateObjectives } from "./objectives.ts";
import type { RecoveryOptions } from "./options.ts";
import { Pass } from "./pass.ts";
import type { TextBatch } from "./texts.ts";
import { type BatchGraph, buildLossGraph, buildTrainingGraph } from "./training-graph.ts";
import { type Joint, jointsOf } from "./trunk.ts";

/** What a trainer is opened on. */
export interface TrainerSetting {
  readonly subject: Located & Omit<Subject, "forward" | "initializers">;
  readonly teacher: Located | null;
  readonly method: TrainedMethod;
  readonly options: RecoveryOptions;
  readonly executionProvider: ConcreteProvider;
}

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
    private readonly seed: number,
    private readonly prepared: Prepared,
    private readonly training: Pass,
    private readonly measuring: Pass,
    private readonly update: Adamw,
  ) {}

  /** @throws EspalierError NOTHING_TO_TRAIN, UNSUPPORTED_OPERATOR, TEACHER_DIFFERS, ONNX_RUNTIME */
  static async open({ subject, teacher, method, options, executionProvider }: TrainerSetting): Promise<Trainer> {
    const { model, folder, whole } = subject;
    const shape = [options.batchSize, options.sequenceLength] as const;
    const layers = teacher && stateObjectives(options.objectives).length > 0 ? layersOf(whole.anatomy, teacher.model) : null;
    const opened = (of: Model, anatomy: Anatomy | undefined, parameters: readonly string[], kept: readonly string[] = []) =>
      forwardOf(anatomy ? unfused(of, anatomy) : of, parameters, shape, kept);
    const own = await opened(
      model,
      layers?.anatomies.own,
      [...whole.parameters.keys()],
      layers?.pairs.map((j) => j.own),
    );
    const its =
      teacher &&
      (await opened(
        teacher.model,
        layers?.anatomies.its,
        [],
        layers?.pairs.map((j) => j.its),
      ));
    if (layers && its) requireAlike(layers.pairs, own, its);
    const root = commonFolder([folder, ...(teacher ? [teacher.folder] : [])]);
    const prepared = method.prepare({ ...subject, forward: namedFrom(own.typed, folder, root), initializers: model.graph.initializers });
    const { forward, trained } = prepared;
    const student = { ...own, typed: forward };
    const pair = its && teacher && beside(student, { ...its, typed: namedFrom(its.typed, teacher.folder, root) });
    const ends = pair && layers?.pairs.map((j) => ({ own: j.own, its: pair.nameOf(j.its) }));
    const part = pair && { ...pair.teacher, ...(ends ? { layers: ends } : {}) };
    const training = buildTrainingGraph(pair?.typed ?? forward, own.logits, part, trained, options);

    const counts = trained.map((t) => sizeOf(t.shape));
    const length = paddedLength(counts.reduce((a, b) => a + b, 0));
    const vector = () => new Float32Array(length);
    const vectors: Vectors = { weights: vector(), gradients: vector(), first: vector(), second: vector() };
    const offsets = counts.map((_, i) => counts.slice(0, i).reduce((a, b) => a + b, 0));
    const piece = (of: Float32Array, i: number): TensorValue => {
      const at = offsets[i] as number;
      return { dataType: "float32", dims: (trained[i] as Trained).shape, data: of.subarray(at, at + (counts[i] as number)) };
    };
    const weights = hold(Object.fromEntries(trained.map((t, i) => [t.name, piece(vectors.weights, i)])));
    const before = hold(Object.fromEntries(training.sums.map((s, i) => [s.before, piece(vectors.gradients, i)])));
    const after = hold(Object.fromEntries(training.sums.map((s, i) => [s.after, piece(vectors.gradients, i)])));
    const inputs = [own.tokens, ...(pair ? [pair.teacher.tokens] : [])];
    const openPass = (graph: BatchGraph, held: Held, into: Held) =>
      Pass.open(model, graph, root, inputs, { ...weights, ...held }, into, executionProvider);
    const trains = await openPass(training, before, after);
    const measuring = await openPass(buildLossGraph(forward, own.logits), {}, {});
    const made = new Trainer(trained, offsets, vectors, options.seed, prepared, trains, measuring, await Adamw.open(vectors, "CPU"));
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
    return this.training.run(batch);
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
    return this.measuring.sum(batches);
  }

  /** The weights that the model has now in place of its own, in float32, one after another. */
  merged(weights: Float32Array = this.vectors.weights): Generator<readonly [parameter: string, values: Float32Array]> {
    const places = new Map(this.trained.map((t, i) => [t.name, i]));
    return this.prepared.merged((name) => {
      const i = places.get(name) as number;
      const at = this.offsets[i] as number;
      return weights.subarray(at, at + sizeOf((this.trained[i] as Trained).shape));
    });
  }

  async close(): Promise<void> {
    for (const session of [this.training, this.measuring, this.update]) await session.close();
  }
}

/** The ends of a model's layers beside its teacher's, where both have all residual additions in the open. */
function layersOf(own: Anatomy, teacher: Model) {
  const its = anatomyOf(teacher);
  return { anatomies: { own, its }, pairs: jointsOf(own, its).filter((j) => j.endsLayer) };
}

/** @throws EspalierError TEACHER_DIFFERS if what the layers give is of unlike widths */
function requireAlike(pairs: readonly Joint[], own: Forward, its: Forward): void {
  const widths = ({ own: name, its: other }: Joint) => [own.typed.types.get(name), its.typed.types.get(other)].map((t) => t?.shape.at(-1));
  const unlike = pairs.map(widths).find(([mine, theirs]) => mine !== theirs);
  if (unlike)
    throw new EspalierError(
      "TEACHER_DIFFERS",
      `the teacher's residual stream is ${unlike[1]} wide, the model's ${unlike[0]}: their states cannot be held side by side (objectives.hidden)`,
    );
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
