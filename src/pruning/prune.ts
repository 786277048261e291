import { EspalierError } from "../errors.ts";
import { finished, told } from "../finished.ts";
import { append } from "../large-lists.ts";
import { numberAt } from "../number-at.ts";
import type { Model } from "../onnx/ir.ts";
import { tensorReader } from "../onnx/read-tensor.ts";
import { seededRandom } from "../random.ts";
import { resolveProvider } from "../runtime/providers.ts";
import { discover } from "../structures/discover.ts";
import { divide, removeStructures } from "../structures/divide.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { compensated } from "./compensate.ts";
import type { IterationRecord, PruningEvent, RemovedStructure } from "./events.ts";
import { inputMoments } from "./evidence/activity.ts";
import type { Scene } from "./evidence/evidence.ts";
import { scored } from "./evidence/gatherers.ts";
import { mean } from "./mean.ts";
import { methodNamed } from "./methods/index.ts";
import { type Method, normalizationOf, restorationOf } from "./methods/method.ts";
import { type Objective, objectiveOf } from "./objectives.ts";
import { leavesAttention, type OpenGroup, openGroups, parametersLeft, type Whole } from "./open-groups.ts";
import { type PruningOptions, prunesParts, structuresAtOnce } from "./options.ts";
import { normalized, type ScoredGroup, Selection, tables, takeLowest } from "./select.ts";
import { takeUniform } from "./uniform.ts";

export interface PruningJob {
  readonly model: Model;
  /** Where the model's external data lies. */
  readonly folder: string;
  /** Path of a folder that may be made for a while: for weights that were cut from external data. */
  readonly scratch: string;
  readonly tokenizer: Tokenizer;
  readonly documents: readonly string[];
  /** What it is judged by; null, or none: by the next tokens of the documents. */
  readonly objective?: Objective | null;
  readonly method: Method;
  readonly options: PruningOptions;
  /** Iterations that an earlier, interrupted run of the same job completed, oldest first. */
  readonly done: readonly Pick<IterationRecord, "removed" | "durationMs">[];
}

export interface Pruned {
  readonly removed: readonly RemovedStructure[];
  /** What is left. */
  readonly pruned: Model;
  /** What it was pruned from. */
  readonly whole: Whole;
}

/** What a job's model consists of, as far as its options ask for it. */
export async function wholeOf({ model, folder, options }: Pick<PruningJob, "model" | "folder" | "options">): Promise<Whole> {
  const found = discover(model, tensorReader(folder));
  return { ...found, divided: prunesParts(options) ? await divide(model, found.anatomy, found.parameters) : null };
}

/** What a job's model is judged by. @throws EspalierError as `objectiveOf` */
export const objectiveFor = ({ objective, tokenizer, documents, options }: PruningJob): Objective =>
  objective ?? objectiveOf("CAUSAL_LM", { tokenizer, content: { form: "TEXT", documents }, options });

/**
 * The pruning loop: score every candidate, remove the lowest, score the smaller model anew, until the target is met.
 * Greedy and iterative, as in the paper (arXiv 2501.15278). Its whole state is the base model, the options and the
 * structures removed so far, so it goes on after `done` exactly as if it had never stopped.
 *
 * @param known what the model consists of, if that has been found
 * @returns every structure removed, in order, and what is left
 * @throws EspalierError NON_FINITE_SCORES; TARGET_UNREACHABLE if the candidates run out before the target is met
 */
