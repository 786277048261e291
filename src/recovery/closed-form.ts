import { EspalierError } from "../errors.ts";
import { largest } from "../large-lists.ts";
import { mean } from "../pruning/mean.ts";
import { resolveProvider } from "../runtime/providers.ts";
import { type Moments, noMoments } from "./correction.ts";
import type { RecoveryEvent } from "./events.ts";
import { type ClosedForm, type Fit, leastTokensPerInput } from "./methods/method.ts";
import type { Recovered, RecoveryJob } from "./recover.ts";
import { Solver } from "./solver.ts";
import { RecoveryTexts } from "./texts.ts";
import { lossOf } from "./trainer.ts";

/** Of all sums of one pass over the texts, in bytes. */
const mostSumBytes = 512 * 2 ** 20;

/**
 * Heals a model by solving for weights: sums what its products are given and what they lack beside the teacher's, over the texts of `steps` batches at
 * most, each once. What does no better on the texts held back stays as it is.
 *
 * @throws EspalierError NO_TEACHER, TEACHER_DIFFERS, NOTHING_TO_SOLVE; RECOVERY_TEXT_TOO_SHORT; RECOVERY_HARMS if the loss of the texts
 *   held back does not fall
 */
export async function* closedForm(job: RecoveryJob, method: ClosedForm): AsyncGenerator<RecoveryEvent, Recovered> {
  const { options } = job;
  const executionProvider = await resolveProvider(options.executionProvider);
  const texts = new RecoveryTexts(job.tokenizer, job.documents, options);
  const heldBack = texts.heldBack();
  if (!job.teacher) throw new EspalierError("NO_TEACHER", `${method.name} asks for a teacher, and there is none`);
  const teacher = job.teacher;
  const solver = await Solver.open({ subject: job.subject, teacher, method, options, executionProvider });
  const { weights } = solver;
  try {
    const rounds = solver.rounds.flatMap(inPasses);
    const passes = Math.min(options.steps, texts.stepsOfOneRound);
    requireEnough(texts, passes, largest(rounds.flat().map((fit) => fit.rows)), method.name);
    const startLoss = await solver.measure(heldBack);
    const teacherLoss = await lossOf(teacher, heldBack, options, executionProvider);
    const steps = passes * rounds.length;
    const trainedParameterCount = [...weights.values()].reduce((n, w) => n + w.length, 0);
    yield { type: "STARTED", executionProvider, trainedParameterCount, steps, heldBackLoss: startLoss, teacherLoss };
    const begun = performance.now();
    let [step, tokens] = [0, 0];
    const shares: number[] = [];
    for (const fits of rounds) {
      const sums = await solver.sums(fits);
      try {
        const [own, its] = [fits.map(noMoments), fits.map(noMoments)];
        for (let pass = 0; pass < passes; pass++) {
          for (const batch of texts.ofStep(pass)) {
            await sums.add(batch, own);
            tokens += batch.tokens;
          }
          step++;
          const ms = performance.now() - begun;
          yield { type: "READ", step, steps, tokensPerSecond: (1000 * tokens) / ms, estimatedMsLeft: (ms / step) * (steps - step) };
        }
        for (const batch of heldBack) await sums.add(batch, its);
        for (const [k, fit] of fits.entries()) shares.push(solver.solve(fit, own[k] as Moments, its[k] as Moments));
      } finally {
        await sums.close();
      }
    }
    const loss = await solver.measure(heldBack);
    if (!(loss < startLoss))
      throw new EspalierError(
        "RECOVERY_HARMS",
        `with what ${method.name} solved for, the loss of the texts held back is ${loss.toFixed(4)} nats per token, and ${startLoss.toFixed(4)} without: give it more texts, or train`,
        { startLoss, loss },
      );
    const wonBackRatio = startLoss > teacherLoss ? (startLoss - loss) / (startLoss - teacherLoss) : null;
    return {
      summary: { bestStep: steps, steps, trainedParameterCount, trainedTokens: tokens, startLoss, loss, teacherLoss, wonBackRatio },
      notes: [noteOf(method.name, shares)],
      weights: function* () {
        yield* weights;
      },
      adapters: () => null,
    };
  } finally {
    await solver.close();
  }
}

function noteOf(name: string, shares: readonly number[]): string {
  const left = shares.filter((share) => share === 1).length;
  return (
    `${name}: of what ${shares.length} products lacked beside the teacher's on texts that were held back, ${(100 * mean(shares)).toFixed(1)}% is left on the average` +
    (left > 0 ? `; ${left} did no better, and were left as they were` : "")
  );
}

/** Fits by the passes over the texts in which their moments are summed. */
function inPasses(fits: readonly Fit[]): Fit[][] {
  const found: Fit[][] = [];
  let room = 0;
  for (const fit of fits) {
    // Two sums in float64, and what a run gives in float32.
    const bytes = 20 * fit.rows * (fit.rows + fit.columns);
    if (bytes > room) {
      found.push([]);
      room = mostSumBytes;
    }
    found.at(-1)?.push(fit);
    room -= bytes;
  }
  return found;
}

/** @throws EspalierError RECOVERY_TEXT_TOO_SHORT, with the numbers */
function requireEnough(texts: RecoveryTexts, passes: number, rows: number, name: string): void {
  const needed = leastTokensPerInput * rows;
  let there = 0;
  for (let pass = 0; pass < passes && there < needed; pass++) for (const { tokens } of texts.ofStep(pass)) there += tokens;
  if (there < needed)
    throw new EspalierError(
      "RECOVERY_TEXT_TOO_SHORT",
      `${name} needs ${needed} tokens, four for each of ${rows} inputs; the texts of ${passes} steps, each once, have ${there}: ask for more steps or give it more texts`,
      { neededTokens: needed, tokens: there },
    );
}
