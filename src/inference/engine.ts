import { setImmediate } from "node:timers/promises";
import { EspalierError } from "../errors.ts";
import type { Decoder, Read, Sequence, Wanted } from "./decoder.ts";

/** Work on one sequence: a prompt to read, and perhaps tokens to go on with, one a step. */
export interface Work {
  /** Who asks: places are shared out evenly among clients. */
  readonly client: string;
  readonly promptIds: readonly number[];
  /** Tokens that may follow the prompt. */
  readonly maxTokens: number;
  readonly signal: AbortSignal;
  /** Tokens at the prompt's beginning of which nothing is wanted: they need not be read again if they have been read before. */
  readonly skippable: number;
  /** What is wanted of the prompt's tokens from `from` to `to`. */
  wants(from: number, to: number): Wanted;
  /** What was wanted, of the tokens from `from` on. Gives the first token to go on with, or null if that was all. */
  read(from: number, found: Read): number | null;
  /** The logits [V] that follow the token last gone on with. Gives the next, or null to end. */
  step(logits: Float32Array): number | null;
}

interface Job {
  readonly work: Work;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  sequence: Sequence | null;
  /** What to read next; null while the prompt is being read. */
  next: number | null;
}

const isWanted = ({ work }: Job): boolean => !work.signal.aborted;

export interface EngineLimits {
  /** Requests that wait, beyond those under way. */
  readonly queue: number;
  /** Of one client: waiting and under way. */
  readonly perClient: number;
}

const defaultLimits: EngineLimits = { queue: 256, perClient: 64 };

/** Prompts that are read in turns, a block each: a short one need not wait for a long one. */
const readingAtOnce = 4;

/**
 * Serves many requests with one decoder. In each round one prompt is read on by a block, and all texts under way grow by a
 * token in one run; requests come and go between rounds. One that is cancelled leaves its place before the next round.
 */
export class Engine {
  readonly #waiting: Job[] = [];
  readonly #reading: Job[] = [];
  readonly #writing: Job[] = [];
  #running = false;

  constructor(
    readonly decoder: Decoder,
    private readonly limits: EngineLimits = defaultLimits,
  ) {}

  /** Requests under way and waiting. */
  get load(): { readonly active: number; readonly waiting: number } {
    return { active: this.#reading.length + this.#writing.length, waiting: this.#waiting.length };
  }

  /**
   * Does the work; resolves when it has ended.
   *
   * @throws EspalierError OVERLOADED if too much waits; PROMPT_EMPTY, PROMPT_TOO_LONG; REQUEST_TOO_LARGE if its cache would
   *   never fit; the signal's reason
   */
  async run(work: Work): Promise<void> {
    work.signal.throwIfAborted();
    this.#admit(work);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ work, resolve, reject, sequence: null, next: null });
      if (!this.#running) void this.#loop();
    });
  }

