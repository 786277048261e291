import { rm } from "node:fs/promises";
import { join } from "node:path";
import { EspalierError } from "../errors.ts";
import { tensorReader } from "../onnx/read-tensor.ts";
import type { ConcreteProvider } from "../runtime/providers.ts";
import { resolveProvider } from "../runtime/providers.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { Adapter } from "./beside-codes.ts";
import { bestOf, readCheckpoint, type Standing, writeCheckpoint } from "./checkpoint.ts";
import { closedForm } from "./closed-form.ts";
import type { RecoveryEvent, RecoverySummary } from "./events.ts";
import type { Located } from "./forward.ts";
import { isTrained, type RecoveryMethod, type TrainedMethod } from "./methods/method.ts";
import { needsTeacher } from "./objectives.ts";
import type { RecoveryOptions } from "./options.ts";
import { rateAt } from "./rate.ts";
import { RecoveryTexts } from "./texts.ts";
import { lossOf, Trainer } from "./trainer.ts";
import type { TrainingPlan } from "./training-plan.ts";
import { wholeOfModel } from "./whole.ts";

export interface RecoveryJob {
  readonly subject: Located;
  /** Null where no objective asks for one. */
  readonly teacher: Located | null;
  readonly tokenizer: Tokenizer;
  readonly documents: readonly string[];
  readonly method: RecoveryMethod;
  readonly options: RecoveryOptions;
  /** The file of a check of the same job, after which it goes on; null to begin. */
  readonly checkpoint: string | null;
  /** A folder for checkpoints. */
  readonly scratch: string;
}

/** What is left of training: what came of it, and the weights. */
export interface Recovered {
  readonly summary: RecoverySummary;
  /** What came of it besides, for people. */
  readonly notes: readonly string[];
  /** What the model has in place of its own, in float32, one after another. */
  weights(): Generator<readonly [parameter: string, values: Float32Array]>;
  /** The same as what is added to matrices that stay; null of a method that changes them. */
  adapters(): Generator<Adapter> | null;
}

/** A loss of texts held back so many times the best is taken for a training that has gone astray. */
const tooMuch = 2;
/** Recent losses so many times their trend are a reason to look; a loss of texts held back so many times the best is then enough. */
const suspicious = { trend: 2, heldBack: 1.25 } as const;
/** How often it may go back. */
const mostRetreats = 6;
/** How much a new loss counts in the trend, and in what is recent: losses of small batches vary, so that a single one says little. */
const newest = { trend: 0.1, recent: 0.3 } as const;

/**
 * Heals what is left of a model. A method that trains brings it to do again what its teacher does, and keeps the step that does best on texts that are held back. Its whole state is
 * the job and the last checkpoint, so it goes on after one exactly as if it had never stopped.
 *
 * @throws EspalierError RECOVERY_TEXT_TOO_SHORT, NO_TEACHER, NOTHING_TO_TRAIN, TEACHER_DIFFERS; RECOVERY_DIVERGED; what `closedForm` throws
 */
export async function* recover(job: RecoveryJob): AsyncGenerator<RecoveryEvent, Recovered> {
  const { method } = job;
  return yield* isTrained(method) ? train(job, method) : closedForm(job, method);
}

