import type { InspectedModel, ModelFile } from "../models/types.ts";
import type { IterationRecord, PruningEvent } from "../pruning/events.ts";
import type { PruningOptions } from "../pruning/options.ts";
import type { ExecutionProvider } from "../runtime/providers.ts";
import type { DatasetRequest } from "../text/datasets.ts";

/** A stored model as a compute process needs it: where the artifacts are, and which of them make the folder. */
export interface StoredModel {
  readonly dataDirectory: string;
  readonly digest: string;
  readonly files: readonly ModelFile[];
}

export interface InspectRequest {
  readonly dataDirectory: string;
  /** The configured folder that models are read from under. */
  readonly modelRoot: string;
  /** A folder or a `.onnx` file, relative to the model root. */
  readonly path: string;
}

export interface PruneRequest {
  readonly model: StoredModel;
  readonly method: string;
  readonly options: PruningOptions;
  readonly dataset: DatasetRequest;
  /** Iterations already persisted, oldest first; the loop goes on after them. */
  readonly done: readonly Pick<IterationRecord, "iteration" | "removed" | "parameterCount" | "durationMs">[];
}

export interface EvaluationRequest {
  readonly model: StoredModel;
  readonly dataset: DatasetRequest;
  /** Tokens of a window; windows do not overlap. */
  readonly sequenceLength: number;
  /** Stop after this many scored tokens; null for all. */
  readonly maxTokens: number | null;
  readonly executionProvider: ExecutionProvider;
}
export interface EvaluationProgress {
  readonly tokensDone: number;
  readonly tokensTotal: number;
}
export interface EvaluationResult {
  readonly executionProvider: "CPU" | "CUDA";
  readonly datasetDigest: string;
  readonly tokenCount: number;
  /** exp of the mean cross-entropy per token. */
  readonly perplexity: number;
  /** Share of tokens whose most probable prediction was right, 0..1. */
  readonly nextTokenAccuracy: number;
  readonly prefillTokensPerSecond: number;
  /** Greedy, one stream, with the cache. */
  readonly decodeTokensPerSecond: number;
}

export interface GenerationRequest {
  readonly model: StoredModel;
  readonly prompt: string;
  readonly maxTokens: number;
  /** 0 is greedy. */
  readonly temperature: number;
  /** 0 is all. */
  readonly topK: number;
  /** 1 is all. */
  readonly topP: number;
  readonly seed: number;
  readonly executionProvider: ExecutionProvider;
}
/** Whole Unicode text; a token that ends inside a character is held back until the rest comes. */
export interface GenerationChunk {
  readonly text: string;
  readonly tokenIds: readonly number[];
}
export interface GenerationSummary {
  readonly finishReason: "STOP" | "LENGTH";
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly timeToFirstTokenMs: number;
  readonly tokensPerSecond: number;
}

/**
 * What a compute process can do: for each task its request, the events it yields and its result.
 * All of it crosses a process boundary, so it is plain data.
 */
export interface Tasks {
  /** Validates a model folder and copies it into the artifact store. */
  readonly inspect: { readonly request: InspectRequest; readonly event: never; readonly result: InspectedModel };
  /** Runs the pruning loop and stores the pruned model's files as artifacts. */
  readonly prune: { readonly request: PruneRequest; readonly event: PruningEvent; readonly result: InspectedModel };
  readonly evaluate: { readonly request: EvaluationRequest; readonly event: EvaluationProgress; readonly result: EvaluationResult };
  /** Loads the model on first use and keeps it for the life of the process. */
  readonly generate: { readonly request: GenerationRequest; readonly event: GenerationChunk; readonly result: GenerationSummary };
}
export type TaskName = keyof Tasks;
