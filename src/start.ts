import type { Logger } from "pino";
import { type Server, startServer } from "./api/server.ts";
import { settleArtifacts } from "./artifacts/artifacts.ts";
import { computeOnce } from "./compute/compute-once.ts";
import { ModelProcesses } from "./compute/model-processes.ts";
import { type Config, toldSettings } from "./config.ts";
import { Queue } from "./jobs/queue.ts";
import { startWorker } from "./jobs/worker.ts";
import { startEmbeddedPostgres } from "./postgres/embedded-postgres.ts";
import { openStore } from "./store/store.ts";
import { createFirstToken } from "./store/tokens.ts";

export interface Espalier {
  /** Of the API; null in a process that is a worker only. */
  readonly url: string | null;
  /** An administrator's token, made now and kept nowhere; null where there was one, or none was asked for. */
  readonly firstToken: string | null;
  /** Stops everything, last started first. */
  stop(): Promise<void>;
}

/**
 * Starts what a process's role asks for, on the configured database or the embedded one.
 *
 * @throws EspalierError of whichever part cannot start; what had started is stopped again
 */
export async function start(config: Config, logger: Logger): Promise<Espalier> {
  const { role, host, port, dataDirectory, modelRoot, datasetRoot } = config;
  const hub = { address: config.hub, token: config.hubToken };
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (let last = stops.pop(); last; last = stops.pop()) await last();
  };
  try {
    await settleArtifacts(dataDirectory, config.artifacts);
    let databaseUrl = config.databaseUrl;
    if (databaseUrl === null) {
      const postgres = await startEmbeddedPostgres(dataDirectory);
      stops.push(() => postgres.stop());
      databaseUrl = postgres.url;
    }
    const store = await openStore(databaseUrl);
    stops.push(() => store.close());
    const queue = await Queue.open(store, logger);
    stops.push(() => queue.close());
    if (role !== "api") {
      const { workerProviders, workerConcurrency: concurrency } = config;
      // A server on its own answers for every run: what asks for CUDA here, without it, fails with the reason. One worker of many
      // leaves such a run to those that can do it.
      const providers =
        workerProviders ?? (role === "worker" ? await computeOnce("providers", null, new AbortController().signal) : ["CPU", "CUDA"]);
      const isOfAll = workerProviders === null && role !== "worker";
      logger.info({ ...(isOfAll ? {} : { providers }), concurrency }, "working");
      const worker = await startWorker(queue, { store, dataDirectory, modelRoot, hub, logger }, { providers, concurrency });
      stops.push(() => worker.stop());
      // What it answers for may be more than what is there: a process of its own finds that out, and nobody waits for it.
      const here = isOfAll ? computeOnce("providers", null, new AbortController().signal) : Promise.resolve(providers);
      void here.then(
        async (found) => {
          if (isOfAll) logger.info({ providers: found }, "runs can compute on");
          await worker.computesOn(found);
        },
        () => {},
      );
    }
    let server: Server | null = null;
    let firstToken: string | null = null;
    if (role !== "worker") {
      const { allowedHosts, allowedOrigins, open } = config;
      if (config.firstToken && !open) firstToken = await createFirstToken(store);
      const uploadBytes = config.uploads * 2 ** 20;
      const generators = new ModelProcesses(config.modelMemory === null ? {} : { memoryBytes: config.modelMemory * 2 ** 20 });
      stops.push(() => generators.close());
      const settings = toldSettings(config);
      const services = { store, queue, generators, dataDirectory, modelRoot, datasetRoot, uploadBytes, hub, settings };
      server = await startServer(services, host, port, logger, { allowedHosts, allowedOrigins, open });
      stops.push(server.stop);
    }
    return { url: server?.url ?? null, firstToken, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
