import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { type Logger, pino } from "pino";
import { Queue } from "../../src/jobs/queue.ts";
import { defaultPruningOptions, type PruningOptions } from "../../src/pruning/options.ts";
import { datasetOf } from "../../src/services/register-dataset.ts";
import type { DatasetRecord } from "../../src/store/datasets.ts";
import type { StoredEvent } from "../../src/store/events.ts";
import type { ModelRecord } from "../../src/store/models.ts";
import { createPruningRun, type NewPruningRun, type PruningRunRecord } from "../../src/store/pruning-runs.ts";
import { followRun } from "../../src/store/run-feed.ts";
import { modelRoot } from "./ahab.ts";
import { program } from "./checkout.ts";
import { type TestDatabase, testDatabase } from "./database.ts";
import { registerFolder } from "./register.ts";

export interface JobBench extends TestDatabase {
  readonly queue: Queue;
  readonly logger: Logger;
  readonly modelRoot: string;
  readonly hub: { readonly address: string | null; readonly token: null };
  /** The bundled model, registered. */
  readonly ahab: ModelRecord;
  /** A built-in dataset, registered. */
  dataset(name: string): Promise<DatasetRecord>;
  /** Queues a run on the bundled model: small, and of six iterations. */
  prune(
    options?: Partial<PruningOptions>,
    more?: Partial<{ modelId: string } & Pick<NewPruningRun, "priority" | "from">>,
  ): Promise<PruningRunRecord>;
  /** A worker in a process of its own. */
  workerProcess(): Promise<ChildProcess>;
}

/** A database, a queue and a registered model: all that jobs need but a worker. */
export async function jobBench(): Promise<JobBench> {
  const database = await testDatabase();
  const { store, url, dataDirectory } = database;
  const logger = pino({ level: "silent" });
  const queue = await Queue.open(store, logger);
  const ahab = await registerFolder({ store, dataDirectory, modelRoot }, "ahab");
  return {
    ...database,
    modelRoot,
    hub: { address: null, token: null },
    queue,
    logger,
    ahab,
    dataset: async (name) => (await datasetOf({ store, dataDirectory }, { name })).keep(),
    prune: async (options, more) => {
      const small = { ...defaultPruningOptions, samples: 4, sequenceLength: 32, targetRatio: 0.4, ...options };
      const { id: datasetId } = await (await datasetOf({ store, dataDirectory }, { name: "literature-train" })).keep();
      const request = { modelId: ahab.id, method: "PIP", options: small, datasetId, ...more };
      return createPruningRun(store, request, queue.addRun);
    },
    workerProcess: async () => {
      const child = fork(program("test/support/worker-process"), [url, dataDirectory]);
      await once(child, "message");
      return child;
    },
    close: async () => {
      await queue.close();
      await database.close();
    },
  };
}

/** All events of a run from its beginning to its end. */
export async function allEvents({ store }: TestDatabase, runId: string): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  for await (const event of followRun(store, runId, 0, new AbortController().signal)) events.push(event);
  return events;
}

/** Waits for a run's next event of a type. */
export async function eventOf({ store }: TestDatabase, runId: string, type: StoredEvent["type"]): Promise<void> {
  for await (const event of followRun(store, runId, 0, new AbortController().signal)) if (event.type === type) return;
  throw new Error(`the run ended without ${type}`);
}
