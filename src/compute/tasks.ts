import type { ModelFile } from "../artifacts/model-files.ts";
import type { CompressionEvent, CompressionSummary } from "../compression/events.ts";
import type { CompressionOptions } from "../compression/options.ts";
import type { EvaluationProgress, EvaluationResult, EvaluationSettings } from "../evaluation/evaluate.ts";
import type { TextEvent, TextOptions, TextSummary } from "../inference/generate.ts";
import type { ContinuationScore, EmbedOptions, ScoreOptions } from "../inference/measure.ts";
import type { LoadingStage } from "../inference/open-decoder.ts";
import type { Classified, Filling, TextOrPair } from "../inference/read-whole.ts";
import type { ModelTask } from "../model-task.ts";
import type { ExportedModel, ExportRequest } from "../models/formats/export-model.ts";
import type { ImportProgress, ImportRequest } from "../models/import/import-model.ts";
import type { InspectRequest } from "../models/inspect.ts";
import type { InspectedModel } from "../models/types.ts";
import type { IterationRecord, PruningEvent } from "../pruning/events.ts";
import type { PruningOptions } from "../pruning/options.ts";
import type { RecoveryEvent, RecoverySummary } from "../recovery/events.ts";
import type { RestoringEvent } from "../recovery/least-squares.ts";
import type { RecoveryOptions } from "../recovery/options.ts";
import type { ConcreteProvider, ExecutionProvider } from "../runtime/providers.ts";
import type { DatasetContent, DatasetForm } from "../text/dataset-content.ts";
import type { Overlap } from "../text/overlap.ts";
import type { SelfTextOptions } from "../text/self-text-options.ts";
import type { StoredDataset } from "./stored-dataset.ts";

/** A stored model as a compute process needs it: where the artifacts are, and which of them make the folder. */
export interface StoredModel {
  readonly dataDirectory: string;
  readonly digest: string;
  readonly files: readonly ModelFile[];
  /** Rows of its embedding; 0 if that is not known. */
  readonly vocabularySize: number;
  readonly task: ModelTask;
}

export interface PruneRequest {
  readonly model: StoredModel;
  readonly method: string;
  readonly options: PruningOptions;
  /** Texts to calibrate with. */
  readonly dataset: StoredDataset;
  /** Iterations already persisted, oldest first; the loop goes on after them. */
  readonly done: readonly Pick<IterationRecord, "iteration" | "removed" | "parameterCount" | "durationMs">[];
  /** Path of a folder that the process may make for a while, on the file system of the artifacts. */
  readonly scratch: string;
}

export interface PruneResult {
  readonly pruned: InspectedModel;
  /** The most memory that the process held: its resident set. */
  readonly peakMemoryBytes: number;
}

export interface ExportTaskRequest extends ExportRequest {
  /** Path of a folder that the process may make for a while, on the file system of the artifacts. */
  readonly scratch: string;
}

export interface ExportTaskResult {
  readonly exported: ExportedModel;
  /** The most memory that the process held: its resident set. */
  readonly peakMemoryBytes: number;
}

/** How much of a task is done. */
export interface WorkDone {
  readonly done: number;
  readonly total: number;
}

/** What stands in a request's way. */
export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

export interface RecoverRequest {
  readonly model: StoredModel;
  /** Null where no objective asks for one. */
  readonly teacher: StoredModel | null;
  readonly method: string;
  readonly options: RecoveryOptions;
  /** Texts to heal with; null until the teacher has written them. */
  readonly dataset: StoredDataset | null;
  /** What the teacher is to write, where there is no dataset. */
  readonly self: SelfTextOptions | null;
  /** The artifact of the last check, after which it goes on; null to begin. */
  readonly checkpoint: string | null;
  /** Path of a folder that the process may make for a while, on the file system of the artifacts. */
  readonly scratch: string;
}

/** A file in the artifact store. */
export interface StoredBytes {
  readonly sha256: string;
  readonly sizeBytes: number;
}

type Check = Extract<RecoveryEvent, { type: "CHECK" }>;

/** What the teacher writes: how many tokens there are of so many, and then the dataset of it. */
export type WritingEvent =
  | { readonly type: "WRITING"; readonly tokens: number; readonly tokensTotal: number }
  | { readonly type: "TEXTS"; readonly tokens: number; readonly dataset: DescribedDataset };

/** What the loop tells; its checkpoints are artifacts. */
export type RecoverEvent =
  | Exclude<RecoveryEvent, Check>
  | (Omit<Check, "checkpoint"> & { readonly checkpoint: StoredBytes })
  | WritingEvent;

export interface RecoverResult {
  readonly healed: InspectedModel;
  readonly summary: RecoverySummary;
  /** The most memory that the process held: its resident set. */
  readonly peakMemoryBytes: number;
}

export interface CompressRequest {
  readonly model: StoredModel;
  readonly method: string;
  readonly options: CompressionOptions;
  /** Texts that statistics are of; null for a method that reads none. */
  readonly dataset: StoredDataset | null;
  /** Artifacts of the steps that are done, in order; it goes on after them. */
  readonly done: readonly string[];
  /** Path of a folder that the process may make for a while, on the file system of the artifacts. */
  readonly scratch: string;
}

