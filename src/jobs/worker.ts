import type { Logger } from "pino";
import { recordEvaluationFailure } from "../store/evaluations.ts";
import { recordFailure } from "../store/run-progress.ts";
import type { Store } from "../store/store.ts";
import { evaluateJob } from "./evaluate-job.ts";
import { pruneJob } from "./prune-job.ts";
import type { JobKind, Queue } from "./queue.ts";

/** What jobs work with. */
export interface JobServices {
  readonly store: Store;
  readonly dataDirectory: string;
  readonly logger: Logger;
}

export interface Worker {
  /** Gives jobs under way back to the queue, where they wait for the next worker, and returns once nothing runs. */
  stop(): Promise<void>;
}

const handlers: { readonly [Kind in JobKind]: (services: JobServices, id: string, signal: AbortSignal) => Promise<void> } = {
  prune: pruneJob,
  evaluate: evaluateJob,
};

const failures: { readonly [Kind in JobKind]: typeof recordFailure } = { prune: recordFailure, evaluate: recordEvaluationFailure };

/** Does the queue's jobs in this process: one of each kind at a time, each in a compute process of its own. */
export async function startWorker(queue: Queue, services: JobServices): Promise<Worker> {
  const stops = [
    await queue.workLost((kind, id) =>
      failures[kind](services.store, id, { code: "WORKER_LOST", message: "the workers that took this up were lost, one after another" }),
    ),
  ];
  for (const [kind, handle] of Object.entries(handlers) as [JobKind, (typeof handlers)[JobKind]][]) {
    stops.push(await queue.work(kind, (id, signal) => handle(services, id, signal)));
  }
  return { stop: async () => void (await Promise.all(stops.map((stop) => stop()))) };
}
