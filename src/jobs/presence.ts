import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import type { Logger } from "pino";
import type { ConcreteProvider } from "../runtime/providers.ts";
import type { Store } from "../store/store.ts";
import { keepWorker, type NewWorker, removeWorker, updateWorker } from "../store/workers.ts";
import { version } from "../version.ts";

/** Well below what a worker may be silent for (src/store/workers.ts). */
const heartbeatMs = 5000;

/** What others can see of a worker: that it lives, and what it does. Where the database is out of reach nothing of it is told, and work goes on. */
export class Presence {
  private readonly running: string[] = [];
  private readonly beating: NodeJS.Timeout;
  private told: Promise<void> = Promise.resolve();

  private constructor(
    private readonly store: Store,
    private readonly logger: Logger,
    private worker: NewWorker,
  ) {
    this.beating = setInterval(() => void this.tell(() => keepWorker(store.prisma, this.worker, this.running)), heartbeatMs);
  }

  /** Says that a worker is there. */
  static async announce(
    store: Store,
    logger: Logger,
    { providers, concurrency }: { readonly providers: readonly ConcreteProvider[]; readonly concurrency: number },
  ): Promise<Presence> {
    const worker = {
      ...{ id: randomUUID(), host: hostname(), processId: process.pid, version, startedAt: new Date() },
      ...{ providers: [...providers], computesOn: [], concurrency },
    };
    const presence = new Presence(store, logger, worker);
    await presence.tell(() => keepWorker(store.prisma, worker, []));
    return presence;
  }

  /** Says what it was found to compute on. */
  async computesOn(providers: readonly ConcreteProvider[]): Promise<void> {
    this.worker = { ...this.worker, computesOn: [...providers] };
    await this.update();
  }

  /** Says of a run that it is done here, for as long as it is. */
  async during(runId: string, work: () => Promise<void>): Promise<void> {
    this.running.push(runId);
    void this.update();
    try {
      await work();
    } finally {
      this.running.splice(this.running.indexOf(runId), 1);
      void this.update();
    }
  }

  async end(): Promise<void> {
    clearInterval(this.beating);
    await this.told;
    await this.tell(() => removeWorker(this.store.prisma, this.worker.id));
  }

  /** One after another, each as it is then: the last that is written is the last that was so. */
  private update(): Promise<void> {
    this.told = this.told.then(() => {
      const { id, computesOn } = this.worker;
      return this.tell(() => updateWorker(this.store.prisma, id, { runIds: this.running, computesOn }));
    });
    return this.told;
  }

  private async tell(write: () => Promise<unknown>): Promise<void> {
    await write().catch((error) => this.logger.debug({ err: error }, "could not say what this worker does"));
  }
}
