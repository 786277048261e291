import { EspalierError } from "../errors.ts";
import { numberAt } from "../number-at.ts";
import type { Decoder, Read, Sequence, Wanted } from "./decoder.ts";
import type { LanguageModel, Past } from "./language-model.ts";

interface Own extends Sequence {
  past: Past;
}

/** Reads sequences one after another with the graph as it was registered, whatever it is made of. */
export class PlainDecoder implements Decoder {
  readonly blockTokens = 64;
  readonly contextLength: number | null;
  #open = 0;

  private constructor(
    private readonly model: LanguageModel,
    readonly vocabularySize: number,
    readonly limitation: string,
    private readonly sequences: number,
  ) {
    this.contextLength = model.contextLength;
  }

  static async open(model: LanguageModel, limitation: string, sequences: number): Promise<PlainDecoder> {
    const { logits } = await model.read(model.start, [0]);
    return new PlainDecoder(model, logits.length, limitation, sequences);
  }

  hasRoom(): boolean {
    return this.#open < this.sequences;
  }

  begin(): Sequence {
    this.#open++;
    const { model } = this;
    return {
      past: model.start,
      get length() {
        return this.past.ids.length;
      },
    } as Own;
  }

  async read(sequence: Sequence, ids: readonly number[], { logits = [], hidden = [] }: Wanted): Promise<Read> {
    if (hidden.length > 0) throw new EspalierError("EMBEDDINGS_UNAVAILABLE", `the model gives no hidden states: ${this.limitation}`);
    const own = sequence as Own;
    const found = await this.model.readAll(own.past, ids);
    own.past = found.past;
    return { logits: logits.map((i) => found.logits.slice(i * this.vocabularySize, (i + 1) * this.vocabularySize)), hidden: [] };
  }

  async step(sequences: readonly Sequence[], ids: readonly number[]): Promise<readonly Float32Array[]> {
    const rows: Float32Array[] = [];
    for (const [i, sequence] of sequences.entries()) {
      const own = sequence as Own;
      const found = await this.model.read(own.past, [numberAt(ids, i)]);
      own.past = found.past;
      rows.push(found.logits);
    }
    return rows;
  }

  end(): void {
    this.#open--;
  }

  close(): Promise<void> {
    return this.model.close();
  }
}
