import { EspalierError } from "../errors.ts";
import type { PruningEvent } from "../pruning/events.ts";
import {
  claimRun,
  holdsClaim,
  type RunClaim,
  recordFailure,
  recordIteration,
  recordScoring,
  recordStart,
  recordSuccess,
} from "../store/run-progress.ts";
import { getRun, runIterations } from "../store/runs.ts";
import { ComputeProcess } from "./compute-process.ts";
import { failureOf, hasCode } from "./failure.ts";
import { storedDataset } from "./stored-dataset.ts";
import { storedModel } from "./stored-model.ts";
import type { PruneRequest, PruneResult } from "./tasks.ts";
import { watchClaim } from "./watch-claim.ts";
import type { JobServices } from "./worker.ts";

/** SCORING events come as fast as samples are scored; people look less often. */
const scoringIntervalMs = 250;
/** A compute process that died, of memory for instance, is started again; this often in a row without an iteration is enough. */
const maxCrashes = 3;

/** The request of a run as it stands: what was done before is not done again. */
async function requestFor(services: JobServices, runId: string): Promise<PruneRequest> {
  const { prisma } = services.store;
  const run = await getRun(prisma, runId);
  const iterations = await runIterations(prisma, runId);
  return {
    model: await storedModel(services, run.modelId),
    method: run.method,
    // A run ends on the provider that it began on: others may round otherwise.
    options: { ...run.options, executionProvider: run.executionProvider ?? run.options.executionProvider },
    dataset: await storedDataset(services, run.datasetId),
    done: iterations.map(({ index, ...iteration }) => ({ ...iteration, iteration: index })),
  };
}

/** Stores each event in order; SCORING only now and then. */
function recorder({ store }: JobServices, claim: RunClaim): (event: PruningEvent) => Promise<void> {
  let lastScoring = Number.NEGATIVE_INFINITY;
  return async (event) => {
    if (event.type === "STARTED") {
      const { type, ...payload } = event;
      await recordStart(store, claim, payload);
    } else if (event.type === "ITERATION") {
      await recordIteration(store, claim, event);
    } else if (event.type === "SCORING" && performance.now() - lastScoring >= scoringIntervalMs) {
      const { type, ...payload } = event;
      lastScoring = performance.now();
      await recordScoring(store, claim, payload);
    }
  };
}

/** Runs what is left of a run in a compute process, again if that process dies. */
async function compute(services: JobServices, claim: RunClaim, signal: AbortSignal): Promise<PruneResult> {
  const record = recorder(services, claim);
  const process = new ComputeProcess();
  try {
    for (let crashes = 0; ; ) {
      try {
        const steps = process.run("prune", await requestFor(services, claim.runId), signal);
        for (let step = await steps.next(); ; step = await steps.next()) {
          if (step.done) return step.value;
          await record(step.value);
          if (step.value.type === "ITERATION") crashes = 0;
        }
      } catch (error) {
        if (!hasCode(error, "COMPUTE_PROCESS_DIED") || ++crashes === maxCrashes) throw error;
        services.logger.warn({ err: error, runId: claim.runId }, "the compute process died; going on in a new one");
      }
    }
  } finally {
    await process.kill();
  }
}

/**
 * Does a pruning run, or what is left of it. It ends SUCCEEDED or FAILED, unless it is cancelled meanwhile.
 *
 * @throws when the run should be taken up again, by this worker or another: `signal` aborted, or the database failed
 */
export async function pruneJob(services: JobServices, runId: string, signal: AbortSignal): Promise<void> {
  const claim = await claimRun(services.store, runId);
  if (!claim) return;
  const lost = new AbortController();
  const over = new AbortController();
  const watching = watchClaim(services, runId, () => holdsClaim(services.store, claim), lost, over.signal);
  try {
    const { pruned, peakMemoryBytes } = await compute(services, claim, AbortSignal.any([signal, lost.signal]));
    await recordSuccess(services.store, claim, pruned, peakMemoryBytes);
  } catch (error) {
    if (lost.signal.aborted || hasCode(error, "RUN_LOST")) return;
    if (signal.aborted || !(error instanceof EspalierError)) throw error;
    await recordFailure(services.store, runId, failureOf(error, runId, services.logger));
  } finally {
    over.abort();
    await watching;
  }
}
