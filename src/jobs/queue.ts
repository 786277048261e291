import { fromPrisma, type JobAttempt, PgBoss } from "pg-boss";
import type { Logger } from "pino";
import type { ConcreteProvider, ExecutionProvider } from "../runtime/providers.ts";
import { releaseAbandoned } from "../store/abandoned.ts";
import { notify } from "../store/listener.ts";
import type { Enqueue, RunKind } from "../store/runs.ts";
import type { Database, Store } from "../store/store.ts";
import { removeSilentWorkers } from "../store/workers.ts";
import { kindNames, kindOf } from "./run-kinds.ts";

/** So often someone looks whether jobs have lost their worker. */
const sweepMs = 2000;

/** A job that one worker after another died of. */
const lostJobs = "lost";

export interface JobOptions {
  /** What it must run on. */
  readonly provider: ExecutionProvider;
  /** Higher goes first. */
  readonly priority: number;
  /** How many steps the run had stored when it was queued. */
  readonly progress: number;
}

export interface JobData extends JobOptions {
  /** The run's. */
  readonly id: string;
}

/** A job that a worker has taken: its own for as long as its heartbeats go on. */
export interface TakenJob extends JobAttempt {
  readonly queue: string;
  readonly data: JobData;
}

/** Jobs of one kind lie in a queue for each provider that they can ask for, so that a worker sees only those it can do. */
function queueName(kind: RunKind, provider: ExecutionProvider): string {
  const { queue } = kindOf({ kind });
  return provider === "AUTO" ? queue : `${queue}-${provider.toLowerCase()}`;
}

/** The queues of a kind that a worker with these providers takes from. */
export const queuesFor = (kind: RunKind, providers: readonly ConcreteProvider[]): string[] =>
  (["AUTO", ...providers] as const).map((provider) => queueName(kind, provider));

/** The key of the notification that says that a job may have come. */
export const jobHint = "jobs";

/** The job queue: tables in the same database, so that a job and what it is about are stored in one transaction. */
export class Queue {
  static readonly lost: readonly string[] = [lostJobs];

  private readonly sweeping: NodeJS.Timeout;

  private constructor(
    private readonly boss: PgBoss,
    sweep: () => void,
  ) {
    this.sweeping = setInterval(sweep, sweepMs);
  }

  /** @throws the database's error; nothing is left running then */
  static async open(store: Store, logger: Logger): Promise<Queue> {
    const boss = new PgBoss({
      connectionString: store.url,
      max: 4,
      application_name: "espalier-queue",
      schedule: false,
      // A worker that was killed is found out when its heartbeats stop; these say how often someone looks.
      superviseIntervalSeconds: 1,
      monitorIntervalSeconds: 1,
      queueCacheIntervalSeconds: 10,
    });
    const queues = kindNames.flatMap((kind) => queuesFor(kind, ["CPU", "CUDA"]));
    boss.on("error", (error) => logger.warn({ err: error }, "job queue"));
    boss.on("warning", (warning) => logger.warn({ warning }, "job queue"));
    try {
      await boss.start();
      const shared = { heartbeatSeconds: 10, expireInSeconds: 86_399, deleteAfterSeconds: 86_400 };
      await boss.createQueue(lostJobs, shared);
      // Many retries: a worker that stops in good order gives its jobs back too, and they go on where they were.
      for (const name of queues) await boss.createQueue(name, { ...shared, retryLimit: 20, retryDelay: 0, deadLetter: lostJobs });
    } catch (error) {
      // What of it had started would keep the process alive.
      await boss.stop({ graceful: false });
      throw error;
    }
    const sweep = async () => {
      await removeSilentWorkers(store.prisma);
      const count = await releaseAbandoned(store.prisma, queues);
      if (count > 0) logger.warn({ count }, "jobs lost their worker and wait for another");
    };
    return new Queue(boss, () => void sweep().catch((error) => logger.warn({ err: error }, "job queue")));
  }

  /** Puts a job into the queue when the transaction commits. */
  async add(tx: Database, kind: RunKind, id: string, options: Partial<JobOptions> = {}): Promise<void> {
    const data: JobData = { id, provider: "AUTO", priority: 0, progress: 0, ...options };
    await this.boss.send(queueName(kind, data.provider), data, { priority: data.priority, db: fromPrisma(tx) });
    await notify(tx, jobHint);
  }

  /** Puts the job of a run into the queue of what it is to run on. */
  readonly addRun: Enqueue = async (tx, run) => {
    const { id, kind, priority, options } = run;
    const progress = await kindOf(run).steps(tx, id);
    await this.add(tx, kind, id, { provider: run.executionProvider ?? options.executionProvider, priority, progress });
  };

  /** Takes the foremost job of some queues, whichever it lies in: highest priority first, then oldest. */
  async take(queues: readonly string[]): Promise<TakenJob | null> {
    const { rows } = await this.boss.getDb().executeSql(
      `SELECT name FROM pgboss.job WHERE name = ANY($1) AND state < 'active' AND start_after <= now()
       ORDER BY priority DESC, created_on, id LIMIT 1`,
      [queues],
    );
    if (!rows[0]) return null;
    const queue = rows[0].name as string;
    const [job] = await this.boss.fetch<JobData>(queue);
    return job ? { id: job.id, retryCount: job.retryCount, queue, data: job.data } : null;
  }

  /** Says that a job is still being done. False if it is this worker's no more. */
  async keep({ queue, ...job }: TakenJob): Promise<boolean> {
    // How many it kept: pg-boss gives it and its types do not.
    const { affected } = (await this.boss.touch(queue, job)) as { readonly affected?: number };
    return affected !== 0;
  }

  async complete({ queue, id, retryCount }: TakenJob): Promise<void> {
    await this.boss.complete(queue, { id, retryCount });
  }

  /** Gives a job back, for the next worker. */
  async giveBack({ queue, id, retryCount }: TakenJob, db: Database): Promise<void> {
    await this.boss.fail(queue, { id, retryCount });
    await notify(db, jobHint);
  }

  async close(): Promise<void> {
    clearInterval(this.sweeping);
    await this.boss.stop({ graceful: true, timeout: 5000 });
  }
}
