import type { Logger } from "pino";
import type { Store } from "../store/store.ts";
import { type JobData, jobHint, type Queue, type TakenJob } from "./queue.ts";

/** Does a job. If it throws, the job goes back to the queue; the signal aborts when the job is no longer this worker's. */
export type JobHandler = (job: JobData, signal: AbortSignal) => Promise<void>;

/** Well below the ten seconds after which a job without a heartbeat is another worker's. */
const heartbeatMs = 3000;

export interface ConsumerServices {
  readonly queue: Queue;
  readonly store: Store;
  readonly logger: Logger;
}

/** Runs a job's handler with heartbeats, and settles the job. */
async function perform(
  { queue, store, logger }: ConsumerServices,
  job: TakenJob,
  handle: JobHandler,
  stopping: AbortSignal,
): Promise<void> {
  const lost = new AbortController();
  const beat = setInterval(() => {
    queue.keep(job).then(
      (held) => held || lost.abort(),
      // Says nothing about whose the job is.
      (error) => logger.warn({ err: error, job: job.data }, "no heartbeat"),
    );
  }, heartbeatMs);
  try {
    await handle(job.data, AbortSignal.any([stopping, lost.signal]));
    await queue.complete(job);
  } catch (error) {
    if (lost.signal.aborted) return;
    if (!stopping.aborted) logger.warn({ err: error, job: job.data }, "gave a job back");
    // If even that fails, the heartbeats stop, and the queue finds out by itself.
    await queue.giveBack(job, store.prisma).catch((err) => logger.warn({ err, job: job.data }, "could not give a job back"));
  } finally {
    clearInterval(beat);
  }
}

/**
 * Does the jobs of some queues, so many at a time.
 *
 * @returns stops: no new job is taken, those under way see their signal abort and are waited for
 */
export function consume(
  services: ConsumerServices,
  queues: readonly string[],
  concurrency: number,
  handle: JobHandler,
): () => Promise<void> {
  const { queue, store, logger } = services;
  const stopping = new AbortController();
  const loop = async () => {
    const watch = store.listener.watch(jobHint);
    try {
      while (!stopping.signal.aborted) {
        const job = await queue.take(queues).catch((error) => {
          logger.warn({ err: error }, "cannot reach the queue");
          return null;
        });
        if (job) await perform(services, job, handle, stopping.signal);
        else await watch.wait(stopping.signal);
      }
    } finally {
      watch.close();
    }
  };
  const loops = Array.from({ length: concurrency }, loop);
  return async () => {
    stopping.abort();
    await Promise.all(loops);
  };
}
