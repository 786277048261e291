import type { Logger } from "pino";
import type { ConcreteProvider } from "../runtime/providers.ts";
import { recordEvaluationFailure } from "../store/evaluations.ts";
import { recordFailure } from "../store/run-progress.ts";
import { countIterations } from "../store/runs.ts";
import type { Store } from "../store/store.ts";
import { consume } from "./consume.ts";
import { evaluateJob } from "./evaluate-job.ts";
import { pruneJob } from "./prune-job.ts";
import { type JobData, type JobKind, jobKinds, Queue, queuesFor } from "./queue.ts";

export interface WorkerServices {
  readonly store: Store;
  readonly dataDirectory: string;
  readonly logger: Logger;
}

export interface WorkerOptions {
  /** What this worker computes on: it takes no job that asks for anything else. */
  readonly providers: readonly ConcreteProvider[];
  /** Jobs at a time, of each kind. */
  readonly concurrency: number;
}

/** What jobs work with. */
export interface JobServices extends WorkerServices {
  readonly queue: Queue;
  readonly providers: readonly ConcreteProvider[];
}

export interface Worker {
  /** Gives jobs under way back to the queue, where they wait for the next worker, and returns once nothing runs. */
  stop(): Promise<void>;
}

const handlers: { readonly [Kind in JobKind]: (services: JobServices, job: JobData, signal: AbortSignal) => Promise<void> } = {
  prune: pruneJob,
  evaluate: (services, { id }, signal) => evaluateJob(services, id, signal),
};

const failures: { readonly [Kind in JobKind]: typeof recordFailure } = { prune: recordFailure, evaluate: recordEvaluationFailure };

/** A job that was tried in vain as often as the queue allows is tried on if it came further meanwhile; else its subject has failed. */
async function lostJob({ store, queue }: JobServices, { kind, id, ...options }: JobData): Promise<void> {
  const progress = kind === "prune" ? await countIterations(store.prisma, id) : 0;
  if (progress > options.progress) return queue.add(store.prisma, kind, id, { ...options, progress });
  const message = "the workers that took this up were lost, one after another";
  await failures[kind](store, id, { code: "WORKER_LOST", message });
}

/** Does the queue's jobs in this process, each in a compute process of its own. */
export async function startWorker(
  queue: Queue,
  services: WorkerServices,
  { providers, concurrency }: WorkerOptions = { providers: ["CPU", "CUDA"], concurrency: 1 },
): Promise<Worker> {
  const all: JobServices = { ...services, queue, providers };
  const stops = jobKinds.map((kind) =>
    consume(all, queuesFor(kind, providers), concurrency, (job, signal) => handlers[kind](all, job, signal)),
  );
  stops.push(consume(all, Queue.lost, 1, (job) => lostJob(all, job)));
  return { stop: async () => void (await Promise.all(stops.map((stop) => stop()))) };
}