export async function* prune(job: PruningJob, known?: Whole): AsyncGenerator<PruningEvent, Pruned> {
  const { model, options, method, folder, scratch } = job;
  const read = tensorReader(folder);
  const whole = known ?? (await wholeOf(job));
  const { structures, parameterCount: total } = whole;
  const executionProvider = await resolveProvider(options.executionProvider);
  const target = total * (1 - options.targetRatio);
  // Null too in runs that were stored before it was thought of.
  const startFrom = options.startFrom == null ? null : methodNamed(options.startFrom);
  const objective = objectiveFor(job);

  const removed = job.done.flatMap((d) => d.removed);
  const durations = job.done.map((d) => d.durationMs);
  const scene = (now: Model, iteration: number): Scene => ({
    model: now,
    folder,
    scratch,
    read,
    whole,
    samples: objective.views(iteration),
    sequenceLength: options.sequenceLength,
    judge: objective.judge,
    gradientBy: options.gradientBy,
    executionProvider,
    toRemove: parametersLeft(whole, now) - target,
    masks: options.masks,
    random: (stream) => seededRandom(options.seed, `${method.name}/${iteration}/${stream}`),
  });
  const moments =
    (options.restore ?? restorationOf(method)) === "BIAS"
      ? await finished(inputMoments(scene(model, 0), [...whole.parameters.keys()]))
      : null;
  const without = async (ids: readonly RemovedStructure[]) => {
    const rest = await removeStructures(model, ids, read, whole);
    return moments ? compensated(model, whole, moments, ids, rest, read) : rest;
  };
  let current = await without(removed);
  let left = parametersLeft(whole, current);
  const ratio = () => (total - left) / total;

  const candidates = count(openGroups(whole, [], model, options));
  const atOnce = structuresAtOnce(options, candidates);
  yield { type: "STARTED", executionProvider, parameterCount: total, targetParameterCount: Math.floor(target), candidates };

  for (let iteration = job.done.length; left > target; iteration++) {
    const begun = performance.now();
    const open = openGroups(whole, removed, current, options);
    const scoring = scored(method, scene(current, iteration), open, startFrom);
    const { groups, loss, perturbedLoss } = yield* told(scoring, (samplesDone) => ({
      ...{ type: "SCORING" as const, iteration },
      ...{ samplesDone, samplesTotal: options.samples },
    }));
    requireNumbers(groups, [loss, perturbedLoss], iteration);

    const ranked = normalized(groups, options.normalization ?? normalizationOf(method));
    const before = current;
    const mayGo = (taken: ReadonlySet<string>) => leavesAttention(structures, (p) => taken.has(p) || !before.graph.initializers.has(p));
    const selection = new Selection(atOnce, left - target, mayGo);
    if (options.uniform) takeUniform(selection, ranked, options.uniform);
    else takeLowest(selection, ranked);
    if (selection.taken.length === 0) throw unreachable(options.targetRatio, ratio());

    append(removed, selection.taken);
    current = await without(removed);
    left = parametersLeft(whole, current);
    durations.push(performance.now() - begun);
    yield {
      type: "ITERATION",
      iteration,
      scores: tables(ranked),
      removed: selection.taken,
      parameterCount: left,
      removedRatio: ratio(),
      loss,
      perturbedLoss,
      durationMs: numberAt(durations, durations.length - 1),
      estimatedMsLeft: timeLeft(durations, total - left, Math.max(0, left - target)),
    };
  }
  yield { type: "FINISHED", iterations: durations.length, parameterCount: left, removedRatio: ratio() };
  return { removed, pruned: current, whole };
}

const count = (groups: readonly OpenGroup[]): number => groups.reduce((n, g) => n + (g.removable > 0 ? g.indexes.length : 0), 0);

/** Iterations shrink as the model does; the mean so far is a fair guess for those to come. Null while nothing is gone. */
function timeLeft(durations: readonly number[], removedCount: number, toRemove: number): number | null {
  return removedCount === 0 ? null : mean(durations) * Math.ceil(toRemove / (removedCount / durations.length));
}

/** By scores that are no numbers nothing can be ranked. @throws EspalierError NON_FINITE_SCORES naming the first such structure */
function requireNumbers(groups: readonly ScoredGroup[], losses: readonly (number | null)[], iteration: number): void {
  const broken = groups.find(({ scores }) => !scores.every(Number.isFinite));
  const place = broken?.scores.findIndex((score) => !Number.isFinite(score)) ?? -1;
  const what = broken
    ? `the score of ${broken.kind} ${broken.indexes[place]} is ${broken.scores[place]}`
    : losses.some((loss) => loss !== null && !Number.isFinite(loss)) && "the loss of the calibration texts is infinite or not a number";
  if (what)
    throw new EspalierError(
      "NON_FINITE_SCORES",
      `in iteration ${iteration} ${what}: weights of the model are no numbers, or what it computes is too large for them`,
      { iteration },
    );
}

const unreachable = (targetRatio: number, reached: number) =>
  new EspalierError(
    "TARGET_UNREACHABLE",
    `no structure is left that may be removed: ${(100 * reached).toFixed(1)}% of the parameters are gone, ${(100 * targetRatio).toFixed(1)}% were asked for; ` +
      "allow more structure kinds or protect fewer layers",
    { targetRatio, removedRatio: reached },
  );
