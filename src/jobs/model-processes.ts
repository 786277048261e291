import type { TextChunk, TextSummary } from "../inference/generate.ts";
import { ComputeProcess } from "./compute-process.ts";
import type { GenerationRequest } from "./tasks.ts";

interface Loaded {
  readonly process: ComputeProcess;
  /** Generations under way. */
  active: number;
  idle?: NodeJS.Timeout;
}

/**
 * Compute processes that each hold one model for generation. No more than `capacity` live at once: for another model the one
 * longest unused makes room, and while all are in use, the other model waits. One that is idle for long ends.
 */
export class ModelProcesses {
  /** By model and provider; longest unused first. */
  private readonly loaded = new Map<string, Loaded>();
  private readonly waiting: (() => void)[] = [];

  constructor(
    private readonly capacity = 2,
    private readonly idleMs = 5 * 60_000,
  ) {}

  /**
   * Generates text: yields its pieces and returns the summary. Leaving early, or aborting, stops it.
   *
   * @throws EspalierError what the `generate` task throws, or COMPUTE_PROCESS_DIED; the signal's reason
   */
  async *generate(request: GenerationRequest, signal: AbortSignal): AsyncGenerator<TextChunk, TextSummary> {
    const key = `${request.model.digest} ${request.executionProvider}`;
    const model = await this.acquire(key, signal);
    try {
      return yield* model.process.run("generate", request, signal);
    } finally {
      this.release(key, model);
    }
  }

  /** Ends every process, and with it what it generates. */
  async close(): Promise<void> {
    await Promise.all([...this.loaded.keys()].map((key) => this.unload(key)));
  }

  private async acquire(key: string, signal: AbortSignal): Promise<Loaded> {
    for (;;) {
      signal.throwIfAborted();
      const model = this.loaded.get(key) ?? this.makeRoom();
      if (model) {
        clearTimeout(model.idle);
        model.active++;
        // Put last: most recently used.
        this.loaded.delete(key);
        this.loaded.set(key, model);
        return model;
      }
      await this.turn(signal);
    }
  }

  /** A process for another model, or null while all are in use. */
  private makeRoom(): Loaded | null {
    if (this.loaded.size >= this.capacity) {
      const [unused] = [...this.loaded].find(([, { active }]) => active === 0) ?? [];
      if (unused === undefined) return null;
      void this.unload(unused);
    }
    return { process: new ComputeProcess(), active: 0 };
  }

  /** Resolves when a process may have become free, or the signal aborts. */
  private async turn(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      this.waiting.push(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }

  private release(key: string, model: Loaded): void {
    model.active--;
    if (model.active > 0) return;
    model.idle = setTimeout(() => void this.unload(key), this.idleMs);
    model.idle.unref();
    // Everyone looks; whoever is too late waits on.
    for (const wake of this.waiting.splice(0)) wake();
  }

  private async unload(key: string): Promise<void> {
    const model = this.loaded.get(key);
    this.loaded.delete(key);
    clearTimeout(model?.idle);
    await model?.process.kill();
  }
}
