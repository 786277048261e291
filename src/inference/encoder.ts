import { dirname } from "node:path";
import { sizeAt } from "../onnx/ir.ts";
import { readModel } from "../onnx/read-model.ts";
import { modelSource } from "../runtime/model-source.ts";
import { type ConcreteProvider, resolveProvider } from "../runtime/providers.ts";
import { openSession, type Session, type TensorValue } from "../runtime/session.ts";
import { maskedFeeds } from "../signature/feeds.ts";
import { answerOf, float32Logits } from "../signature/logits.ts";
import { type Signature, signatureOf } from "../signature/signature.ts";
import { wholeTextLength } from "../text/model-config.ts";
import type { FramedText } from "../text/tokenizer/framing.ts";
import { graphFile, type LanguageModelOptions } from "./language-model.ts";
import { nonFinite } from "./sampling.ts";

/** Tokens of one run, padding included. */
const tokensPerRun = 2048;

/** Where a model does not say how long its texts may be. */
const assumedContext = 512;

/** What an encoder says of a text. */
export interface Answered {
  /** By token, each [width]; one alone where the model answers by text. */
  readonly rows: readonly Float32Array[];
  /** Whether they are of tokens. */
  readonly byToken: boolean;
}

/** A loaded model that reads texts whole: token ids in, logits or vectors out. */
export class Encoder {
  readonly #signature: Signature;
  readonly #answer: string;

  private constructor(
    private readonly session: Session,
    /** Tokens that a text may have, its frame included. */
    readonly contextLength: number,
  ) {
    this.#signature = signatureOf(session.inputs);
    this.#answer = answerOf(session.outputs).name;
  }

  /** @throws EspalierError GRAPH_MISSING; NO_TOKEN_INPUT, UNSUPPORTED_INPUT, NO_LOGITS; and what openSession throws */
  static async open({ folder, ...options }: LanguageModelOptions): Promise<Encoder> {
    const [path, contextLength] = await Promise.all([graphFile(folder), wholeTextLength(folder)]);
    const source = modelSource(await readModel(path, "IN_FILE"), dirname(path), await resolveProvider(options.executionProvider));
    const session = await openSession(source, options);
    try {
      return new Encoder(session, contextLength ?? assumedContext);
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** What really runs. */
  get executionProvider(): ConcreteProvider {
    return this.session.executionProvider;
  }

  /**
   * Reads texts, those of like length together. Gives, one after another, the place of a text and what is said of it.
   *
   * @throws EspalierError NON_FINITE_LOGITS
   */
  async *read(texts: readonly Pick<FramedText, "ids" | "types">[]): AsyncGenerator<readonly [place: number, answer: Answered]> {
    for (const places of batchesOf(texts.map(({ ids }) => ids.length))) {
      const rows = places.map((i) => texts[i] as FramedText);
      const found = (await this.session.run(maskedFeeds(this.#signature, rows), [this.#answer]))[this.#answer] as TensorValue;
      const values = float32Logits(found);
      const byToken = found.dims.length === 3;
      const [T, width] = [byToken ? sizeAt(found.dims, 1) : 1, sizeAt(found.dims, -1)];
      for (const [r, place] of places.entries()) {
        const count = byToken ? (rows[r]?.ids.length ?? 0) : 1;
        const own = Array.from({ length: count }, (_, t) => values.subarray((r * T + t) * width, (r * T + t + 1) * width));
        if (own.some((row) => !row.every(Number.isFinite))) throw nonFinite();
        yield [place, { rows: own, byToken }];
      }
    }
  }

  /** The same of all, in their order. */
  async readAll(texts: readonly Pick<FramedText, "ids" | "types">[]): Promise<Answered[]> {
    const answers: Answered[] = [];
    for await (const [place, answer] of this.read(texts)) answers[place] = answer;
    return answers;
  }

  close(): Promise<void> {
    return this.session.close();
  }
}

/** Places of texts, longest first, as many together as a run takes. */
export function batchesOf(lengths: readonly number[]): number[][] {
  const order = [...lengths.keys()].sort((a, b) => (lengths[b] as number) - (lengths[a] as number) || a - b);
  const batches: number[][] = [];
  for (const place of order) {
    const batch = batches.at(-1);
    const longest = lengths[batch?.[0] ?? place] as number;
    if (batch && (batch.length + 1) * longest <= tokensPerRun) batch.push(place);
    else batches.push([place]);
  }
  return batches;
}
