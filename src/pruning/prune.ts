import { EspalierError } from "../errors.ts";
import type { Model } from "../onnx/ir.ts";
import { tensorReader } from "../onnx/read-tensor.ts";
import { resolveProvider } from "../runtime/providers.ts";
import { discover } from "../structures/discover.ts";
import { remove } from "../structures/remove.ts";
import { structureKinds } from "../structures/structure.ts";
import { calibrationSamples, views } from "../text/calibration.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { IterationRecord, PruningEvent, RemovedStructure, ScoreTable } from "./events.ts";
import type { Method } from "./methods/method.ts";
import type { PruningOptions } from "./options.ts";
import { type Evidence, score } from "./score.ts";
import { type Candidate, candidates, leavesAttention, lowest, normalized, rank, type Scored } from "./select.ts";

export interface PruningJob {
  readonly model: Model;
  /** Where the model's external data lies. */
  readonly folder: string;
  readonly tokenizer: Tokenizer;
  readonly documents: readonly string[];
  readonly method: Method;
  readonly options: PruningOptions;
  /** Iterations that an earlier, interrupted run of the same job completed, oldest first. */
  readonly done: readonly Pick<IterationRecord, "removed" | "durationMs">[];
}

/**
 * The pruning loop: score every candidate, remove the lowest, score the smaller model anew, until the target is met.
 * Greedy and iterative, as in the paper (arXiv 2501.15278). Its whole state is the base model, the options and the
 * structures removed so far, so it goes on after `done` exactly as if it had never stopped.
 *
 * @returns every structure removed, in order
 * @throws EspalierError TARGET_UNREACHABLE if the candidates run out before the target is met
 */
export async function* prune(job: PruningJob): AsyncGenerator<PruningEvent, readonly RemovedStructure[]> {
  const { model, options, method } = job;
  const { structures, parameters, parameterCount: total, logits } = discover(model, tensorReader(job.folder));
  const executionProvider = await resolveProvider(options.executionProvider);
  const target = total * (1 - options.targetRatio);
  const texts = calibrationSamples(job.tokenizer, job.documents, options);

  const removed = job.done.flatMap((d) => d.removed);
  const durations = job.done.map((d) => d.durationMs);
  let current = remove(model, removed);
  let left = countLeft(parameters, current);
  const ratio = () => (total - left) / total;

  yield {
    type: "STARTED",
    executionProvider,
    parameterCount: total,
    targetParameterCount: Math.floor(target),
    candidates: candidates(structures, new Set(), parameters, options).length,
  };

  for (let iteration = job.done.length; left > target; iteration++) {
    const begun = performance.now();
    const before = new Set([...parameters.keys()].filter((p) => !current.graph.initializers.has(p)));
    const open = candidates(structures, before, parameters, options);
    if (open.length === 0) throw unreachable(options.targetRatio, ratio());

    const samples = texts.map((text, i) => views(job.tokenizer, text, options, i, iteration));
    const scoring = score({
      model: current,
      folder: job.folder,
      logits,
      parameters: [...parameters.keys()],
      wanted: [...new Set(open.flatMap((c) => c.parameters))],
      samples,
      sequenceLength: options.sequenceLength,
      executionProvider,
    });
    let step = await scoring.next();
    for (; !step.done; step = await scoring.next())
      yield { type: "SCORING", iteration, samplesDone: step.value, samplesTotal: samples.length };
    const evidence = step.value;

    const scored = open.map((c): Scored => {
      const raw = method.score(normsOf(c, evidence, samples.length));
      return { ...c, score: normalized(raw, c.parameterCount, options.normalization) };
    });
    const mayGo = (taken: ReadonlySet<string>) => leavesAttention(structures, new Set([...before, ...taken]));
    const gone = lowest(rank(scored), options.structuresPerIteration, left - target, mayGo);
    removed.push(...gone);
    current = remove(model, removed);
    left = countLeft(parameters, current);
    durations.push(performance.now() - begun);
    yield {
      type: "ITERATION",
      iteration,
      scores: tables(scored),
      removed: gone,
      parameterCount: left,
      removedRatio: ratio(),
      loss: evidence.loss,
      perturbedLoss: evidence.perturbedLoss,
      durationMs: durations.at(-1) as number,
      estimatedMsLeft: timeLeft(durations, total - left, Math.max(0, left - target)),
    };
  }
  yield { type: "FINISHED", iterations: durations.length, parameterCount: left, removedRatio: ratio() };
  return removed;
}

const countLeft = (parameters: ReadonlyMap<string, number>, { graph }: Model): number =>
  [...parameters].reduce((n, [name, count]) => (graph.initializers.has(name) ? n + count : n), 0);

/** One entry a sample: the norm over all of a candidate's parameters, as of one long vector. */
function normsOf(candidate: Candidate, evidence: Evidence, samples: number): number[] {
  const squares = new Array<number>(samples).fill(0);
  for (const name of candidate.parameters)
    for (const [s, norm] of (evidence.squaredNorms.get(name) ?? []).entries()) squares[s] = (squares[s] as number) + norm;
  // A ghost norm near zero may come out a rounding error below it.
  return squares.map((s) => Math.sqrt(Math.max(0, s)));
}

function tables(scored: readonly Scored[]): ScoreTable[] {
  return structureKinds
    .map((kind) => ({ kind, list: scored.filter((s) => s.structure.kind === kind) }))
    .filter(({ list }) => list.length > 0)
    .map(({ kind, list }) => ({ kind, indexes: list.map((s) => s.structure.index), scores: list.map((s) => s.score) }));
}

/** Iterations shrink as the model does; the mean so far is a fair guess for those to come. */
function timeLeft(durations: readonly number[], removedCount: number, toRemove: number): number {
  const mean = durations.reduce((a, b) => a + b, 0) / durations.length;
  return mean * Math.ceil(toRemove / (removedCount / durations.length));
}

const unreachable = (targetRatio: number, reached: number) =>
  new EspalierError(
    "TARGET_UNREACHABLE",
    `no structure is left that may be removed: ${(100 * reached).toFixed(1)}% of the parameters are gone, ${(100 * targetRatio).toFixed(1)}% were asked for; ` +
      "allow more structure kinds or protect fewer layers",
    { targetRatio, removedRatio: reached },
  );