type Compressed = Extract<CompressionEvent, { type: "COMPRESSED" }>;

/** What the loop tells; the files of its steps are artifacts. */
export type CompressEvent = Exclude<CompressionEvent, Compressed> | (Omit<Compressed, "file"> & { readonly file: StoredBytes });

export interface CompressResult {
  readonly compressed: InspectedModel;
  readonly summary: CompressionSummary;
  /** The most memory that the process held: its resident set. */
  readonly peakMemoryBytes: number;
}

export interface EvaluationRequest {
  readonly model: StoredModel;
  /** The model that it is held against, where there is one. */
  readonly against?: StoredModel | null;
  readonly dataset: StoredDataset;
  readonly settings: EvaluationSettings;
}

export interface OverlapRequest {
  /** One that is stored, or its records. */
  readonly dataset: StoredDataset | DatasetContent;
  readonly other: StoredDataset;
}

export interface ReadDatasetRequest {
  readonly datasetRoot: string;
  /** Relative to it. */
  readonly path: string;
  /** What its sender calls it, whose ending says how it is read; null: its path. */
  readonly name: string | null;
  /** The path of a file that the process may make. */
  readonly destination: string;
}

/** What is known of records. */
export interface DescribedDataset {
  readonly form: DatasetForm;
  readonly digest: string;
  readonly recordCount: number;
  readonly sizeBytes: number;
}

/** What is put to a model that is kept loaded. */
export interface ServingRequest {
  readonly model: StoredModel;
  readonly executionProvider: ExecutionProvider;
}

export type GenerationRequest = ServingRequest & TextOptions;

/** How far loading the model is, for requests that wait for it. */
export interface LoadingEvent {
  readonly loading: LoadingStage;
}

/**
 * What a compute process can do: for each task its request, the events it yields and its result.
 * All of it crosses a process boundary, so it is plain data.
 */
export interface Tasks {
  /** Finds out what this machine can compute on. */
  readonly providers: { readonly request: null; readonly event: never; readonly result: readonly ConcreteProvider[] };
  /** Validates a model folder and copies it into the artifact store. */
  readonly inspect: { readonly request: InspectRequest; readonly event: never; readonly result: InspectedModel };
  /** Gathers a model's files from wherever they are, validates them and copies them into the artifact store. */
  readonly import: { readonly request: ImportRequest; readonly event: ImportProgress; readonly result: InspectedModel };
  /** Runs the pruning loop and stores the pruned model's files as artifacts. */
  readonly prune: { readonly request: PruneRequest; readonly event: PruningEvent | RestoringEvent; readonly result: PruneResult };
  /** Heals a model, and stores what came of it as artifacts; checkpoints too. */
  readonly recover: { readonly request: RecoverRequest; readonly event: RecoverEvent; readonly result: RecoverResult };
  /** Gives a model fewer bits or zeros, and stores what came of it as artifacts; the files of steps too. */
  readonly compress: { readonly request: CompressRequest; readonly event: CompressEvent; readonly result: CompressResult };
  /** Reads a file of texts or items, checks it, and writes its records to the destination. */
  readonly readDataset: { readonly request: ReadDatasetRequest; readonly event: never; readonly result: DescribedDataset };
  /** How much of one dataset is in another. */
  readonly overlap: { readonly request: OverlapRequest; readonly event: never; readonly result: Overlap };
  readonly evaluate: { readonly request: EvaluationRequest; readonly event: EvaluationProgress; readonly result: EvaluationResult };
  /** Writes a model in a format that others load, and stores the files. */
  readonly export: { readonly request: ExportTaskRequest; readonly event: WorkDone; readonly result: ExportTaskResult };
  /** What keeps a model from being written in a format; null if nothing does that can be told beforehand. */
  readonly exportObstacle: { readonly request: ExportRequest; readonly event: never; readonly result: Refusal | null };
  /** This and what follows load the model on first use and keep it for the life of the process. */
  readonly generate: {
    readonly request: GenerationRequest;
    readonly event: TextEvent | LoadingEvent;
    readonly result: readonly TextSummary[];
  };
  readonly score: {
    readonly request: ServingRequest & ScoreOptions;
    readonly event: LoadingEvent;
    readonly result: readonly ContinuationScore[];
  };
  readonly embed: {
    readonly request: ServingRequest & EmbedOptions;
    readonly event: LoadingEvent;
    readonly result: readonly (readonly number[])[];
  };
  /** What class texts are of, or their tokens. */
  readonly classify: {
    readonly request: ServingRequest & { readonly texts: readonly TextOrPair[] };
    readonly event: LoadingEvent;
    readonly result: readonly Classified[];
  };
  /** What may stand in the place of masks: by text, by mask, the most probable first. */
  readonly fillMask: {
    readonly request: ServingRequest & { readonly texts: readonly string[]; readonly topK: number };
    readonly event: LoadingEvent;
    readonly result: readonly (readonly (readonly Filling[])[])[];
  };
}
export type TaskName = keyof Tasks;

/** The tasks of a model that is kept loaded. */
export type ServingTask = "generate" | "score" | "embed" | "classify" | "fillMask";