  #admit({ client, promptIds, maxTokens }: Work): void {
    const { contextLength } = this.decoder;
    if (promptIds.length === 0)
      throw new EspalierError("PROMPT_EMPTY", "the prompt has no tokens, and this model has none that begins a text by itself");
    const tokens = promptIds.length + maxTokens;
    if (contextLength !== null && tokens > contextLength)
      throw new EspalierError(
        "PROMPT_TOO_LONG",
        `the prompt has ${promptIds.length} tokens, which leaves no room in the model's context of ${contextLength}`,
        { promptTokens: promptIds.length, contextLength },
      );
    if (this.decoder.hasRoom(tokens) === null)
      throw new EspalierError("REQUEST_TOO_LARGE", `the cache of ${tokens} tokens is larger than all that is set aside for caches`, {
        tokens,
      });
    const { queue, perClient } = this.limits;
    // Those that have left keep nobody out, though they go only before the next round.
    const waiting = this.#waiting.filter(isWanted).length;
    if (waiting >= queue)
      throw new EspalierError("OVERLOADED", `${waiting} requests are waiting for this model; try again later`, { waiting, limit: queue });
    const own = this.#jobs().filter((job) => job.work.client === client && isWanted(job)).length;
    if (own >= perClient)
      throw new EspalierError("OVERLOADED", `the client has ${own} requests at this model, and may have ${perClient}`, {
        own,
        limit: perClient,
      });
  }

  #jobs = (): Job[] => [...this.#waiting, ...this.#reading, ...this.#writing];

  async #loop(): Promise<void> {
    this.#running = true;
    try {
      // Each turn of the event loop lets requests in, and cancellations.
      for (await setImmediate(); this.#jobs().length > 0; await setImmediate()) {
        for (const job of this.#jobs()) if (job.work.signal.aborted) this.#end(job, { error: job.work.signal.reason });
        this.#start();
        await this.#readOn();
        await this.#writeOn();
      }
    } catch (error) {
      // The decoder itself has failed: nothing under way can go on.
      for (const job of this.#jobs()) this.#end(job, { error });
    } finally {
      this.#running = false;
    }
  }

  /** Gives free places to waiting requests: first to clients that have the fewest, and of one client's to the first. */
  #start(): void {
    while (this.#waiting.length > 0 && this.#reading.length < readingAtOnce) {
      const has = new Map<string, number>();
      for (const { work } of [...this.#reading, ...this.#writing]) has.set(work.client, (has.get(work.client) ?? 0) + 1);
      const placesOf = (job: Job) => has.get(job.work.client) ?? 0;
      const job = this.#waiting.reduce((best, other) => (placesOf(other) < placesOf(best) ? other : best));
      const { promptIds, maxTokens, skippable } = job.work;
      if (!this.decoder.hasRoom(promptIds.length + maxTokens)) return;
      this.#waiting.splice(this.#waiting.indexOf(job), 1);
      job.sequence = this.decoder.begin(promptIds, promptIds.length + maxTokens, skippable);
      this.#reading.push(job);
    }
  }

  async #readOn(): Promise<void> {
    const job = this.#reading.shift();
    if (!job) return;
    this.#reading.push(job);
    const { work, sequence } = job as Job & { sequence: Sequence };
    const from = sequence.length;
    // Blocks begin at multiples of their size, wherever reading began: what is read is the same however much was known before.
    const to = Math.min(work.promptIds.length, from + this.decoder.blockTokens - (from % this.decoder.blockTokens));
    const found = await this.decoder.read(sequence, work.promptIds.slice(from, to), work.wants(from, to));
    this.#guarded(job, () => {
      const next = work.read(from, found);
      if (to < work.promptIds.length) return;
      if (next === null) return this.#end(job);
      job.next = next;
      this.#reading.splice(this.#reading.indexOf(job), 1);
      this.#writing.push(job);
    });
  }

  async #writeOn(): Promise<void> {
    const jobs = [...this.#writing];
    if (jobs.length === 0) return;
    const rows = await this.decoder.step(
      jobs.map((job) => job.sequence as Sequence),
      jobs.map((job) => job.next as number),
    );
    for (const [i, job] of jobs.entries())
      this.#guarded(job, () => {
        job.next = job.work.step(rows[i] as Float32Array);
        if (job.next === null) this.#end(job);
      });
  }

  /** What one request's own code throws ends that request. */
  #guarded(job: Job, work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#end(job, { error });
    }
  }

  #end(job: Job, failure?: { readonly error: unknown }): void {
    for (const list of [this.#waiting, this.#reading, this.#writing]) {
      const at = list.indexOf(job);
      if (at >= 0) list.splice(at, 1);
    }
    if (job.sequence) this.decoder.end(job.sequence);
    job.sequence = null;
    if (failure) job.reject(failure.error);
    else job.resolve();
  }

  async close(): Promise<void> {
    await this.decoder.close();
  }
}
