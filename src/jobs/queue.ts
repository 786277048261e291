import { fromPrisma, PgBoss } from "pg-boss";
import type { Logger } from "pino";
import type { Database } from "../store/store.ts";

/** What waits in the queue: pruning runs and evaluations, by id. */
export const jobKinds = ["prune", "evaluate"] as const;
export type JobKind = (typeof jobKinds)[number];

/** A job that one worker after another died of. */
const lostJobs = "lost";

interface JobData {
  readonly kind: JobKind;
  readonly id: string;
}

/** Does a job. If it throws, the job goes back to the queue; the signal aborts when the job is no longer this worker's. */
export type JobHandler = (id: string, signal: AbortSignal) => Promise<void>;

/** The job queue: tables in the same database, so that a job and what it is about are stored in one transaction. */
export class Queue {
  private constructor(private readonly boss: PgBoss) {}

  static async open(url: string, logger: Logger): Promise<Queue> {
    const boss = new PgBoss({
      connectionString: url,
      max: 4,
      application_name: "espalier-queue",
      useListenNotify: true,
      schedule: false,
      // A worker that was killed is found out when its heartbeats stop; these say how often someone looks.
      superviseIntervalSeconds: 1,
      monitorIntervalSeconds: 1,
      queueCacheIntervalSeconds: 10,
    });
    boss.on("error", (error) => logger.error({ err: error }, "job queue"));
    boss.on("warning", (warning) => logger.warn({ warning }, "job queue"));
    await boss.start();
    const shared = { notify: true, heartbeatSeconds: 10, expireInSeconds: 86_399, deleteAfterSeconds: 86_400 };
    await boss.createQueue(lostJobs, shared);
    // Many retries: a worker that stops in good order gives its jobs back too, and they go on where they were.
    for (const kind of jobKinds) await boss.createQueue(kind, { ...shared, retryLimit: 20, retryDelay: 0, deadLetter: lostJobs });
    return new Queue(boss);
  }

  /** Puts a job into the queue when the transaction commits. */
  async add(tx: Database, kind: JobKind, id: string): Promise<void> {
    const data: JobData = { kind, id };
    await this.boss.send(kind, data, { db: fromPrisma(tx) });
  }

  /**
   * Does the jobs of one kind, one after another.
   *
   * @returns stops: no new job is taken, the one under way sees its signal abort and is waited for
   */
  work(kind: JobKind, handle: JobHandler): Promise<() => Promise<void>> {
    return this.consume(kind, ({ id }, signal) => handle(id, signal));
  }

  /** Deals with jobs that were tried in vain too often. */
  workLost(handle: (kind: JobKind, id: string) => Promise<void>): Promise<() => Promise<void>> {
    return this.consume(lostJobs, ({ kind, id }) => handle(kind, id));
  }

  private async consume(queue: string, handle: (data: JobData, signal: AbortSignal) => Promise<void>): Promise<() => Promise<void>> {
    const stopping = new AbortController();
    const options = { localConcurrency: 1, pollingIntervalSeconds: 0.5, notifyPollingIntervalSeconds: 2, heartbeatRefreshSeconds: 3 };
    const id = await this.boss.work<JobData, void, typeof options>(queue, options, async ([job]) => {
      if (job) await handle(job.data, AbortSignal.any([job.signal, stopping.signal]));
    });
    return async () => {
      const stopped = this.boss.offWork(queue, { id, wait: true });
      stopping.abort();
      await stopped;
    };
  }

  async close(): Promise<void> {
    await this.boss.stop({ graceful: true, timeout: 5000 });
  }
}