async function* train(job: RecoveryJob, method: TrainedMethod): AsyncGenerator<RecoveryEvent, Recovered> {
  const { teacher, options, scratch } = job;
  if (!teacher && needsTeacher(options.objectives))
    throw new EspalierError("NO_TEACHER", "the objectives ask for a teacher, and there is none");
  const executionProvider = await resolveProvider(options.executionProvider);
  const texts = new RecoveryTexts(job.tokenizer, job.documents, options);
  const heldBack = texts.heldBack();
  const trainer = await openTrainer(job, method, executionProvider);
  try {
    const begin = async (): Promise<Standing> => {
      const startLoss = await trainer.measure(heldBack);
      const { sequenceLength } = options;
      const shape = { batchSize: trainer.plan.rows, sequenceLength };
      const teacherLoss = teacher && (await lossOf(teacher, trainer.parts(heldBack), shape, executionProvider));
      return { ...beginning, startLoss, bestLoss: startLoss, teacherLoss };
    };
    let file = job.checkpoint;
    const first = file === null ? await begin() : await readCheckpoint(file, trainer);
    let now = first;
    yield {
      type: "STARTED",
      executionProvider,
      trainedParameterCount: trainer.trainedCount,
      steps: options.steps,
      heldBackLoss: first.startLoss,
      teacherLoss: first.teacherLoss,
    };
    const clock = new Clock(options);
    const strayed = async (standing: Standing) => tooLarge(await trainer.measure(heldBack), standing, suspicious.heldBack);
    while (now.step < options.steps && now.checksSinceBest < options.patience) {
      const step = now.step + 1;
      const begun = performance.now();
      const learningRate = (options.learningRate ?? method.learningRate) * now.rateFactor * rateAt(step, options);
      let [loss, tokens] = [0, 0];
      for (const batch of texts.ofStep(now.step)) {
        loss += await trainer.addGradient(batch);
        tokens += batch.tokens;
      }
      const gradientNorm = trainer.gradientNorm();
      const recent = blended(now.recent ?? now.trend, loss, newest.recent);
      let reason = notFinite(loss, gradientNorm);
      if (reason === null && now.trend !== null && recent > suspicious.trend * now.trend) reason = await strayed(now);
      if (reason === null) {
        const gradientScale = Math.min(1, options.maxGradientNorm / (gradientNorm + 1e-6));
        await trainer.step({ step, learningRate, weightDecay: options.weightDecay, gradientScale });
        now = { ...now, step, trend: blended(now.trend, loss, newest.trend), recent, trainedTokens: now.trainedTokens + tokens };
        clock.stepped(tokens, performance.now() - begun);
        yield { type: "STEP", step, steps: options.steps, loss, gradientNorm, learningRate, ...clock.reading(now) };
        if (step % options.checkEverySteps !== 0 && step !== options.steps) continue;
        const checking = performance.now();
        const heldBackLoss = await trainer.measure(heldBack);
        reason = tooLarge(heldBackLoss, now, tooMuch);
        if (reason === null) {
          const isBest = heldBackLoss < now.bestLoss;
          now = isBest
            ? { ...now, bestLoss: heldBackLoss, bestStep: step, checksSinceBest: 0 }
            : { ...now, checksSinceBest: now.checksSinceBest + 1 };
          const written = join(scratch, `checkpoint-${step}`);
          await writeCheckpoint(written, trainer, now, file);
          if (file !== null && file !== job.checkpoint) await rm(file);
          file = written;
          clock.checked(performance.now() - checking);
          const wonBackRatio = wonBack(now, heldBackLoss);
          yield { type: "CHECK", step, heldBackLoss, isBest, wonBackRatio, ...clock.reading(now), checkpoint: written };
          continue;
        }
      }
      const { retreats, rateFactor } = now;
      if (retreats === mostRetreats)
        throw new EspalierError(
          "RECOVERY_DIVERGED",
          `at step ${step} ${reason}, after ${retreats} retreats: begin with a lower learning rate`,
        );
      if (file === null) trainer.begin();
      const back = file === null ? first : await readCheckpoint(file, trainer);
      now = { ...back, retreats: retreats + 1, rateFactor: rateFactor / 2 };
      yield { type: "RETREATED", step, backToStep: now.step, reason: reason ?? "", rateFactor: now.rateFactor };
    }
    const best = await bestWeights(trainer, now, file);
    const { bestStep, step: steps, trainedTokens, startLoss, bestLoss: loss, teacherLoss } = now;
    const { trainedCount: trainedParameterCount } = trainer;
    return {
      summary: { bestStep, steps, trainedParameterCount, trainedTokens, startLoss, loss, teacherLoss, wonBackRatio: wonBack(now, loss) },
      notes: noteOf(trainer.plan, options),
      weights: () => trainer.merged(best),
      adapters: () => trainer.adapters(best),
    };
  } finally {
    await trainer.close();
  }
}

