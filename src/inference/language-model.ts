import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { EspalierError } from "../errors.ts";
import { sizeAt } from "../onnx/ir.ts";
import { readModel } from "../onnx/read-model.ts";
import { modelSource } from "../runtime/model-source.ts";
import { type ConcreteProvider, type ExecutionProvider, resolveProvider } from "../runtime/providers.ts";
import { openSession, type Session, type SessionOptions, type TensorValue } from "../runtime/session.ts";
import { type CacheEntry, cacheEntries, emptyCache, nextCache } from "../signature/caches.ts";
import { type Feeds, feedsOf } from "../signature/feeds.ts";
import { float32Logits, logitsOf } from "../signature/logits.ts";
import { type Signature, signatureOf } from "../signature/signature.ts";
import { readModelConfig } from "../text/model-config.ts";
import { unlessAbsent } from "../unless-absent.ts";

export interface LanguageModelOptions {
  /** In the Hugging Face layout. */
  readonly folder: string;
  readonly executionProvider: ExecutionProvider;
  /** Threads within an operator; the number of physical cores unless told otherwise. */
  readonly threads?: number;
  /** As of a session. */
  readonly native?: SessionOptions["native"];
}

/** A sequence as far as the model has read it. */
export interface Past {
  readonly ids: readonly number[];
  /** By cache input, e.g. [1, K, past, D]; empty for a model without a cache. */
  readonly cache: Feeds;
}

/** A loaded causal language model: token ids in, logits out. */
export class LanguageModel {
  /** What really runs. */
  readonly executionProvider: ConcreteProvider;
  readonly #signature: Signature;
  readonly #cache: readonly CacheEntry[];
  readonly #logits: string;

  private constructor(
    private readonly session: Session,
    /** Longest sequence the model was made for, in tokens; null if it does not say. */
    readonly contextLength: number | null,
  ) {
    this.executionProvider = session.executionProvider;
    this.#signature = signatureOf(session.inputs);
    this.#cache = cacheEntries(session.inputs, session.outputs);
    this.#logits = logitsOf(session.outputs).name;
    emptyCache(this.#signature.caches, 1);
  }

  /**
   * @throws EspalierError GRAPH_MISSING if the folder holds no graph; NO_TOKEN_INPUT, UNSUPPORTED_INPUT, UNSUPPORTED_CACHE or
   *   NO_LOGITS if the graph is not that of a language model; and what openSession throws
   */
  static async open({ folder, ...options }: LanguageModelOptions): Promise<LanguageModel> {
    const [path, { contextLength }] = await Promise.all([graphFile(folder), readModelConfig(folder)]);
    const source = modelSource(await readModel(path, "IN_FILE"), dirname(path), await resolveProvider(options.executionProvider));
    const session = await openSession(source, options);
    try {
      return new LanguageModel(session, contextLength);
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** Whether earlier tokens need not be run again. */
  get hasCache(): boolean {
    return this.#cache.length > 0;
  }

  /** A sequence without any token. */
  get start(): Past {
    return { ids: [], cache: emptyCache(this.#signature.caches, 1) };
  }

  /** Reads on. Returns the logits [V] that follow the last token; a model without a cache reads everything again. */
  async read(past: Past, ids: readonly number[]): Promise<{ readonly past: Past; readonly logits: Float32Array }> {
    const found = await this.readAll(past, ids);
    return { past: found.past, logits: found.logits.slice(-found.logits.length / ids.length) };
  }

  /** The same, with the logits [T, V] that follow each of the tokens. */
  async readAll(past: Past, ids: readonly number[]): Promise<{ readonly past: Past; readonly logits: Float32Array }> {
    const all = [...past.ids, ...ids];
    const feeds = this.hasCache ? feedsOf(this.#signature, [ids], past.ids.length) : feedsOf(this.#signature, [all], 0);
    const results = await this.session.run({ ...feeds, ...past.cache }, [this.#logits, ...this.#cache.map((c) => c.output)]);
    const logits = float32Logits(results[this.#logits] as TensorValue);
    const vocabulary = sizeAt((results[this.#logits] as TensorValue).dims, -1);
    return { past: { ids: all, cache: nextCache(this.#cache, results) }, logits: logits.subarray(-ids.length * vocabulary) };
  }

  /** Logits [B, T, V], row after row, of B sequences of T tokens each. */
  async logits(rows: readonly (readonly number[])[]): Promise<Float32Array> {
    const feeds = { ...feedsOf(this.#signature, rows, 0), ...emptyCache(this.#signature.caches, rows.length) };
    const results = await this.session.run(feeds, [this.#logits]);
    return float32Logits(results[this.#logits] as TensorValue);
  }

  close(): Promise<void> {
    return this.session.close();
  }
}

/** The graph of a stored model's folder: in the Hugging Face layout, or the one that lies there under a name of its own. */
export async function graphFile(folder: string): Promise<string> {
  const [nested, own] = await Promise.all([onnxFiles(join(folder, "onnx")), onnxFiles(folder)]);
  const all = [...nested, ...own];
  const found = all.find((path) => basename(path) === "model.onnx") ?? (all.length === 1 ? all[0] : undefined);
  if (found) return found;
  throw new EspalierError("GRAPH_MISSING", "the model's folder has neither onnx/model.onnx nor model.onnx");
}

async function onnxFiles(folder: string): Promise<string[]> {
  const names = (await readdir(folder).catch(unlessAbsent)) ?? [];
  return names.filter((name) => name.endsWith(".onnx")).map((name) => join(folder, name));
}
