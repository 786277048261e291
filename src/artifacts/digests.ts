import { createReadStream } from "node:fs";
import { copyFile, realpath, stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { heard } from "../heard.ts";
import { sha256OfStream } from "../sha256-of-stream.ts";

export interface Digest {
  readonly sha256: string;
  readonly sizeBytes: number;
}

/** A thread takes a tenth of a second to start: smaller files are read sooner without one. */
const worthAThread = 32 << 20;

/** Of a core each; one is left to whoever waits. More would wait for the disk. */
const mostThreads = Math.max(1, Math.min(4, availableParallelism() - 1));

const program = new URL("./digest-thread.mjs", import.meta.url);

/** What a thread is sent: a file to read once, and where to copy it while it is read; null for nowhere. */
export interface DigestJob {
  readonly id: number;
  readonly path: string;
  readonly copyTo: string | null;
}

export type DigestAnswer =
  | (Digest & { readonly id: number })
  | { readonly id: number; readonly failed: { readonly message: string; readonly code: string | undefined } };

interface Waiting {
  resolve(digest: Digest): void;
  reject(error: Error): void;
}

/** A thread, and the answers that it owes. */
class Thread {
  readonly waiting = new Map<number, Waiting>();
  readonly #worker = new Worker(program);
  #last = 0;

  constructor() {
    this.#worker.on("message", (answer: DigestAnswer) => {
      const asked = this.waiting.get(answer.id);
      this.waiting.delete(answer.id);
      if ("failed" in answer) asked?.reject(Object.assign(new Error(answer.failed.message), { code: answer.failed.code }));
      else asked?.resolve({ sha256: answer.sha256, sizeBytes: answer.sizeBytes });
    });
    this.#worker.on("error", (error) => this.#fail(error));
  }

  read(path: string, copyTo: string | null): Promise<Digest> {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, path, copyTo } satisfies DigestJob);
    });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
    this.#fail(new Error("nobody waits for the digest any more"));
  }

  #fail(error: Error): void {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}

/**
 * Digests of files that nobody writes to. Large ones are read on threads of their own, while whoever asked does something else; each is read
 * once, however often it is asked for.
 */
export class Digests {
  readonly #threads: Thread[] = [];
  readonly #known = new Map<string, Promise<Digest>>();

  /** @param large files from so many bytes on are read on threads */
  constructor(private readonly large = worthAThread) {}

  /** Of a file where it lies. */
  of(path: string): Promise<Digest> {
    return heard(
      realpath(path).then((real) => {
        const known = this.#known.get(real) ?? heard(this.#read(real, null));
        this.#known.set(real, known);
        return known;
      }),
    );
  }

  /** Of a file's copy, which is made while it is read. @param to where there is nothing yet, in a folder that there is */
  copy(path: string, to: string): Promise<Digest> {
    return heard(this.#read(path, to));
  }

  /** Ends what is under way; its promises are refused. */
  async end(): Promise<void> {
    await Promise.all(this.#threads.splice(0).map((thread) => thread.end()));
  }

  async #read(path: string, copyTo: string | null): Promise<Digest> {
    const { size } = await stat(path);
    if (size >= this.large) return this.#thread().read(path, copyTo);
    if (copyTo !== null) await copyFile(path, copyTo);
    return sha256OfStream(createReadStream(copyTo ?? path, { highWaterMark: 1 << 20 }));
  }

  /** The one with the least to do. */
  #thread(): Thread {
    const [idlest] = this.#threads.toSorted((a, b) => a.waiting.size - b.waiting.size);
    if (idlest && (idlest.waiting.size === 0 || this.#threads.length >= mostThreads)) return idlest;
    const thread = new Thread();
    this.#threads.push(thread);
    return thread;
  }
}
