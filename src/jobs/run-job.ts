import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { TaskName, Tasks } from "../compute/tasks.ts";
import { EspalierError } from "../errors.ts";
import { isConnectionLoss, throughReconnects } from "../store/reconnect.ts";
import { claimRun, holdsClaim, recordFailure, releaseRun } from "../store/run-progress.ts";
import { findRun, getRun, type RunRecord } from "../store/runs.ts";
import { computeAgain, type Work } from "./compute-again.ts";
import { failureOf, hasCode } from "./failure.ts";
import type { JobData } from "./queue.ts";
import type { KindOfRun } from "./run-kind.ts";
import { kindOf } from "./run-kinds.ts";
import { watchClaim } from "./watch-claim.ts";
import type { JobServices } from "./worker.ts";

/** How often what only says how far the work is is stored, at most. */
const passingIntervalMs = 250;

type Event = Tasks[TaskName]["event"];

/** Stores each event in order, through losses of the database; passing ones only now and then, and not at any price. */
function recorder(services: JobServices, kind: KindOfRun, run: RunRecord, signal: AbortSignal): (event: Event) => Promise<boolean> {
  let lastPassing = Number.NEGATIVE_INFINITY;
  return async (event) => {
    if (!kind.isPassing(event)) return throughReconnects(signal, () => kind.record(services, run, event));
    if (performance.now() - lastPassing < passingIntervalMs) return false;
    lastPassing = performance.now();
    return kind.record(services, run, event).catch((error) => {
      if (!isConnectionLoss(error)) throw error;
      return false;
    });
  };
}

function workOf(services: JobServices, kind: KindOfRun, run: RunRecord, signal: AbortSignal): Work<TaskName> {
  const { prisma } = services.store;
  const record = recorder(services, kind, run, signal);
  const scratch = join(services.dataDirectory, "exports", randomUUID());
  let steps = 0;
  return {
    task: kind.task,
    request: async () => {
      steps = await kind.steps(prisma, run.id);
      // As it stands: what the process before stored counts.
      return kind.request(services, await getRun(prisma, run.id), scratch);
    },
    record: async (event) => {
      const isStep = await record(event);
      if (isStep) steps++;
      return isStep;
    },
    tidy: () => rm(scratch, { recursive: true, force: true }),
    outOfMemory: () => kind.outOfMemory(steps),
  };
}

/**
 * Does a run of any kind, or what is left of it: it is taken up, done, and ends SUCCEEDED or FAILED, unless it is cancelled meanwhile or
 * another worker gets it.
 *
 * @throws when the job should be taken up again, by this worker or another: `signal` aborted, or the database failed
 */
export async function runJob(services: JobServices, { id, priority, progress }: JobData, signal: AbortSignal): Promise<void> {
  const { store, queue, providers, logger } = services;
  const found = await findRun(store.prisma, id);
  if (!found) return;
  const kind = kindOf(found);
  const { executionProvider: provider } = found;
  // It asked for any and began on another worker's.
  if (provider && !providers.includes(provider)) return queue.add(store.prisma, found.kind, id, { provider, priority, progress });
  const run = await claimRun(store, id, kind.begin);
  if (!run) return;
  const lost = new AbortController();
  const over = new AbortController();
  const either = AbortSignal.any([signal, lost.signal]);
  const watching = watchClaim(services, id, () => holdsClaim(store, run), lost, over.signal);
  try {
    if (run.subjectRunId !== null) await throughReconnects(either, () => kind.fits(services, run));
    const result = await computeAgain(services, id, workOf(services, kind, run, either), either);
    await throughReconnects(either, () => kind.succeed(services, run, result));
  } catch (error) {
    if (lost.signal.aborted || hasCode(error, "RUN_LOST")) return;
    if (signal.aborted || !(error instanceof EspalierError)) {
      // It waits again, and says so. Where the database is out of reach, whoever finds the job without a worker says it.
      await releaseRun(store, run).catch((err) => logger.warn({ err, id }, "could not put a run back to QUEUED"));
      throw error;
    }
    const failure = failureOf(error, id, logger);
    await throughReconnects(either, () => recordFailure(store, id, failure));
  } finally {
    over.abort();
    await watching;
  }
}
