/** What a model is to write by itself. */
export interface SelfTextOptions {
  /** Tokens in all, those of prompts among them; the last text may exceed it. */
  readonly tokens: number;
  /** Tokens of a text at most. */
  readonly textTokens: number;
  /** What texts begin with, in turn; none: with what begins a document. */
  readonly prompts: readonly string[];
  /** Tokens drawn from the whole vocabulary that each text begins with, after its prompt. */
  readonly randomTokens: number;
  readonly temperature: number;
  readonly topP: number;
}
