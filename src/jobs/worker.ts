import type { Logger } from "pino";
import type { ConcreteProvider } from "../runtime/providers.ts";
import { recordFailure } from "../store/run-progress.ts";
import { findRun } from "../store/runs.ts";
import type { Store } from "../store/store.ts";
import { consume } from "./consume.ts";
import type { HubAccess } from "./import-source.ts";
import { Presence } from "./presence.ts";
import { type JobData, Queue, queuesFor } from "./queue.ts";
import { runJob } from "./run-job.ts";
import { kindNames, kindOf } from "./run-kinds.ts";

export interface WorkerServices {
  readonly store: Store;
  readonly dataDirectory: string;
  /** Models are imported from under this folder only. */
  readonly modelRoot: string;
  readonly hub: HubAccess;
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
  /** Lets others know what it was found to compute on. */
  computesOn(providers: readonly ConcreteProvider[]): Promise<void>;
  /** Gives jobs under way back to the queue, where they wait for the next worker, and returns once nothing runs. */
  stop(): Promise<void>;
}

/** A job that was tried in vain as often as the queue allows is tried on if its run came further meanwhile; else the run has failed. */
async function lostJob({ store, queue }: JobServices, { id, ...options }: JobData): Promise<void> {
  const run = await findRun(store.prisma, id);
  if (!run) return;
  const progress = await kindOf(run).steps(store.prisma, id);
  const { provider, priority } = options;
  if (progress > options.progress) return queue.add(store.prisma, run.kind, id, { provider, priority, progress });
  const message = "the workers that took this up were lost, one after another";
  await recordFailure(store, id, { code: "WORKER_LOST", message });
}

/** Does the queue's jobs in this process, each in a compute process of its own. */
export async function startWorker(
  queue: Queue,
  services: WorkerServices,
  { providers, concurrency }: WorkerOptions = { providers: ["CPU", "CUDA"], concurrency: 1 },
): Promise<Worker> {
  const all: JobServices = { ...services, queue, providers };
  const presence = await Presence.announce(services.store, services.logger, { providers, concurrency });
  const stops = kindNames.map((kind) =>
    consume(all, queuesFor(kind, providers), concurrency, (job, signal) => presence.during(job.id, () => runJob(all, job, signal))),
  );
  stops.push(consume(all, Queue.lost, 1, (job) => lostJob(all, job)));
  return {
    computesOn: (found) => presence.computesOn(found),
    stop: async () => {
      await Promise.all(stops.map((stop) => stop()));
      await presence.end();
    },
  };
}
