import { EspalierError } from "../errors.ts";
import type { Model } from "../onnx/ir.ts";
import type { ConcreteProvider } from "../runtime/providers.ts";
import { type Anatomy, anatomyOf } from "../structures/anatomy.ts";
import { beside, commonFolder, type Forward, forwardOf, type Located, namedFrom, unfused } from "./forward.ts";
import { liveBytes } from "./live-bytes.ts";
import type { Prepared, Subject, TrainedMethod } from "./methods/method.ts";
import { stateObjectives } from "./objectives.ts";
import type { RecoveryOptions } from "./options.ts";
import { type BatchGraph, buildLossGraph, buildTrainingGraph, type TrainingGraph } from "./training-graph.ts";
import { type Joint, jointsOf } from "./trunk.ts";

/** What a trainer is opened on. */
export interface TrainerSetting {
  readonly subject: Located & Omit<Subject, "forward" | "initializers">;
  readonly teacher: Located | null;
  readonly method: TrainedMethod;
  readonly options: RecoveryOptions;
  readonly executionProvider: ConcreteProvider;
}

/** How a model is trained within the memory that its activations may take. */
export interface TrainingPlan {
  /** Texts of a pass: `batchSize`, or fewer. */
  readonly rows: number;
  /** Whether activations are worked out anew in the backward pass, layer by layer. */
  readonly worksOutAnew: boolean;
  /** What activations of a pass take, as it is foretold. */
  readonly activationBytes: number;
  readonly prepared: Prepared;
  readonly training: TrainingGraph;
  readonly measuring: BatchGraph;
  /** Where tokens are fed. */
  readonly inputs: readonly Forward["tokens"][];
  /** The folder that external data is named from. */
  readonly root: string;
}

/** Unless another limit is asked for. */
export const mostActivationBytes = 4 * 2 ** 30;
/** What a pass takes over what its values do at the same time: workspace of kernels, and what the allocator loses. Measured: 1.05 to 1.2 times. */
export const overhead = 1.2;

/**
 * Finds how many texts a pass may have. A pass that would take more than `options.activationBytes` is made of fewer texts; if one text takes too much, its
 * activations are worked out anew in the backward pass. It all follows from the graph, so that it is the same on every machine.
 *
 * @throws EspalierError RECOVERY_TOO_LARGE if one text takes more all the same; NOTHING_TO_TRAIN, UNSUPPORTED_OPERATOR, TEACHER_DIFFERS, ONNX_RUNTIME
 */
export async function trainingPlan(setting: TrainerSetting): Promise<TrainingPlan> {
  const { batchSize, sequenceLength, activationBytes } = setting.options;
  const most = activationBytes ?? mostActivationBytes;
  let needed = Number.POSITIVE_INFINITY;
  for (let rows = batchSize; ; ) {
    const plan = await planOf(setting, rows, false);
    if (plan.activationBytes <= most) return plan;
    needed = plan.activationBytes;
    if (rows === 1) break;
    const fitting = Math.max(1, Math.min(rows - 1, Math.floor((rows * most) / plan.activationBytes)));
    // As equal shares of the batch.
    rows = Math.ceil(batchSize / Math.ceil(batchSize / fitting));
  }
  const anew = await planOf(setting, 1, true);
  if (anew.activationBytes <= most) return anew;
  // Where texts are short it is gradients of weights that take most, of which none is saved.
  needed = Math.min(needed, anew.activationBytes);
  throw new EspalierError(
    "RECOVERY_TOO_LARGE",
    `activations of one text of ${sequenceLength} tokens take ${needed.toLocaleString("en-US")} bytes, and may take ${most.toLocaleString("en-US")}: ` +
      "let texts be shorter (options.sequenceLength), or allow more (options.activationBytes)",
    { neededBytes: needed, allowedBytes: most },
  );
}

async function planOf(setting: TrainerSetting, rows: number, worksOutAnew: boolean): Promise<TrainingPlan> {
  const { subject, teacher, method, options } = setting;
  const { model, folder, whole } = subject;
  const shape = [rows, options.sequenceLength] as const;
  const layers = teacher && stateObjectives(options.objectives).length > 0 ? layersOf(whole.anatomy, teacher.model) : null;
  const ends = worksOutAnew ? endsOf(whole.anatomy) : [];
  const opened = (of: Model, anatomy: Anatomy | null, parameters: readonly string[], kept: readonly string[]) =>
    forwardOf(anatomy ? unfused(of, anatomy) : of, parameters, shape, kept);
  const kept = [...ends, ...(layers?.pairs.map((j) => j.own) ?? [])];
  const own = await opened(model, kept.length > 0 ? whole.anatomy : null, [...whole.parameters.keys()], kept);
  const its = teacher && (await opened(teacher.model, layers?.its ?? null, [], layers?.pairs.map((j) => j.its) ?? []));
  if (layers && its) requireAlike(layers.pairs, own, its);
  const root = commonFolder([folder, ...(teacher ? [teacher.folder] : [])]);
  const prepared = method.prepare({ ...subject, forward: namedFrom(own.typed, folder, root), initializers: model.graph.initializers });
  const { forward, trained } = prepared;
  const student = { ...own, typed: forward };
  const pair = its && teacher && beside(student, { ...its, typed: namedFrom(its.typed, teacher.folder, root) });
  const states = pair && layers?.pairs.map((j) => ({ own: j.own, its: pair.nameOf(j.its) }));
  const part = pair && { ...pair.teacher, ...(states ? { layers: states } : {}) };
  const training = buildTrainingGraph(pair?.typed ?? forward, own.logits, part, trained, options, ends);
  return {
    ...{ rows, worksOutAnew, activationBytes: Math.ceil(overhead * liveBytes(training.graph)) },
    ...{ prepared, training, measuring: buildLossGraph(forward, own.logits), root },
    inputs: [own.tokens, ...(pair ? [pair.teacher.tokens] : [])],
  };
}

/** What the layers of a model lie between, from what the first one reads on. */
function endsOf(anatomy: Anatomy): string[] {
  const first = anatomy.places.find((p) => p.kind === "LAYER")?.branches[0];
  const ends = jointsOf(anatomy, anatomy)
    .filter((j) => j.endsLayer)
    .map((j) => j.own);
  return first ? [first.skip, ...ends] : ends;
}

/** The ends of a model's layers beside its teacher's, where both have all residual additions in the open. */
function layersOf(own: Anatomy, teacher: Model) {
  const its = anatomyOf(teacher);
  return { its, pairs: jointsOf(own, its).filter((j) => j.endsLayer) };
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
