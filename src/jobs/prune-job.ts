import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
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
import { computeAgain, type Work } from "./compute-again.ts";
import { providerHere } from "./provider-here.ts";
import type { JobData } from "./queue.ts";
import { storedDataset } from "./stored-dataset.ts";
import { storedModel } from "./stored-model.ts";
import { takeUp } from "./take-up.ts";
import type { PruneRequest } from "./tasks.ts";
import type { JobServices } from "./worker.ts";

/** SCORING events come as fast as samples are scored; people look less often. */
const scoringIntervalMs = 250;

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

function workOf(services: JobServices, claim: RunClaim, signal: AbortSignal): Work<"prune"> {
  const record = recorder(services, claim, signal);
  const scratch = join(services.dataDirectory, "exports", randomUUID());
  let iteration = 0;
  return {
    task: "prune",
    request: async () => {
      const request = await requestFor(services, claim.runId, scratch);
      iteration = request.done.length;
      return request;
    },
    record: async (event) => {
      await record(event);
      if (event.type !== "ITERATION") return false;
      iteration = event.iteration + 1;
      return true;
    },
    tidy: () => rm(scratch, { recursive: true, force: true }),
    outOfMemory: () => ({
      what: `iteration ${iteration + 1}`,
      advice: "let it use fewer samples or shorter sequences, or give it a worker with more memory",
    }),
  };
}

/** Does a pruning run, or what is left of it. @throws what `takeUp` throws */
export async function pruneJob(services: JobServices, { id: runId, priority, progress }: JobData, signal: AbortSignal): Promise<void> {
  const { store, queue, providers } = services;
  const provider = (await findRun(store.prisma, runId))?.executionProvider;
  // It asked for any and began on another worker's.
  if (provider && !providers.includes(provider)) return queue.add(store.prisma, "prune", runId, { provider, priority, progress });
  return takeUp(
    services,
    runId,
    {
      claim: () => claimRun(store, runId),
      holds: (claim) => holdsClaim(store, claim),
      release: (claim) => releaseRun(store, claim),
      fail: (failure) => recordFailure(store, runId, failure),
      lostCode: "RUN_LOST",
    },
    async (claim, either) => {
      const { pruned, peakMemoryBytes } = await computeAgain(services, runId, workOf(services, claim, either), either);
      const confirm = (files: readonly ModelFile[]) => requireFiles(services.dataDirectory, files);
      await throughReconnects(either, () => recordSuccess(store, claim, pruned, peakMemoryBytes, confirm));
    },
    signal,
  );
}
