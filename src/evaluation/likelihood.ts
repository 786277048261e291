import { dirname, join } from "node:path";
import { nonFinite } from "../inference/sampling.ts";
import { largest } from "../large-lists.ts";
import { numberAt } from "../number-at.ts";
import { atFastLevel } from "../onnx/accuracy-level.ts";
import { encode } from "../onnx/encode.ts";
import { readModel } from "../onnx/read-model.ts";
import type { ConcreteProvider, ExecutionProvider } from "../runtime/providers.ts";
import { openSession, type Session, type TensorValue } from "../runtime/session.ts";
import { emptyCache, nextCache } from "../signature/caches.ts";
import { type Feeds, feedsOf, integerFeed } from "../signature/feeds.ts";
import { readModelConfig } from "../text/model-config.ts";
import { type LikelihoodGraph, type LikelihoodRole, likelihoodGraph } from "./likelihood-graph.ts";

export interface LikelihoodOptions {
  /** In the Hugging Face layout. */
  readonly folder: string;
  /** The graph's path in the folder. */
  readonly graph: string;
  readonly executionProvider: ExecutionProvider;
}

/** Sequences of equal length as far as the model has read them, side by side. */
export interface Past {
  /** Tokens of each. */
  readonly length: number;
  /** By cache input, e.g. [I, K, length, D]. */
  readonly cache: Feeds;
}

/** Tokens to read, and those that really follow the last of them. */
export interface Row {
  readonly ids: readonly number[];
  /** `targets[i]` is the token that comes after `ids[ids.length - targets.length + i]`. */
  readonly targets: readonly number[];
  /** Which of the sequences read before it goes on from. */
  readonly past?: number;
}

/** What a model says of a row's targets, in order. */
export interface RowLikelihood {
  /** log p of each target, in nats. */
  readonly logProbabilities: Float32Array;
  /** 1 where the target is the model's most probable token, else 0. */
  readonly greedy: Uint8Array;
  /** How its distributions lie to those of the model that it is held against; null where there is none. */
  readonly against: RowAgainst | null;
}

/** A model's predictions beside those of another, by target. */
export interface RowAgainst {
  /** KL from the other's distribution to the model's own, in nats. */
  readonly divergences: Float32Array;
  /** 1 where both find the same token most probable, else 0. */
  readonly agrees: Uint8Array;
}

/** A causal language model as a judge of texts: how probable it finds tokens. */
export class Likelihood {
  private constructor(
    private readonly graph: LikelihoodGraph,
    private readonly session: Session,
    /** The model that it is held against. */
    private readonly reference: Likelihood | null,
    /** Longest sequence the model was made for, in tokens; null if it does not say. */
    readonly contextLength: number | null,
  ) {}

  /**
   * @param against a model of the same tokens, to hold it against
   * @throws EspalierError NO_TOKEN_INPUT, UNSUPPORTED_INPUT, UNSUPPORTED_CACHE or NO_LOGITS if the graph is not that of a
   *   language model; and what readModel and openSession throw
   */
  static async open(options: LikelihoodOptions, against: LikelihoodOptions | null = null): Promise<Likelihood> {
    const reference = against && (await Likelihood.opened(against, "REFERENCE", null));
    try {
      return await Likelihood.opened(options, reference ? "HELD_AGAINST" : "ALONE", reference);
    } catch (error) {
      await reference?.close();
      throw error;
    }
  }

  private static async opened(
    { folder, graph: path, executionProvider }: LikelihoodOptions,
    role: LikelihoodRole,
    reference: Likelihood | null,
  ): Promise<Likelihood> {
    const { contextLength } = await readModelConfig(folder);
    const graph = likelihoodGraph(atFastLevel(await readModel(join(folder, path), "IN_FILE")), role);
    const externalFolder = dirname(join(folder, path));
    const session = await openSession({ bytes: encode(graph.model), externalFolder }, { executionProvider });
    return new Likelihood(graph, session, reference, contextLength);
  }

  /** Whether it is held against another model, whose distributions then go from one to the other. */
  get isHeldAgainst(): boolean {
    return this.reference !== null;
  }