async function openTrainer(
  { subject, teacher, options }: RecoveryJob,
  method: TrainedMethod,
  executionProvider: ConcreteProvider,
): Promise<Trainer> {
  const whole = await wholeOfModel(subject.model, subject.folder, method.divides ?? false);
  const used = needsTeacher(options.objectives) ? teacher : null;
  const read = tensorReader(subject.folder);
  return Trainer.open({ subject: { ...subject, whole, read, options }, teacher: used, method, options, executionProvider });
}

const beginning = {
  step: 0,
  rateFactor: 1,
  retreats: 0,
  bestStep: 0,
  checksSinceBest: 0,
  trend: null,
  recent: null,
  trainedTokens: 0,
} as const;

/** A running mean with a new loss. */
const blended = (before: number | null, loss: number, share: number): number =>
  before === null ? loss : (1 - share) * before + share * loss;

/** Why a step's loss or gradient says that training has gone astray; null if they do not. */
function notFinite(loss: number, gradientNorm: number): string | null {
  if (!Number.isFinite(loss)) return `the loss came to ${loss}`;
  return Number.isFinite(gradientNorm) ? null : `the norm of the gradient came to ${gradientNorm}`;
}

/** Why the loss of texts held back says so. */
const tooLarge = (heldBackLoss: number, { bestLoss }: Standing, times: number): string | null =>
  heldBackLoss <= times * bestLoss
    ? null
    : `the loss of the texts held back came to ${heldBackLoss.toFixed(3)}, from ${bestLoss.toFixed(3)}`;

const wonBack = ({ startLoss, teacherLoss }: Standing, loss: number): number | null =>
  teacherLoss !== null && startLoss > teacherLoss ? (startLoss - loss) / (startLoss - teacherLoss) : null;

/** The weights of the best step: where that is none, those before the first. */
async function bestWeights(trainer: Trainer, { step, bestStep }: Standing, file: string | null): Promise<Float32Array> {
  if (bestStep === step && step > 0) return trainer.vectors.weights;
  if (bestStep > 0 && file !== null) return bestOf(file, trainer.trainedCount);
  trainer.begin();
  return trainer.vectors.weights;
}

/** For people: what was done to keep within the memory that activations may take. */
function noteOf({ rows, worksOutAnew }: TrainingPlan, { batchSize }: Pick<RecoveryOptions, "batchSize">): string[] {
  if (rows === batchSize && !worksOutAnew) return [];
  const anew = worksOutAnew ? ", and activations were worked out anew in the backward pass" : "";
  return [`to keep activations within their memory, passes were of ${rows} of the ${batchSize} texts of a batch${anew}`];
}

/** How fast it goes, in this process. */
class Clock {
  private tokens = 0;
  private steps = 0;
  private stepsMs = 0;
  private checks = 0;
  private checksMs = 0;

  constructor(private readonly options: Pick<RecoveryOptions, "steps" | "checkEverySteps">) {}

  stepped(tokens: number, ms: number): void {
    this.tokens += tokens;
    this.steps++;
    this.stepsMs += ms;
  }

  checked(ms: number): void {
    this.checks++;
    this.checksMs += ms;
  }

  reading({ step }: Standing): { readonly tokensPerSecond: number; readonly estimatedMsLeft: number } {
    const left = this.options.steps - step;
    const checksLeft = Math.ceil(left / this.options.checkEverySteps);
    const ofChecks = this.checks === 0 ? 0 : (checksLeft * this.checksMs) / this.checks;
    return { tokensPerSecond: (1000 * this.tokens) / this.stepsMs, estimatedMsLeft: (left * this.stepsMs) / this.steps + ofChecks };
  }
}
