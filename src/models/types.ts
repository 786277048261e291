import type { ModelFile } from "../artifacts/model-files.ts";
import type { ModelTask } from "../model-task.ts";
import type { StructureGroup } from "../structures/structure.ts";

/** Facts read off the graph (and, where the graph cannot say, off config.json). */
export interface Architecture {
  readonly task: ModelTask;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  /** Per layer with a cache, in order: kv heads and head width; empty for a model exported without a cache. */
  readonly cache: readonly { readonly heads: number; readonly headWidth: number }[];
  /** Longest sequence the model was made for, from config.json; null if it does not say. */
  readonly contextLength: number | null;
  readonly dataType: string;
}

/** All that is known of a model once its files are in the artifact store. */
export interface InspectedModel {
  /** sha256 over the sorted (path, sha256) list of its files: the model's own address. */
  readonly digest: string;
  readonly files: readonly ModelFile[];
  /** Of the ONNX graph and its external data. */
  readonly sizeBytes: number;
  readonly parameterCount: number;
  readonly opset: number;
  /** Operator to number of nodes. */
  readonly operators: Readonly<Record<string, number>>;
  readonly architecture: Architecture;
  readonly structures: readonly StructureGroup[];
  /** What keeps the model from being pruned, and not from being served; null if nothing does. */
  readonly pruningObstacle: { readonly code: string; readonly message: string } | null;
  /** What users should know of how its files were read or written. */
  readonly notes: readonly string[];
}