  /** What really runs. */
  get executionProvider(): ConcreteProvider {
    return this.session.executionProvider;
  }

  /** Whether earlier tokens need not be read again. */
  get hasCache(): boolean {
    return this.graph.caches.length > 0;
  }

  /** Whether a beginning that many sequences share can be read once and gone on from. */
  get sharesBeginnings(): boolean {
    return this.graph.goesOn;
  }

  /** The beginning of every sequence. */
  get start(): Past {
    // The graph repeats it for as many as there are.
    return { length: 0, cache: emptyCache(this.graph.signature.caches, 1) };
  }

  /** Reads sequences on. `rows` are of equal length and, past a start, one for each sequence; for models with a cache only. */
  async read(past: Past, rows: readonly (readonly number[])[]): Promise<Past> {
    const { caches } = this.graph;
    const read = rows.map((ids, i) => ({ ids, targets: [], past: past.length > 0 ? i : 0 }));
    const results = await this.session.run(
      this.feeds(past, read),
      caches.map((c) => c.output),
    );
    return { length: past.length + (rows[0]?.length ?? 0), cache: nextCache(caches, results) };
  }

  /**
   * Judges rows, each going on from one of the sequences read before, or from nothing. Shorter rows are padded at their end,
   * which nothing before it sees. One that is held against another judges whole rows alone.
   *
   * @throws EspalierError NON_FINITE_LOGITS
   */
  async judge(rows: readonly Row[], past: Past = this.start): Promise<RowLikelihood[]> {
    const { logProbabilities, greedy, against } = this.graph;
    const theirs = against && this.reference ? { [against.theirs]: await this.reference.distributions(rows) } : {};
    const compared = against ? [against.divergence, against.agrees] : [];
    const results = await this.session.run({ ...this.feeds(past, rows), ...theirs }, [logProbabilities, greedy, ...compared]);
    const floats = (name: string) => (results[name] as TensorValue<Float32Array>).data;
    const bits = (name: string) => (results[name] as TensorValue<Uint8Array>).data;
    const logs = floats(logProbabilities);
    if (logs.some((x) => Number.isNaN(x)) || (against && floats(against.divergence).some((x) => Number.isNaN(x)))) throw nonFinite();
    let at = 0;
    return rows.map(({ targets }) => {
      const begin = at;
      at += targets.length;
      return {
        logProbabilities: logs.subarray(begin, at),
        greedy: bits(greedy).subarray(begin, at),
        against: against && {
          divergences: floats(against.divergence).subarray(begin, at),
          agrees: bits(against.agrees).subarray(begin, at),
        },
      };
    });
  }

  /** Log probabilities [1, M, V] at all targets of rows. */
  private async distributions(rows: readonly Row[]): Promise<TensorValue> {
    const output = this.graph.distributions as string;
    return (await this.session.run(this.feeds(this.start, rows), [output]))[output] as TensorValue;
  }

  async close(): Promise<void> {
    await this.session.close();
    await this.reference?.close();
  }

  /** What one run is fed. All that is not a target's place is worked out no further than the last hidden state. */
  private feeds(past: Past, rows: readonly Row[]): Feeds {
    const { signature, rows: cacheRows, places, targets } = this.graph;
    const T = largest(rows.map((r) => r.ids.length));
    const at = rows.flatMap(({ ids, targets }, r) => targets.map((_, i) => r * T + ids.length - targets.length + i));
    const looked = rows.flatMap((r) => r.targets);
    // A run that only reads looks at one place, for no dimension to be 0.
    if (looked.length === 0) {
      at.push(0);
      looked.push(0);
    }
    const texts = rows.map((r) => r.ids);
    return {
      ...past.cache,
      ...feedsOf(signature, texts, past.length),
      [places]: integerFeed("int64", [1, at.length], (i) => numberAt(at, i)),
      [targets]: integerFeed("int64", [1, at.length, 1], (i) => numberAt(looked, i)),
      ...(cacheRows ? { [cacheRows]: integerFeed("int64", [rows.length], (i) => rows[i]?.past ?? 0) } : {}),
    };
  }
}
