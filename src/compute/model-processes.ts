import { totalmem } from "node:os";
import { Condition } from "../condition.ts";
import { EspalierError } from "../errors.ts";
import { ComputeProcess } from "./compute-process.ts";
import { servingMemory } from "./serving-memory.ts";
import { type ComputePatience, patienceMs } from "./sign-of-life.ts";
import type { ServingTask, StoredModel, Tasks } from "./tasks.ts";

interface Loaded {
  readonly process: ComputeProcess;
  /** What it may take of the memory. */
  readonly bytes: number;
  /** Requests under way. */
  active: number;
  idle?: NodeJS.Timeout;
}

/** Requests that wait for room for their model. */
const mostWaiting = 256;
/** Of requests that say no limit of their own. */
const longestMs = 600_000;
/** A process keeps a request's limit itself, and tells what it has by then. */
const marginMs = 5000;

/** Aborts with a signal, or when time is up. */
class Deadline {
  private readonly late = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  readonly signal: AbortSignal;

  constructor(
    private readonly ms: number,
    signal: AbortSignal,
  ) {
    this.signal = AbortSignal.any([signal, this.late.signal]);
    this.restart();
  }

  restart(): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.late.abort(new EspalierError("TIME_LIMIT", `there was no answer within ${this.ms} ms`)), this.ms);
  }

  clear(): void {
    clearTimeout(this.timer);
  }
}

export interface ModelProcessOptions {
  /** That all models together may take. */
  readonly memoryBytes?: number;
  /** A model that is not used for so long is unloaded. */
  readonly idleMs?: number;
  readonly patience?: ComputePatience;
}

/**
 * Compute processes that each keep one model loaded. For another model those longest unused make room, as far as the memory
 * set aside for models asks for it; one in use is never unloaded, and the other waits. One that is idle for long ends.
 */
export class ModelProcesses {
  /** By model and provider; longest unused first. */
  private readonly loaded = new Map<string, Loaded>();
  private readonly freed = new Condition();
  private readonly memoryBytes: number;
  private readonly idleMs: number;
  private readonly patience: ComputePatience;

  constructor({ memoryBytes = totalmem() / 2, idleMs = 5 * 60_000, patience = patienceMs }: ModelProcessOptions = {}) {
    this.patience = patience;
    this.memoryBytes = memoryBytes;
    this.idleMs = idleMs;
  }

  /**
   * Runs a task on a model: yields its events and returns its result. Leaving early, or aborting, stops it.
   *
   * @throws EspalierError what the task throws, COMPUTE_PROCESS_DIED, COMPUTE_STALLED, MODEL_TOO_LARGE, OVERLOADED; TIME_LIMIT if the
   *   process does not keep the request's own limit; the signal's reason
   */
  async *run<Name extends ServingTask>(
    task: Name,
    request: Tasks[Name]["request"],
    signal: AbortSignal,
  ): AsyncGenerator<Tasks[Name]["event"], Tasks[Name]["result"]> {
    const key = `${request.model.digest} ${request.executionProvider}`;
    const limitMs = ("timeLimitMs" in request ? request.timeLimitMs : null) ?? longestMs;
    const deadline = new Deadline(limitMs + marginMs, signal);
    let model: Loaded | undefined;
    let steps: ReturnType<typeof ComputeProcess.prototype.run<Name>> | undefined;
    try {
      model = await this.acquire(key, request.model, deadline.signal);
      steps = model.process.run(task, request, deadline.signal);
      for (let step = await steps.next(); ; step = await steps.next()) {
        if (step.done) return step.value;
        // How long a model takes to load is not in the request's hands.
        if ("loading" in step.value) deadline.restart();
        yield step.value;
      }
    } finally {
      deadline.clear();
      await steps?.return(undefined as never);
      if (model) this.release(key, model);
    }
  }

  /** How many models are loaded, what they may take of the memory, and what all may take. */
  usage(): { readonly models: number; readonly bytes: number; readonly limitBytes: number } {
    const bytes = [...this.loaded.values()].reduce((n, model) => n + model.bytes, 0);
    return { models: this.loaded.size, bytes, limitBytes: this.memoryBytes };
  }

  /** Ends every process, and with it what it works on. */
  async close(): Promise<void> {
    await Promise.all([...this.loaded.keys()].map((key) => this.unload(key)));
  }

  private async acquire(key: string, stored: StoredModel, signal: AbortSignal): Promise<Loaded> {
    const bytes = servingMemory(stored).totalBytes;
    if (bytes > this.memoryBytes)
      throw new EspalierError(
        "MODEL_TOO_LARGE",
        `serving the model may take ${bytes} bytes; ${this.memoryBytes} are set aside for models`,
        {
          neededBytes: bytes,
          limitBytes: this.memoryBytes,
        },
      );
    for (;;) {
      signal.throwIfAborted();
      const model = this.loaded.get(key) ?? this.makeRoom(bytes);
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

  /** A process for another model, or null while too many are in use. */
  private makeRoom(bytes: number): Loaded | null {
    const all = [...this.loaded];
    let over = all.reduce((n, [, m]) => n + m.bytes, bytes) - this.memoryBytes;
    const going = all.filter(([, { active, bytes: own }]) => {
      if (active > 0 || over <= 0) return false;
      over -= own;
      return true;
    });
    if (over > 0) return null;
    for (const [key] of going) void this.unload(key);
    return { process: new ComputeProcess(this.patience), bytes, active: 0 };
  }

  /** Resolves when a process may have become free, or the signal aborts. */
  private async turn(signal: AbortSignal): Promise<void> {
    if (this.freed.waiters >= mostWaiting)
      throw new EspalierError("OVERLOADED", `${mostWaiting} requests already wait for a model to be loaded: ask again later`);
    await this.freed.wait(signal);
  }

  private release(key: string, model: Loaded): void {
    model.active--;
    if (model.active > 0) return;
    model.idle = setTimeout(() => void this.unload(key), this.idleMs);
    model.idle.unref();
    // Everyone looks; whoever is too late waits on.
    this.freed.notifyAll();
  }

  private async unload(key: string): Promise<void> {
    const model = this.loaded.get(key);
    this.loaded.delete(key);
    clearTimeout(model?.idle);
    await model?.process.kill();
  }
}
