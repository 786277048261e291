/** A sequence that a decoder reads; what the decoder knows of it is the decoder's own. */
export interface Sequence {
  /** Tokens read so far. */
  readonly length: number;
}

/** Which of the tokens just read something is wanted for, counted from the first of them. */
export interface Wanted {
  readonly logits?: readonly number[];
  readonly hidden?: readonly number[];
}

/** Logits [R, V] and hidden states [R, H] of the tokens wanted, in order; valid until the next run. */
export interface Read {
  readonly logits: readonly Float32Array[];
  readonly hidden: readonly Float32Array[];
}

/** Reads sequences of tokens with a model. A prompt is read block by block; then all sequences go on together, a token a step. */
export interface Decoder {
  /** V. */
  readonly vocabularySize: number;
  /** Longest sequence, in tokens; null if the model does not say. */
  readonly contextLength: number | null;
  /** Tokens of a prompt that are read at once. */
  readonly blockTokens: number;
  /** Why the model is served slower than it could be; null if it is not. */
  readonly limitation: string | null;
  /** Whether another sequence of so many tokens has a place now; null if it never has. */
  hasRoom(tokens: number): boolean | null;
  /** Begins a sequence that will have so many tokens at most. Some of its first `skippable` may have been read before: its length then says so. */
  begin(ids: readonly number[], tokens: number, skippable: number): Sequence;
  /** Reads a prompt's next tokens. */
  read(sequence: Sequence, ids: readonly number[], wanted: Wanted): Promise<Read>;
  /** Reads one token of each sequence, and gives the logits [V] after each. */
  step(sequences: readonly Sequence[], ids: readonly number[]): Promise<readonly Float32Array[]>;
  end(sequence: Sequence): void;
  close(): Promise<void>;
}
