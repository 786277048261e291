import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { EspalierError } from "../errors.ts";
import { requireFiles } from "../models/artifact-store.ts";
import type { ModelFile } from "../models/types.ts";
import type { PruningEvent } from "../pruning/events.ts";
import { isConnectionLoss, throughReconnects } from "../store/reconnect.ts";
import {
  claimRun,
  holdsClaim,
  type RunClaim,
  recordFailure,
  recordIteration,
  recordScoring,
  recordStart,
  recordSuccess,
  releaseRun,
} from "../store/run-progress.ts";
import { findRun, getRun, runIterations } from "../store/runs.ts";
import { ComputeProcess } from "./compute-process.ts";
import { failureOf, hasCode } from "./failure.ts";
import { providerHere } from "./provider-here.ts";
import type { JobData } from "./queue.ts";
import { storedDataset } from "./stored-dataset.ts";
import { storedModel } from "./stored-model.ts";
import type { PruneRequest, PruneResult } from "./tasks.ts";
import { watchClaim } from "./watch-claim.ts";
import type { JobServices } from "./worker.ts";

/** SCORING events come as fast as samples are scored; people look less often. */
const scoringIntervalMs = 250;
/** A compute process that died is started again. So often in a row, without an iteration between, the run has failed. */
const patience: Readonly<Record<string, number>> = { OUT_OF_MEMORY: 2, COMPUTE_PROCESS_DIED: 3, killed: 20 };

/** The request of a run as it stands: what was done before is not done again. */
async function requestFor(services: JobServices, runId: string, scratch: string): Promise<PruneRequest> {
  const { prisma } = services.store;
  const run = await getRun(prisma, runId);
  const iterations = await runIterations(prisma, runId);
  return {
    model: await storedModel(services, run.modelId),
    method: run.method,
    // A run ends on the provider that it began on: others may round otherwise.
    options: { ...run.options, executionProvider: run.executionProvider ?? providerHere(services, run.options.executionProvider) },
    dataset: await storedDataset(services, run.datasetId),
    done: iterations.map(({ index, ...iteration }) => ({ ...iteration, iteration: index })),
    scratch,
  };
}

/** Stores each event in order, through losses of the database; SCORING only now and then, and not at any price. */
function recorder({ store }: JobServices, claim: RunClaim, signal: AbortSignal): (event: PruningEvent) => Promise<void> {
  let lastScoring = Number.NEGATIVE_INFINITY;
  return async (event) => {
    if (event.type === "STARTED") {
      const { type, ...payload } = event;
      await throughReconnects(signal, () => recordStart(store, claim, payload));
    } else if (event.type === "ITERATION") {
      await throughReconnects(signal, () => recordIteration(store, claim, event));
    } else if (event.type === "SCORING" && performance.now() - lastScoring >= scoringIntervalMs) {
      const { type, ...payload } = event;
      lastScoring = performance.now();
      await recordScoring(store, claim, payload).catch((error) => {
        if (!isConnectionLoss(error)) throw error;
      });
    }
  };
}

/** What a run is told to have failed of once its compute process died too often. */
function givenUp(error: EspalierError, deaths: number, iteration: number): EspalierError {
  const { code, message, details } = error;
  if (code !== "OUT_OF_MEMORY") return error;
  const words =
    `iteration ${iteration + 1} ran out of memory, ${deaths} times in a row (${message}); ` +
    "let it use fewer samples or shorter sequences, or give it a worker with more memory";
  return new EspalierError(code, words, { ...details, iteration }, { cause: error });
}

/** Runs what is left of a run in a compute process, again if that process dies. */
async function compute(services: JobServices, claim: RunClaim, signal: AbortSignal): Promise<PruneResult> {
  const record = recorder(services, claim, signal);
  const process = new ComputeProcess();
  const scratch = join(services.dataDirectory, "exports", randomUUID());
  const end = async () => {
    await process.kill();
    // A process that was killed had no time to tidy up.
    await rm(scratch, { recursive: true, force: true });
  };
  let deaths: Record<string, number> = {};
  try {
    for (;;) {
      const request = await throughReconnects(signal, () => requestFor(services, claim.runId, scratch));
      let iteration = request.done.length;
      try {
        const steps = process.run("prune", request, signal);
        for (let step = await steps.next(); ; step = await steps.next()) {
          if (step.done) return step.value;
          await record(step.value);
          if (step.value.type !== "ITERATION") continue;
          iteration = step.value.iteration + 1;
          deaths = {};
        }
      } catch (error) {
        if (!(error instanceof EspalierError) || patience[error.code] === undefined) throw error;
        const cause = error.details["killed"] ? "killed" : error.code;
        deaths[cause] = (deaths[cause] ?? 0) + 1;
        if (deaths[cause] === patience[cause]) throw givenUp(error, deaths[cause], iteration);
        services.logger.warn({ err: error, runId: claim.runId }, "the compute process died; going on in a new one");
        // One that only said so may hold much of the memory.
        await end();
      }
    }
  } finally {
    await end();
  }
}

/**
 * Does a pruning run, or what is left of it. It ends SUCCEEDED or FAILED, unless it is cancelled meanwhile.
 *
 * @throws when the run should be taken up again, by this worker or another: `signal` aborted, or the database failed
 */
export async function pruneJob(services: JobServices, { id: runId, priority, progress }: JobData, signal: AbortSignal): Promise<void> {
  const { store, queue, providers, logger } = services;
  const provider = (await findRun(store.prisma, runId))?.executionProvider;
  // It asked for any and began on another worker's.
  if (provider && !providers.includes(provider)) return queue.add(store.prisma, "prune", runId, { provider, priority, progress });
  const claim = await claimRun(store, runId);
  if (!claim) return;
  const lost = new AbortController();
  const over = new AbortController();
  const either = AbortSignal.any([signal, lost.signal]);
  const watching = watchClaim(services, runId, () => holdsClaim(store, claim), lost, over.signal);
  try {
    const { pruned, peakMemoryBytes } = await compute(services, claim, either);
    const confirm = (files: readonly ModelFile[]) => requireFiles(services.dataDirectory, files);
    await throughReconnects(either, () => recordSuccess(store, claim, pruned, peakMemoryBytes, confirm));
  } catch (error) {
    if (lost.signal.aborted || hasCode(error, "RUN_LOST")) return;
    if (signal.aborted || !(error instanceof EspalierError)) {
      // It waits again, and says so. Where the database is out of reach, whoever finds the job without a worker says it.
      await releaseRun(store, claim).catch((err) => logger.warn({ err, runId }, "could not put a run back to QUEUED"));
      throw error;
    }
    const failure = failureOf(error, runId, logger);
    await throughReconnects(either, () => recordFailure(store, runId, failure));
  } finally {
    over.abort();
    await watching;
  }
}
